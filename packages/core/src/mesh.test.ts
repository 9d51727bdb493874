import {
  type ClusterPolicy,
  DEFAULT_TELEMETRY,
  type Destination,
  type Model,
  OPEN_INBOUND,
  type Route,
  type VirtualHost,
} from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import type { Exchange } from './exchange.ts';
import { NO_EDITS } from './call.ts';
import { MeshError } from './errors.ts';
import { Mesh, type MeshOptions } from './mesh.ts';
import type { EndedCall, MeshEvent } from './observer.ts';
import {
  fakeClock,
  scriptedTransport,
  seededRandom,
  testCall,
  testClusterPolicy,
  testSettings,
  testOutlier,
  testService,
  testSpec,
  testWorkload,
} from './testing/index.ts';

const HOST = 'reviews.default.svc.cluster.local';

function destination(fields: Partial<Destination> = {}): Destination {
  return { cluster: `outbound|80||${HOST}`, weight: 1, missing: null, requestHeaders: [], responseHeaders: [], authority: null, ...fields };
}

function route(fields: Partial<Route> = {}): Route {
  return {
    name: 'default',
    resource: null,
    match: { path: null, method: null, scheme: null, authority: null, headers: [], query: [] },
    action: { kind: 'forward', destinations: [destination()] },
    timeoutMs: null,
    retries: null,
    fault: null,
    mirrors: [],
    rewrite: null,
    responseHeaders: [],
    hash: [],
    ...fields,
  };
}

interface Given {
  readonly hosts?: readonly string[];
  readonly policy?: Partial<ClusterPolicy>;
  readonly routes?: readonly Route[];
  readonly outside?: Model['settings']['outboundTrafficPolicy'];
}

function model({ hosts = ['10.0.0.1', '10.0.0.2'], policy = {}, routes = [route()], outside = 'ALLOW_ANY' }: Given = {}): Model {
  const host: VirtualHost = { name: `${HOST}:80`, domains: ['reviews', HOST], port: 80, service: HOST, routes, why: [] };
  return {
    workload: testWorkload(),
    inbound: OPEN_INBOUND,
    settings: testSettings({ outboundTrafficPolicy: outside }),
    services: [testService({ endpoints: hosts.map((each) => testSpec(each)) })],
    hosts: [host],
    clusters: [testClusterPolicy(policy)],
    peers: [],
    telemetry: DEFAULT_TELEMETRY,
    objectives: [],
  };
}

async function setting(given: Given = {}, options: MeshOptions = {}) {
  const clock = fakeClock();
  const events: MeshEvent[] = [];
  const ended: { route: string; status: number; flags: number }[] = [];
  const observer = {
    route: ({ cluster }: { cluster: string }) => ({
      ended: ({ status, flags }: EndedCall) => void ended.push({ route: cluster, status, flags }),
    }),
    event: (event: MeshEvent) => void events.push(event),
  };
  const mesh = await Mesh.create(model(given), 'one', { clock, random: seededRandom(7), observer, ...options });
  const transport = scriptedTransport();
  /** What a transport does at its edge. */
  const send = (url = 'http://reviews/') => {
    const call = testCall({ url });
    const routed = mesh.find(call);
    const life = mesh.life(routed);
    const exchange: Exchange = {
      call,
      life,
      attempt: 0,
      tried: [],
      edits: NO_EDITS,
      hashKey: undefined,
      attemptTimeoutMs: 0,
      avoidPriorities: [],
    };
    let handled;
    try {
      handled = routed.handler(exchange, transport);
    } catch (error) {
      handled = Promise.reject(error as MeshError);
    }
    const done = handled
      .catch((error: unknown) => mesh.refuse(error as MeshError, exchange, transport))
      .then((reply) => {
        life.end(reply.status, reply.grpcStatus, clock.now());
        return reply;
      });
    done.catch(() => {});
    return { done, life, routed };
  };
  return { mesh, clock, events, ended, transport, send };
}

describe('a swap of policies', () => {
  it('lets calls in flight finish on the snapshot they began with, and then lets go of what only that one named', async () => {
    const { mesh, transport, send } = await setting();
    const before = mesh.status().leases;
    const old = send();
    mesh.apply(
      model({
        hosts: ['10.0.0.9'],
        policy: { name: `outbound|80|v2|${HOST}`, subset: 'v2' },
        routes: [route({ action: { kind: 'forward', destinations: [destination({ cluster: `outbound|80|v2|${HOST}` })] } })],
      }),
      'two',
    );
    const fresh = send();
    expect(transport.addresses[1]).toBe('10.0.0.9:8080');
    expect(mesh.status().leases).toBeGreaterThan(before);
    transport.attempts[0]!.reply(200);
    await old.done;
    expect(mesh.status()).toMatchObject({ version: 'two', callsInFlight: 1, leases: before });
    transport.attempts[1]!.reply(200);
    await fresh.done;
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('keeps what was learned: an ejected endpoint stays out, under new thresholds', async () => {
    const outlier = testOutlier({ consecutive5xx: 2, maxEjectionPercent: 100 });
    const { mesh, transport, send, events } = await setting({ policy: { outlier } });
    for (let i = 0; i < 8 && !events.some(({ type }) => type === 'endpoint.ejected'); i += 1) {
      const call = send();
      transport.latest.reply(transport.latest.address.startsWith('10.0.0.1') ? 500 : 200);
      await call.done;
    }
    expect(events).toContainEqual(expect.objectContaining({ type: 'endpoint.ejected', address: '10.0.0.1:8080' }));
    mesh.apply(model({ policy: { outlier: { ...outlier, consecutive5xx: 9 } }, routes: [route({ timeoutMs: 5000 })] }), 'two');
    const from = transport.addresses.length;
    for (let i = 0; i < 6; i += 1) {
      const call = send();
      transport.latest.reply(200);
      await call.done;
    }
    expect(new Set(transport.addresses.slice(from))).toEqual(new Set(['10.0.0.2:8080']));
  });

  it('that does not compile changes nothing and is visible', async () => {
    const { mesh, transport, send, events } = await setting();
    const broken = { ...model(), services: [] };
    expect(() => mesh.apply(broken, 'two')).toThrow(expect.objectContaining({ code: 'POLICY_INVALID' }) as Error);
    expect(mesh.status()).toMatchObject({ version: 'one', rejected: { reason: expect.stringContaining('service') as string } });
    expect(events).toContainEqual(expect.objectContaining({ type: 'policy.rejected', version: 'two' }));
    const call = send();
    transport.latest.reply(200);
    expect((await call.done).status).toBe(200);
    mesh.apply(model(), 'three');
    expect(mesh.status().rejected).toBeNull();
  });

  it('that is adjusted keeps its version and its time, what was refused since, and is told to nobody', async () => {
    const { mesh, events } = await setting();
    mesh.reject('two', 'no YAML');
    const before = mesh.status();
    const told = events.length;
    mesh.adjust(model({ routes: [route({ timeoutMs: 5000 })] }));
    expect(mesh.model.hosts[0]!.routes[0]!.timeoutMs).toBe(5000);
    const { version, appliedAt, rejected } = mesh.status();
    expect({ version, appliedAt, rejected }).toEqual({ version: before.version, appliedAt: before.appliedAt, rejected: before.rejected });
    expect(rejected).not.toBeNull();
    expect(events.length).toBe(told);
  });

  it('a hundred times leaves no more than the first', async () => {
    const { mesh } = await setting();
    const before = mesh.status().leases;
    for (let turn = 0; turn < 100; turn += 1) mesh.apply(model({ hosts: ['10.0.0.1', `10.0.1.${turn}`] }), `v${turn}`);
    expect(mesh.status().leases).toBe(before);
  });
});

describe('what the mesh refuses', () => {
  it('is an answer with its flag, and is counted as such', async () => {
    const { send, ended } = await setting({
      routes: [route({ match: { ...route().match, path: { kind: 'exact', value: '/only', ignoreCase: false } } })],
    });
    const reply = await send('http://reviews/other').done;
    expect([reply.status, reply.header('x-inmesh-flags')]).toEqual([404, 'NR']);
    expect(ended).toEqual([expect.objectContaining({ status: 404 })]);
  });

  it('is thrown where that was asked for, and the caller’s own abort always is', async () => {
    const throwing = await setting({ hosts: [] }, { localReplies: 'throw' });
    await expect(throwing.send().done).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
    const answering = await setting();
    const call = answering.send();
    call.life.cancel(new MeshError('CANCELLED', 'the caller went away'));
    await expect(call.done).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('leaves hosts it does not know to the transport, or blackholes them', async () => {
    const open = await setting();
    expect(open.mesh.find(testCall({ url: 'http://elsewhere.com/' })).kind).toBe('passthrough');
    const closed = await setting({ outside: 'REGISTRY_ONLY' });
    const reply = await closed.send('http://elsewhere.com/').done;
    expect(reply.status).toBe(502);
    expect(closed.ended[0]).toMatchObject({ route: 'BlackHoleCluster', status: 502 });
  });
});

describe('close', () => {
  it('refuses what is new, waits for what is under way, and lets go of everything', async () => {
    const { mesh, transport, send, clock } = await setting();
    const under = send();
    let closed = false;
    const closing = mesh.close().then(() => (closed = true));
    const late = await send().done;
    expect([late.status, closed]).toEqual([503, false]);
    transport.attempts[0]!.reply(200);
    await under.done;
    await clock.pass(0);
    await closing;
    expect([mesh.status().leases, clock.pending]).toEqual([0, 0]);
  });

  it('waits for calls of earlier policies too, which are counted until then; asked twice it is one close', async () => {
    const { mesh, transport, send, clock } = await setting();
    const under = send();
    mesh.apply(model({ hosts: ['10.0.0.3'] }), 'two');
    expect(mesh.status().callsInFlight).toBe(1);
    const closed: string[] = [];
    void mesh.close().then(() => closed.push('first'));
    void mesh.close().then(() => closed.push('second'));
    await clock.pass(1000);
    expect([closed, mesh.status().callsInFlight]).toEqual([[], 1]);
    transport.attempts[0]!.reply(200);
    await under.done;
    await clock.pass(0);
    expect([closed, mesh.status().callsInFlight, mesh.status().leases, clock.pending]).toEqual([['first', 'second'], 0, 0, 0]);
  });

  it('does not wait longer than its grace', async () => {
    const { mesh, send, clock } = await setting();
    send();
    let closed = false;
    void mesh.close(500).then(() => (closed = true));
    await clock.pass(499);
    expect(closed).toBe(false);
    await clock.pass(1);
    expect(closed).toBe(true);
  });
});
