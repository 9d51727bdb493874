import type { ClusterPolicy, EndpointSpec, Service } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Exchange, Reply } from '../exchange.ts';
import type { Clock } from '../clock.ts';
import { Deadlines } from '../deadlines.ts';
import { staticResolver } from '../endpoint/static.ts';
import { MeshError } from '../errors.ts';
import type { Runtime } from '../handler.ts';
import { LeaseBook, type LeaseScope } from '../lease.ts';
import { Life } from '../life.ts';
import { type MeshEvent, silentObserver } from '../observer.ts';
import type { Resolution, Resolver } from '../ports/resolver.ts';
import {
  fakeClock,
  scriptedTransport,
  type TestExchange,
  testClusterPolicy,
  testEndpoint,
  testExchange,
  testOutlier,
  testRuntime,
  testService,
  testSpec,
  testWorkload,
} from '../testing/index.ts';
import { type Cluster, createCluster } from './cluster.ts';
import { leaseFeed } from './feed.ts';

interface Given {
  readonly policy?: Partial<ClusterPolicy>;
  readonly service?: Partial<Service>;
  /** Hosts of static endpoints; ignored with another resolution. */
  readonly hosts?: readonly string[];
  readonly connectionsPerEndpoint?: number;
  /** Milliseconds that pass with each look at the clock. */
  readonly tick?: number;
}

const hostsOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}`);

/** A mesh of one cluster: snapshots come and go by `deploy`, the test is the registry (resolution dns) and the server. */
function setting(given: Given = {}) {
  const clock = fakeClock();
  let ticked = 0;
  const ticking: Clock = { ...clock, now: () => clock.now() + (ticked += given.tick ?? 0) };
  const deadlines = new Deadlines(clock);
  const events: MeshEvent[] = [];
  const book = new LeaseBook();
  const transport = scriptedTransport();
  const registry = { say: (resolution: Resolution): void => expect.unreachable(`nobody hears ${resolution.state}`), watches: 0, closed: 0 };
  const dns: Resolver = {
    name: 'dns',
    handles: ({ service }) => service.resolution === 'dns',
    watch: (_, onChange) => {
      registry.watches += 1;
      registry.say = onChange;
      return { close: () => void (registry.closed += 1) };
    },
  };
  const base: Runtime = testRuntime({
    clock: ticking,
    deadlines,
    observer: { ...silentObserver, event: (event) => void events.push(event) },
  });
  let current: { cluster: Cluster; scope: LeaseScope } | undefined;

  function compile({ policy = {}, service = {}, hosts = ['10.0.0.1'], connectionsPerEndpoint = 1000 }: Given) {
    const scope = book.scope();
    const endpoints: EndpointSpec[] = hosts.map((host) => testSpec(host));
    const whole = testService({ endpoints, resolution: policy.resolution ?? 'static', ...service });
    const feed = leaseFeed(scope.at('mesh'), whole, 80, { resolvers: [staticResolver, dns], clock, random: base.random });
    const complete = testClusterPolicy(policy);
    const runtime = { ...base, lease: scope.at(complete.name) };
    return { scope, cluster: createCluster(complete, whole, testWorkload(), { runtime, feed, peers: [], connectionsPerEndpoint }) };
  }

  function deploy(next: Given): Cluster {
    const old = current;
    current = compile(next);
    current.cluster.activate();
    old?.scope.release();
    return current.cluster;
  }

  const cluster = deploy(given);

  function call(options: TestExchange & { readonly timeoutMs?: number; readonly through?: Cluster } = {}) {
    const { timeoutMs, through, ...fields } = options;
    const life = new Life(clock.now(), deadlines);
    if (timeoutMs !== undefined) life.limit(clock.now() + timeoutMs);
    const exchange: Exchange = testExchange({ life, ...fields });
    const outcome: { reply?: Reply<string>; error?: MeshError } = {};
    let handled: Promise<Reply<string>>;
    try {
      handled = (through ?? current!.cluster).handler(exchange, transport);
    } catch (error) {
      handled = Promise.reject(error as MeshError);
    }
    const done = handled.then(
      (reply) => void (outcome.reply = reply),
      (error: MeshError) => void (outcome.error = error),
    );
    return { exchange, life, outcome, done };
  }

  const settle = (): Promise<void> => clock.pass(0);
  return {
    clock,
    deadlines,
    events,
    book,
    transport,
    registry,
    cluster,
    compile,
    deploy,
    call,
    settle,
    close: () => current!.scope.release(),
  };
}

const bound = (...addresses: string[]): Resolution => ({ state: 'bound', endpoints: addresses.map((address) => testEndpoint(address)) });
const refused = new MeshError('CONNECT_FAILED', 'connection refused', { phase: 'unsent' });

describe('a call', () => {
  test('goes to an endpoint of the list, in turn, and is counted until its attempt ends', async () => {
    const { call, transport, cluster } = setting({ hosts: ['10.0.0.1', '10.0.0.2'] });
    const calls = [call(), call(), call(), call()];
    expect([...new Set(transport.addresses)].sort()).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']);
    expect(cluster.view()).toMatchObject({ active: 4, resolution: 'bound' });
    expect(cluster.view().endpoints.map(({ active }) => active)).toEqual([2, 2]);
    expect(calls[0]!.life.endpoint!.address).toBe(transport.addresses[0]);
    transport.attempts[0]!.respond(204);
    await calls[0]!.done;
    expect(calls[0]!.outcome.reply!.status).toBe(204);
    expect(cluster.view().active).toBe(4); // the body is still to be read
    for (const attempt of transport.attempts) attempt.end();
    expect(cluster.view().active).toBe(0);
  });

  test('hands the transport its own snapshot’s policy', () => {
    const { call, transport, compile, cluster } = setting();
    const next = compile({ policy: { subset: 'v2' } });
    next.cluster.activate();
    call({ through: cluster });
    call({ through: next.cluster });
    expect(transport.attempts.map(({ placement }) => placement.policy.subset)).toEqual([null, 'v2']);
  });

  test('of a subset sees only endpoints with its labels', () => {
    const endpoints = [testSpec('10.0.0.1', { labels: { version: 'v1' } }), testSpec('10.0.0.2', { labels: { version: 'v2', app: 'x' } })];
    const { call, transport } = setting({ policy: { subset: 'v2', labels: { version: 'v2' } }, service: { endpoints } });
    call();
    call();
    expect(transport.addresses).toEqual(['10.0.0.2:8080', '10.0.0.2:8080']);
  });

  test('a transport that throws loses no slot', async () => {
    const { cluster } = setting();
    const broken = {
      attempt: () => {
        throw new TypeError('boom');
      },
      answer: () => expect.unreachable(),
    };
    expect(() => cluster.handler(testExchange(), broken)).toThrow('boom');
    expect(cluster.view().active).toBe(0);
  });
});

test('an attempt that ends twice is counted once', () => {
  const { call, transport, cluster } = setting();
  call();
  call();
  const { placement } = transport.attempts[0]!;
  placement.ended(undefined);
  placement.ended(undefined);
  placement.responded(500, -1);
  expect(cluster.view().active).toBe(1);
});

describe('nobody there', () => {
  const message = async (given: Given): Promise<string> => {
    const { call } = setting(given);
    const { done, outcome } = call();
    await done;
    expect(outcome.error!.code).toBe('NO_ENDPOINT');
    return outcome.error!.message;
  };

  test('an empty service', async () => {
    expect(await message({ hosts: [] })).toBe('no endpoint of "reviews" is available: 0 known');
  });

  test('a subset whose labels nobody has', async () => {
    const policy = { subset: 'v2', labels: { version: 'v2' } };
    expect(await message({ policy, hosts: ['10.0.0.1', '10.0.0.2'] })).toBe(
      'no endpoint of "reviews/v2" is available: none of 2 has the labels version=v2',
    );
  });

  test('all unhealthy', async () => {
    const endpoints = [testSpec('10.0.0.1', { health: 'unhealthy' }), testSpec('10.0.0.2', { health: 'unhealthy' })];
    expect(await message({ service: { endpoints } })).toBe('no endpoint of "reviews" is available: 2 known, 2 unhealthy');
  });

  test('all ejected', async () => {
    const { call, transport } = setting({
      policy: { outlier: testOutlier({ consecutive5xx: 1, maxEjectionPercent: 100 }) },
      hosts: hostsOf(3),
    });
    for (let round = 0; round < 3; round += 1) {
      call();
      transport.latest.reply(500);
    }
    const { done, outcome } = call();
    await done;
    expect(outcome.error!.message).toBe('no endpoint of "reviews" is available: 3 known, 3 ejected');
    expect(outcome.error!.flag).toBe('UH');
  });

  test('no resolver for the service: UH if a resource declares it, NC if it is invented', async () => {
    const policy = { resolution: 'dnsRoundRobin' as const };
    expect(await message({ policy })).toBe(
      'no endpoint of "reviews" is known: Service default/reviews exists, but no registry lists members of it',
    );
    const { call } = setting({ policy, service: { resource: '' } });
    const { done, outcome } = call();
    await done;
    expect(outcome.error).toMatchObject({ code: 'NO_CLUSTER', flag: 'NC' });
  });
});

describe('the first call', () => {
  const dns = { policy: { resolution: 'dns' as const } };

  test('starts the look-up, which compile does not, and waits for it', async () => {
    const { call, registry, transport, settle, cluster } = setting(dns);
    expect(registry.watches).toBe(0);
    const calls = [call(), call()];
    await settle();
    expect(registry.watches).toBe(1);
    expect(cluster.view()).toMatchObject({ waiting: 2, resolution: 'pending' });
    registry.say(bound('10.0.0.1:80'));
    await settle();
    expect(transport.addresses).toEqual(['10.0.0.1:80', '10.0.0.1:80']);
    transport.latest.reply();
    await calls[1]!.done;
    expect(calls[1]!.outcome.reply!.status).toBe(200);
    expect(cluster.view().waiting).toBe(0);
  });

  test('waits at most the connect timeout, then UH', async () => {
    const { call, clock, deadlines } = setting({
      policy: { ...dns.policy, connection: { ...testClusterPolicy().connection, connectTimeoutMs: 500 } },
    });
    const { done, outcome } = call({ timeoutMs: 5000 });
    clock.advance(499);
    expect(outcome).toEqual({});
    clock.advance(1);
    await done;
    expect(outcome.error).toMatchObject({ code: 'NO_ENDPOINT', message: expect.stringContaining('waited 500 ms') });
    expect(deadlines.size).toBe(1); // only the call's own
  });

  test('leaves at its deadline, and at once when the caller does', async () => {
    const { call, clock, cluster } = setting(dns);
    const [late, left] = [call({ timeoutMs: 100 }), call()];
    left.life.cancel(new MeshError('CANCELLED', 'bye'));
    clock.advance(100);
    await Promise.all([late.done, left.done]);
    expect([late.outcome.error!.code, left.outcome.error!.code]).toEqual(['DEADLINE_EXCEEDED', 'CANCELLED']);
    expect(cluster.view().waiting).toBe(0);
  });

  test('a look-up that fails, or knows nobody, ends the waiting', async () => {
    for (const [word, text] of [
      [{ state: 'failed', reason: 'SERVFAIL' }, 'its look-up failed: SERVFAIL'],
      [{ state: 'absent' }, 'no registry lists members'],
      [bound(), '0 known'],
    ] as const) {
      const { call, registry, settle } = setting(dns);
      const { done, outcome } = call();
      registry.say(word);
      await settle();
      await done;
      expect(outcome.error!.message).toContain(text);
    }
  });

  test('a failure that comes later keeps the endpoints', async () => {
    const { call, registry, transport, events } = setting(dns);
    call();
    registry.say(bound('10.0.0.1:80'));
    registry.say({ state: 'failed', reason: 'SERVFAIL' });
    call();
    expect(transport.addresses).toEqual(['10.0.0.1:80']);
    expect(events).toContainEqual({ type: 'endpoints.failed', cluster: testClusterPolicy().name, reason: 'SERVFAIL' });
  });

  test('static endpoints need no waiting, and are seen before any call', () => {
    const { cluster, transport, call } = setting({ hosts: ['10.0.0.1'] });
    expect(cluster.view()).toMatchObject({ started: false, endpoints: [{ endpoint: { address: '10.0.0.1:8080' }, health: 'healthy' }] });
    call();
    expect(transport.attempts).toHaveLength(1);
  });
});

describe('addresses the caller names', () => {
  test.each([{ resolution: 'none' as const }, { resolution: 'dynamicDns' as const }, { loadBalancer: { kind: 'passthrough' as const } }])(
    '%o dials them',
    (policy) => {
      const { call, transport, cluster } = setting({ policy });
      call({ call: { url: 'http://a.example:8080/' } });
      call({ call: { url: 'http://b.example/' } });
      call({ call: { host: 'fd00::1', port: 81 } });
      call({ call: { url: 'http://a.example:8080/' } });
      expect(transport.addresses).toEqual(['a.example:8080', 'b.example:80', '[fd00::1]:81', 'a.example:8080']);
      expect(cluster.view()).toMatchObject({ pickerKind: 'passthrough', resolution: 'bound' });
      expect(cluster.view().endpoints.map(({ endpoint, active }) => [endpoint.address, active])).toEqual([
        ['b.example:80', 1],
        ['[fd00::1]:81', 1],
        ['a.example:8080', 2],
      ]);
    },
  );

  test('about a thousand are remembered, busy ones longest', () => {
    const { call, transport, cluster } = setting({ policy: { resolution: 'none' } });
    call({ call: { host: 'busy', port: 1 } });
    const closed: string[] = [];
    for (let port = 1; port <= 3000; port += 1) {
      call({ call: { host: 'idle', port } });
      transport.latest.placement.wires.set('pool', { close: () => closed.push(transport.addresses[port]!) });
      transport.latest.reply();
    }
    const { endpoints } = cluster.view();
    expect(endpoints).toHaveLength(1000);
    expect(endpoints.some(({ endpoint }) => endpoint.host === 'busy')).toBe(true);
    expect(closed).toHaveLength(3001 - 1000);
  });
});

describe('limits', () => {
  const limits = (fields: Partial<ClusterPolicy['limits']>) => ({
    connections: null,
    pending: null,
    requests: null,
    retries: null,
    ...fields,
  });

  test('http2MaxRequests refuses at once', async () => {
    const { call, transport, events } = setting({ policy: { limits: limits({ requests: 2 }), http: 'http2' } });
    const calls = [call(), call(), call()];
    await calls[2]!.done;
    expect(calls[2]!.outcome.error).toMatchObject({
      code: 'OVERFLOW',
      flag: 'UO',
      message: '"reviews" is overloaded: 2 calls under way, http2MaxRequests allows 2',
    });
    expect(events).toContainEqual({ type: 'call.overflow', cluster: testClusterPolicy().name, limit: 'requests' });
    transport.attempts[0]!.reply();
    call();
    expect(transport.attempts).toHaveLength(3);
  });

  test('beyond maxConnections calls wait in order, each released slot wakes the first', async () => {
    const { call, transport, settle, cluster } = setting({ policy: { limits: limits({ connections: 2 }) } });
    const calls = Array.from({ length: 5 }, (_, index) => call({ call: { path: `/${index}` } }));
    expect(transport.attempts).toHaveLength(2);
    expect(cluster.view()).toMatchObject({ active: 2, waiting: 3 });
    transport.attempts[0]!.respond();
    await settle();
    expect(transport.attempts).toHaveLength(2); // its connection is busy until the body is read
    transport.attempts[0]!.end();
    await settle();
    transport.attempts[1]!.reply();
    await settle();
    expect(transport.attempts.map(({ exchange }) => exchange.call.path)).toEqual(['/0', '/1', '/2', '/3']);
    for (let index = 2; index < 5; index += 1) {
      transport.attempts[index]!.reply();
      await settle();
    }
    await Promise.all(calls.map(({ done }) => done));
    expect(calls.map(({ outcome }) => outcome.reply?.status)).toEqual([200, 200, 200, 200, 200]);
    expect(cluster.view()).toMatchObject({ active: 0, waiting: 0 });
    expect(transport.peak).toBe(2);
  });

  test('beyond http1MaxPendingRequests they are refused', async () => {
    const { call, events } = setting({ policy: { limits: limits({ connections: 1, pending: 1 }) } });
    const calls = [call(), call(), call()];
    await calls[2]!.done;
    expect(calls[2]!.outcome.error).toMatchObject({
      code: 'OVERFLOW',
      message: expect.stringContaining('http1MaxPendingRequests allows 1'),
    });
    expect(events).toContainEqual({ type: 'call.overflow', cluster: testClusterPolicy().name, limit: 'pending' });
  });

  test('a waiting call leaves at its deadline or with its caller, and a newcomer does not pass those who wait', async () => {
    const { call, transport, settle, clock, cluster } = setting({ policy: { limits: limits({ connections: 1 }) } });
    call({ call: { path: '/first' } });
    const [late, left] = [call({ timeoutMs: 50 }), call()];
    call({ call: { path: '/patient' } });
    left.life.cancel(new MeshError('CANCELLED', 'bye'));
    clock.advance(50);
    await Promise.all([late.done, left.done]);
    expect([late.outcome.error!.code, left.outcome.error!.code]).toEqual(['DEADLINE_EXCEEDED', 'CANCELLED']);
    transport.attempts[0]!.reply();
    call({ call: { path: '/newcomer' } }); // comes between the release and its being noticed
    await settle();
    expect(transport.latest.exchange.call.path).toBe('/patient');
    expect(cluster.view()).toMatchObject({ active: 1, waiting: 1 });
  });

  test('HTTP/2 attempts share connections, so these do not bound them', () => {
    const { call, transport } = setting({ policy: { http: 'http2', limits: limits({ connections: 1 }) }, connectionsPerEndpoint: 1 });
    for (let round = 0; round < 10; round += 1) call();
    expect(transport.attempts).toHaveLength(10);
  });

  test('an endpoint without a free connection is passed over; where none has one, calls wait for whichever is first', async () => {
    const { call, transport, settle, cluster } = setting({
      policy: { loadBalancer: { kind: 'random' } },
      hosts: hostsOf(10),
      connectionsPerEndpoint: 2,
    });
    for (let round = 0; round < 25; round += 1) call();
    expect(cluster.view().endpoints.every(({ active }) => active === 2)).toBe(true);
    expect(cluster.view().waiting).toBe(5);
    transport.attempts[7]!.reply();
    await settle();
    expect(transport.latest.address).toBe(transport.attempts[7]!.address);
    expect(transport.peak).toBe(20);
  });

  test('a sticky call moves on rather than wait behind its endpoint', () => {
    const { call, cluster } = setting({
      policy: { loadBalancer: { kind: 'maglev', tableSize: 101 } },
      hosts: hostsOf(3),
      connectionsPerEndpoint: 1,
    });
    for (let round = 0; round < 3; round += 1) call({ hashKey: 42n });
    expect(cluster.view().endpoints.map(({ active }) => active)).toEqual([1, 1, 1]);
  });

  test('a busy endpoint is no reason to leave the locality', () => {
    const endpoints = [testSpec('10.0.0.1', { labels: { rack: '' } }), testSpec('10.0.0.2', { labels: { rack: 'b' } })];
    const { call, transport, cluster } = setting({
      policy: { locality: { kind: 'failover', byLocality: false, failover: [], failoverPriority: ['rack=a'] } },
      service: { endpoints: [{ ...endpoints[0]!, labels: { rack: 'a' } }, endpoints[1]!] },
      connectionsPerEndpoint: 1,
    });
    call();
    call();
    expect(transport.addresses).toEqual(['10.0.0.1:8080']);
    expect(cluster.view().waiting).toBe(1);
  });

  test('retries have a bound of their own', () => {
    const { cluster } = setting({ policy: { limits: limits({ retries: 1 }) } });
    expect([cluster.tryRetry(), cluster.tryRetry()]).toEqual([true, false]);
    cluster.endRetry();
    expect(cluster.tryRetry()).toBe(true);
    expect(cluster.view().retries).toBe(1);
  });

  test('a retry budget is a share of the calls under way and waiting, or of those of its interval', () => {
    const retryBudget = { percent: 50, minConcurrency: 0, intervalMs: 0 };
    const taken = (given: ReturnType<typeof setting>): number => {
      let count = 0;
      while (given.cluster.tryRetry()) count += 1;
      return count;
    };
    const now = setting({ policy: { retryBudget, limits: limits({ connections: 4, retries: 1 }) } });
    for (let round = 0; round < 6; round += 1) now.call();
    expect(taken(now)).toBe(3);
    const interval = setting({ policy: { retryBudget: { ...retryBudget, intervalMs: 1000 } } });
    for (let round = 0; round < 20; round += 1) {
      interval.call();
      interval.transport.latest.reply();
    }
    expect(taken(interval)).toBe(10);
  });

  test('whatever comes: never more connections than allowed, everyone is served or leaves, all counters end at zero', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant({ kind: 'call' as const }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), who: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), who: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('list' as const), size: fc.integer({ min: 1, max: 4 }) }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 60 }),
        async (connections, perEndpoint, steps) => {
          const policy = { resolution: 'dns' as const, loadBalancer: { kind: 'leastRequest' as const }, limits: limits({ connections }) };
          const { call, transport, registry, settle, cluster, deadlines } = setting({ policy, connectionsPerEndpoint: perEndpoint });
          cluster.start();
          registry.say(bound('10.0.0.0:80', '10.0.0.1:80'));
          const calls: ReturnType<typeof call>[] = [];
          for (const one of steps) {
            if (one.kind === 'call') calls.push(call());
            else if (one.kind === 'end') transport.open[one.who % Math.max(1, transport.open.length)]?.reply();
            else if (one.kind === 'cancel') calls[one.who % Math.max(1, calls.length)]?.life.cancel(new MeshError('CANCELLED', 'bye'));
            else registry.say(bound(...Array.from({ length: one.size }, (_, index) => `10.0.0.${index}:80`)));
            await Promise.resolve();
            const { active, endpoints } = cluster.view();
            expect(active).toBe(transport.open.length);
            expect(active).toBeLessThanOrEqual(connections);
            for (const endpoint of endpoints) expect(endpoint.active).toBeLessThanOrEqual(perEndpoint);
          }
          await settle();
          // Nobody waits while there is room.
          if (cluster.view().waiting > 0) {
            expect(cluster.view().active === connections || cluster.view().endpoints.every(({ active }) => active === perEndpoint)).toBe(
              true,
            );
          }
          while (transport.open.length > 0) {
            for (const attempt of transport.open) attempt.reply();
            await settle();
          }
          await Promise.all(calls.map(({ done }) => done));
          for (const { outcome } of calls) expect(outcome.reply?.status === 200 || outcome.error?.code === 'CANCELLED').toBe(true);
          expect(cluster.view()).toMatchObject({ active: 0, waiting: 0, retries: 0 });
          expect(cluster.view().endpoints.every(({ active }) => active === 0)).toBe(true);
          expect(deadlines.size).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('learning', () => {
  const outlier = testOutlier({ consecutive5xx: 2 });

  test('an ejection holds for the very next call, and ends', () => {
    const { call, transport, cluster, clock } = setting({ policy: { outlier }, hosts: ['10.0.0.1', '10.0.0.2'] });
    const bad = '10.0.0.1:8080';
    for (let round = 0; round < 4; round += 1) {
      call();
      transport.latest.reply(transport.latest.address === bad ? 503 : 200);
    }
    const before = transport.attempts.length;
    for (let round = 0; round < 6; round += 1) call();
    expect(new Set(transport.addresses.slice(before))).toEqual(new Set(['10.0.0.2:8080']));
    const view = cluster.view().endpoints.find(({ endpoint }) => endpoint.address === bad)!;
    expect(view).toMatchObject({ ejected: true, ejections: 1, ejectedUntil: clock.wall() + 30_000 });
    clock.advance(30_000);
    for (let round = 0; round < 6; round += 1) call();
    expect(transport.addresses.slice(-6)).toContain(bad);
  });

  test('failures before the headers count, a caller who leaves does not', () => {
    const { call, transport, cluster } = setting({ policy: { outlier: { ...outlier, maxEjectionPercent: 100 } } });
    for (let round = 0; round < 5; round += 1) {
      call();
      transport.latest.fail(new MeshError('CANCELLED', 'bye'));
    }
    expect(cluster.view().endpoints[0]!.ejected).toBe(false);
    for (let round = 0; round < 2; round += 1) {
      call();
      transport.latest.fail(refused);
    }
    expect(cluster.view().endpoints[0]!.ejected).toBe(true);
  });

  test('an answer that breaks off counts against the endpoint, one the deadline cuts does not', () => {
    const { call, transport, cluster } = setting({ policy: { outlier: { ...outlier, consecutive5xx: 1, maxEjectionPercent: 100 } } });
    call();
    transport.latest.respond();
    transport.latest.end(new MeshError('DEADLINE_EXCEEDED', 'late', { phase: 'answered' }));
    expect(cluster.view().endpoints[0]!.ejected).toBe(false);
    call();
    transport.latest.respond();
    transport.latest.end(new MeshError('RESET', 'cut', { phase: 'answered' }));
    expect(cluster.view().endpoints[0]!.ejected).toBe(true);
  });

  test('latency and failures reach the balancer’s record', () => {
    const { call, transport, clock } = setting({
      policy: { loadBalancer: { kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 } },
      hosts: ['10.0.0.1', '10.0.0.2'],
    });
    // The one that fails fast must not look like the fast one.
    for (let round = 0; round < 50; round += 1) {
      call();
      if (transport.latest.address === '10.0.0.1:8080') transport.latest.fail(refused);
      else {
        clock.advance(20);
        transport.latest.reply();
      }
    }
    expect(transport.addresses.filter((address) => address === '10.0.0.1:8080').length).toBeLessThan(5);
  });

  test('callers who leave are no mark against the balancer’s choice', () => {
    const { call, transport, clock } = setting({
      policy: { loadBalancer: { kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 } },
      hosts: ['10.0.0.1', '10.0.0.2'],
    });
    for (let round = 0; round < 50; round += 1) {
      call();
      if (transport.latest.address === '10.0.0.1:8080') transport.latest.fail(new MeshError('CANCELLED', 'bye'));
      else {
        clock.advance(60);
        transport.latest.reply();
      }
    }
    expect(transport.addresses.filter((address) => address === '10.0.0.1:8080').length).toBeGreaterThan(10);
  });

  test('with slow start a newcomer gets its share little by little', () => {
    const { call, transport, clock, registry } = setting({
      policy: { resolution: 'dns', slowStart: { windowMs: 100_000, minPercent: 10, aggression: 1 } },
    });
    const share = (): number => {
      const before = transport.attempts.length;
      for (let round = 0; round < 200; round += 1) {
        call();
        transport.latest.reply();
      }
      return transport.addresses.slice(before).filter((address) => address === '10.0.0.2:80').length / 200;
    };
    call();
    registry.say(bound('10.0.0.1:80'));
    clock.advance(200_000);
    call();
    registry.say(bound('10.0.0.1:80', '10.0.0.2:80'));
    expect(share()).toBeCloseTo(0.09, 1);
    clock.advance(50_000);
    expect(share()).toBeCloseTo(0.33, 1);
    clock.advance(50_000);
    expect(share()).toBeCloseTo(0.5, 1);
  });
});

describe('a policy change', () => {
  const limits = { connections: null, pending: null, requests: null, retries: null };

  test('keeps what was learned, and its thresholds hold at once', () => {
    const { call, transport, deploy } = setting({
      policy: { outlier: testOutlier({ consecutive5xx: 10 }) },
      hosts: ['10.0.0.1', '10.0.0.2'],
    });
    for (let round = 0; round < 6; round += 1) {
      call();
      transport.latest.reply(500);
    }
    const open = call();
    const next = deploy({ policy: { outlier: testOutlier({ consecutive5xx: 4 }) }, hosts: ['10.0.0.1', '10.0.0.2'] });
    expect(next.view()).toMatchObject({ active: 1 });
    transport.latest.reply(500); // of the old snapshot, the fourth on its endpoint
    expect(next.view().endpoints.filter(({ ejected }) => ejected)).toHaveLength(1);
    expect(open.outcome).toEqual({});
  });

  test('that is compiled but not assigned changes nothing', () => {
    const { call, transport, compile } = setting({ policy: { limits } });
    const next = compile({ policy: { limits: { ...limits, requests: 1 } } });
    call();
    call();
    expect(transport.attempts).toHaveLength(2);
    next.scope.release();
    call();
    expect(transport.attempts).toHaveLength(3);
  });

  test('lets waiting calls through when the limit rises, and holds back new ones when it falls', async () => {
    const { call, transport, deploy, settle } = setting({ policy: { limits: { ...limits, connections: 1 } } });
    for (let round = 0; round < 4; round += 1) call();
    deploy({ policy: { limits: { ...limits, connections: 3 } } });
    await settle();
    expect(transport.open).toHaveLength(3);
    deploy({ policy: { limits: { ...limits, connections: 1 } } });
    transport.attempts[0]!.reply();
    transport.attempts[1]!.reply();
    await settle();
    expect(transport.open).toHaveLength(1);
    transport.attempts[2]!.reply();
    await settle();
    expect(transport.open).toHaveLength(1);
  });

  test('of the static members changes them, and calls on one that left finish', async () => {
    const { call, transport, deploy, cluster } = setting({ hosts: ['10.0.0.1'] });
    const { done, outcome } = call();
    let closed = 0;
    transport.latest.placement.wires.set('pool', { close: () => (closed += 1) });
    deploy({ hosts: ['10.0.0.2'] });
    expect(closed).toBe(1);
    call();
    expect(transport.addresses).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']);
    transport.attempts[0]!.reply(200);
    await done;
    expect(outcome.reply!.status).toBe(200);
    expect(cluster.view()).toMatchObject({ active: 1, endpoints: [{ endpoint: { address: '10.0.0.2:8080' }, active: 1 }] });
  });

  test('of the balancer, to passthrough and back', () => {
    const { call, transport, deploy } = setting({ hosts: ['10.0.0.1'] });
    call();
    deploy({ hosts: ['10.0.0.1'], policy: { loadBalancer: { kind: 'passthrough' } } });
    call({ call: { url: 'http://else.where/' } });
    deploy({ hosts: ['10.0.0.1'] });
    call();
    expect(transport.addresses).toEqual(['10.0.0.1:8080', 'else.where:80', '10.0.0.1:8080']);
  });

  test('holds for calls that wait: refused if there are too many by then, served if there is more room', async () => {
    const { call, transport, deploy, settle } = setting({ policy: { limits: { ...limits, connections: 2 } } });
    const calls = [call(), call(), call()];
    deploy({ policy: { limits: { ...limits, connections: 2, requests: 1 } } });
    await settle();
    expect(calls[2]!.outcome).toEqual({});
    transport.attempts[0]!.reply();
    await settle();
    expect(calls[2]!.outcome.error!.code).toBe('OVERFLOW');

    const wide = setting({ connectionsPerEndpoint: 1 });
    wide.call();
    wide.call();
    await wide.settle();
    wide.deploy({ connectionsPerEndpoint: 2 });
    await wide.settle();
    expect(wide.transport.attempts).toHaveLength(2);
  });

  test('keeps retries under way counted', () => {
    const { cluster, deploy } = setting({ policy: { limits: { ...limits, retries: 2 } } });
    cluster.tryRetry();
    const next = deploy({ policy: { limits: { ...limits, retries: 1 } } });
    expect(next.tryRetry()).toBe(false);
    cluster.endRetry(); // by the call of the old snapshot
    expect(next.tryRetry()).toBe(true);
  });
});

describe('endpoints', () => {
  const dns = { policy: { resolution: 'dns' as const } };

  test('that come back while calls are on them are the same as before', async () => {
    const { call, registry, transport, cluster, settle } = setting(dns);
    const both = ['10.0.0.1:80', '10.0.0.2:80'];
    call();
    registry.say(bound(...both));
    await settle();
    const { address } = transport.latest;
    registry.say(bound(...both.filter((other) => other !== address)));
    registry.say(bound(...both));
    expect(cluster.view().endpoints.find(({ endpoint }) => endpoint.address === address)!.active).toBe(1);
    transport.latest.reply();
    expect(cluster.view().endpoints.map(({ active }) => active)).toEqual([0, 0]);
  });

  test('that left for good are forgotten with their last attempt', () => {
    const { call, registry, transport, cluster } = setting({ policy: { resolution: 'dns', outlier: testOutlier({ consecutive5xx: 1 }) } });
    const both = ['10.0.0.1:80', '10.0.0.2:80'];
    cluster.start();
    registry.say(bound(...both));
    call();
    const [held] = transport.addresses;
    const seen = (): number => cluster.view().endpoints.find(({ endpoint }) => endpoint.address === held)!.ejections;
    transport.latest.placement.responded(500, -1);
    expect(seen()).toBe(1);
    registry.say(bound(...both.filter((address) => address !== held)));
    transport.latest.placement.ended(undefined);
    registry.say(bound(...both));
    expect(seen()).toBe(0);
  });

  test('named twice are one', () => {
    const { call, registry, cluster } = setting(dns);
    call();
    registry.say(bound('10.0.0.1:80', '10.0.0.1:80'));
    expect(cluster.view().endpoints).toHaveLength(1);
  });

  test('are told of only when something changed', () => {
    const { call, registry, events } = setting(dns);
    call();
    for (let round = 0; round < 3; round += 1) registry.say(bound('10.0.0.1:80', '10.0.0.2:80'));
    registry.say({ state: 'bound', endpoints: [testEndpoint('10.0.0.1:80', { weight: 3 }), testEndpoint('10.0.0.2:80')] });
    expect(events.map((event) => (event.type === 'endpoints.changed' ? event.total : event.type))).toEqual([2, 2]);
  });

  test('several changes between two calls are one rebuild', () => {
    const { call, registry, transport } = setting(dns);
    call();
    for (let round = 1; round < 100; round += 1) registry.say(bound(...Array.from({ length: round }, (_, index) => `10.0.0.${index}:80`)));
    for (let round = 0; round < 99; round += 1) call();
    expect(new Set(transport.addresses).size).toBeGreaterThanOrEqual(99);
  });

  test('that turn healthy again start slowly', () => {
    const slowStart = { windowMs: 1_000_000, minPercent: 10, aggression: 1 };
    const { call, registry, transport, cluster, clock } = setting({ policy: { resolution: 'dns', slowStart } });
    cluster.start();
    registry.say({ state: 'bound', endpoints: [testEndpoint('10.0.0.1:80', { health: 'unhealthy' }), testEndpoint('10.0.0.2:80')] });
    clock.advance(2_000_000);
    registry.say(bound('10.0.0.1:80', '10.0.0.2:80'));
    for (let round = 0; round < 110; round += 1) call();
    expect(transport.addresses.filter((address) => address === '10.0.0.1:80').length).toBeLessThan(15);
  });
});

describe('big tables', () => {
  const policy = { resolution: 'dns' as const, loadBalancer: { kind: 'maglev' as const, tableSize: 65_537 } };
  const list = (from: number): Resolution =>
    bound(...Array.from({ length: 100 }, (_, index) => `10.1.${(from + index) >> 8}.${(from + index) & 255}:80`));

  test('are built off the call path: the first call waits, later ones go by the old table', async () => {
    const { call, registry, transport, settle, cluster } = setting({ policy, tick: 0.5 });
    const first = call({ hashKey: 7n });
    registry.say(list(0));
    await Promise.resolve();
    expect(cluster.view()).toMatchObject({ building: true, waiting: 1 });
    while (cluster.view().building) await settle();
    await settle();
    expect(transport.attempts).toHaveLength(1);
    transport.latest.reply();
    await first.done;

    registry.say(list(1)); // the first endpoint left, another came
    for (let key = 0n; key < 1000n; key += 1n) call({ hashKey: key * 7919n });
    expect(cluster.view()).toMatchObject({ building: true, active: 1000, waiting: 0 });
    expect(transport.addresses.slice(1)).not.toContain('10.1.0.0:80');
    registry.say(list(2)); // while the table for the last change is not done yet
    while (cluster.view().building) await settle();
    const before = transport.attempts.length;
    for (let key = 0n; key < 2000n; key += 1n) call({ hashKey: key * 7919n });
    expect(new Set(transport.addresses.slice(before)).size).toBe(100);
    expect(transport.addresses.slice(before)).toContain('10.1.0.101:80');
  });
});

describe('the end', () => {
  test('closes the resolver with the last snapshot, and nothing runs on', () => {
    const { call, registry, transport, clock, close, book, cluster } = setting({
      policy: { resolution: 'dns', outlier: testOutlier({ consecutive5xx: 1, maxEjectionPercent: 100 }) },
    });
    cluster.start();
    registry.say(bound('10.0.0.1:80', '10.0.0.2:80'));
    call();
    let closed = 0;
    transport.latest.placement.wires.set('pool', { close: () => (closed += 1) });
    transport.latest.reply(500);
    expect(clock.pending).toBe(1); // the sweep
    close();
    expect([registry.closed, clock.pending, book.size, closed]).toEqual([1, 0, 0, 1]);
  });

  test('a subset that is gone no longer listens to the feed it shared', () => {
    const { call, registry, deploy, events } = setting({ policy: { resolution: 'dns', name: 'outbound|80|v1|reviews' } });
    call();
    registry.say(bound('10.0.0.1:80'));
    deploy({ policy: { resolution: 'dns', name: 'outbound|80|v2|reviews' } }).start();
    events.length = 0;
    registry.say(bound('10.0.0.2:80'));
    expect(registry).toMatchObject({ watches: 1, closed: 0 });
    expect(events).toEqual([{ type: 'endpoints.changed', cluster: 'outbound|80|v2|reviews', total: 1 }]);
  });

  test('refuses who still waits', async () => {
    const { call, close, cluster } = setting({ policy: { resolution: 'dns' } });
    const waiting = call();
    close();
    await waiting.done;
    expect(waiting.outcome.error!.code).toBe('CLOSED');
    const late = call({ through: cluster });
    await late.done;
    expect(late.outcome.error!.code).toBe('CLOSED');
  });
});

describe('panic', () => {
  test('is told when it begins and when it ends', async () => {
    const { call, registry, events, settle } = setting({ policy: { resolution: 'dns', panicPercent: 60 } });
    const list = (...health: ('healthy' | 'unhealthy')[]): Resolution => ({
      state: 'bound',
      endpoints: health.map((state, index) => testEndpoint(`10.0.0.${index + 1}:80`, { health: state })),
    });
    const panics = (): boolean[] => events.flatMap((event) => (event.type === 'cluster.panic' ? [event.active] : []));
    void call().done;
    registry.say(list('healthy', 'unhealthy'));
    await settle();
    expect(panics()).toEqual([true]);
    registry.say(list('healthy', 'healthy'));
    void call().done;
    await settle();
    expect(panics()).toEqual([true, false]);
  });
});

describe('a headless service', () => {
  test('answers a call to one pod by that pod, all others by any', async () => {
    const { call, registry, transport, settle } = setting({ policy: { resolution: 'dns' }, service: { headless: true } });
    void call().done;
    registry.say({
      state: 'bound',
      endpoints: [0, 1, 2].map((pod) => testEndpoint(`10.0.0.${pod}:80`, { hostname: `reviews-${pod}` })),
    });
    await settle();
    const to = (host: string): string => {
      void call({ call: { url: `http://${host}/` } }).done;
      return transport.latest.address;
    };
    for (const domain of ['reviews', 'reviews.default', 'reviews.default.svc.cluster.local']) {
      for (let turn = 0; turn < 3; turn += 1) expect(to(`reviews-1.${domain}`)).toBe('10.0.0.1:80');
    }
    expect(new Set([to('reviews'), to('reviews.default'), to('reviews-1.other'), to('nobody.reviews')]).size).toBeGreaterThan(1);
  });
});

describe('what is counted of a cluster', () => {
  const counts = (cluster: Cluster) => cluster.upstream()!.counts;

  test('nothing before its first use', () => {
    const { cluster, call } = setting();
    expect([cluster.upstream(), cluster.view().stats]).toEqual([undefined, undefined]);
    call();
    expect(cluster.upstream()).toMatchObject({ rqActive: 1, membershipTotal: 1, membershipHealthy: 1, counts: { rqTotal: 1, membershipChange: 1, updateSuccess: 1 } }); // prettier-ignore
  });

  test('how attempts end that do not come to their end', () => {
    const { cluster, call, transport } = setting();
    const end = (code: MeshError['code'], phase: MeshError['phase']): void => {
      call();
      transport.latest.fail(new MeshError(code, 'x', { phase }));
    };
    end('ATTEMPT_TIMEOUT', 'unanswered');
    end('DEADLINE_EXCEEDED', 'unsent');
    end('CONNECT_FAILED', 'unsent');
    end('RESET', 'unanswered');
    end('STREAM_RESET', 'unanswered');
    end('CANCELLED', 'unanswered');
    call();
    transport.latest.respond(200);
    transport.latest.fail(new MeshError('DEADLINE_EXCEEDED', 'the body came too late', { phase: 'answered' }));
    expect(counts(cluster)).toMatchObject({
      rqTotal: 7, rqPerTryTimeout: 1, rqTimeout: 1, rqPendingFailureEject: 2, rqRxReset: 1, rqTxReset: 3, rqCancelled: 1,
    }); // prettier-ignore
  });

  test('who waits, who is refused and who gives up, by limit', async () => {
    const limits = { connections: 1, pending: 1, requests: null, retries: 2 };
    const { cluster, call, transport, clock, settle } = setting({ policy: { limits } });
    call();
    const late = call({ timeoutMs: 100 });
    const refusal = call();
    await refusal.done;
    expect(cluster.upstream()).toMatchObject({
      rqActive: 1,
      rqPendingActive: 1,
      breakers: { cx: { open: true, remaining: 0 }, rq: null, rqPending: { open: true, remaining: 0 }, rqRetry: { open: false, remaining: 2 } },
      counts: { rqTotal: 1, rqPendingTotal: 1, rqPendingOverflow: 1, rqActiveOverflow: 0, cxOverflow: 2, rqTimeout: 0 },
    }); // prettier-ignore
    clock.advance(100);
    await late.done;
    transport.latest.reply();
    await settle();
    expect(cluster.upstream()).toMatchObject({
      rqActive: 0,
      rqPendingActive: 0,
      breakers: { cx: { open: false, remaining: 1 }, rqPending: { open: false, remaining: 1 } },
      counts: { rqTotal: 1, rqTimeout: 1, rqCancelled: 1 },
    });
    cluster.tryRetry();
    cluster.tryRetry();
    expect(cluster.upstream()!.breakers.rqRetry).toEqual({ open: true, remaining: 0 });
  });

  test('requests beyond http2MaxRequests', async () => {
    const { cluster, call } = setting({ policy: { limits: { connections: null, pending: null, requests: 1, retries: null } } });
    call();
    await call().done;
    expect(cluster.upstream()).toMatchObject({ breakers: { rq: { open: true } }, counts: { rqPendingOverflow: 1, rqActiveOverflow: 1 } });
  });

  test('members as they come and go, what look-ups come to, and calls for which nobody is there', async () => {
    const { cluster, call, registry, settle } = setting({ policy: { resolution: 'dns' } });
    call();
    registry.say(bound('10.0.0.1:80', '10.0.0.2:80'));
    registry.say({ state: 'failed', reason: 'SERVFAIL' });
    await settle();
    expect(cluster.upstream()).toMatchObject({ membershipTotal: 2, counts: { updateSuccess: 1, updateFailure: 1, updateEmpty: 0, membershipChange: 1 } }); // prettier-ignore
    registry.say(bound());
    await call().done;
    expect(cluster.upstream()).toMatchObject({ membershipTotal: 0, counts: { updateSuccess: 2, updateEmpty: 1, membershipChange: 2, cxNoneHealthy: 1 } }); // prettier-ignore
  });

  test('ejections, and attempts placed in panic', () => {
    const outlier = testOutlier({ consecutive5xx: 1, maxEjectionPercent: 50 });
    const { cluster, call, transport } = setting({ policy: { outlier, panicPercent: 60 }, hosts: hostsOf(2) });
    const answered = (status: number): void => {
      call();
      transport.latest.reply(status);
    };
    answered(500);
    expect(cluster.upstream()).toMatchObject({ membershipHealthy: 1, ejectionsActive: 1, counts: { lbHealthyPanic: 0 } });
    answered(500);
    answered(500);
    expect(counts(cluster).lbHealthyPanic).toBe(2);
    expect(counts(cluster)).toMatchObject({ ejectionsEnforced: 1, detected5xx: 2, enforced5xx: 1, ejectionsOverflow: 1 });
  });

  test('stays when the policy changes', () => {
    const { call, deploy } = setting();
    call();
    const next = deploy({ policy: { panicPercent: 10 } });
    call();
    expect(counts(next).rqTotal).toBe(2);
  });
});
