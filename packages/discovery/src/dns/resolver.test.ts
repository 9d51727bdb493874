import type { EndpointSpec, Service } from '@inmesh/policy';
import type { Resolution } from '@inmesh/core';
import { type FakeClock, fakeClock, testService, testSpec } from '@inmesh/core/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Answer } from './answer.ts';
import type { Lookup } from './lookup.ts';
import { dnsResolver, type DnsResolverOptions } from './resolver.ts';

/** What the names answer: addresses (with a TTL of 30 s), whole answers, an error, or never. */
type Zone = Record<string, readonly (string | Answer)[] | Error | 'hangs'>;

let clock: FakeClock;
let zone: Zone;
let asked: string[];
beforeEach(() => {
  clock = fakeClock();
  zone = {};
  asked = [];
});

const lookup: Lookup = (host) => {
  asked.push(host);
  const found = zone[host] ?? Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
  if (found === 'hangs') return new Promise(() => {});
  if (found instanceof Error) return Promise.reject(found);
  return Promise.resolve(found.map((one) => (typeof one === 'string' ? { address: one, ttlMs: 30_000 } : one)));
};

const service = (fields: Partial<Service> = {}): Service => testService({ host: 'db.example.com', resolution: 'dns', ...fields });
const members = (...endpoints: EndpointSpec[]): Partial<Service> => ({ endpoints });

function follow(
  fields: Partial<Service> = {},
  options: DnsResolverOptions = {},
  resolver = dnsResolver({ lookup, ...options }),
  random = 0,
) {
  const told: Resolution[] = [];
  const watched = service(fields);
  const watch = resolver.watch({ service: watched, port: watched.ports[0]! }, (resolution) => told.push(resolution), {
    clock,
    random: () => random,
  });
  const words = (): string[] =>
    told.map((one) =>
      one.state === 'bound'
        ? // Draining ones in brackets.
          one.endpoints.map(({ address, health }) => (health === 'draining' ? `(${address})` : address)).join(' ')
        : one.state === 'failed'
          ? `failed: ${one.reason}`
          : one.state,
    );
  return { told, words, close: () => watch.close(), settled: () => clock.pass(0) };
}

describe('resolution DNS', () => {
  it('makes every address of the service’s own name an endpoint, on the service’s port', async () => {
    zone = { 'db.example.com': ['10.0.0.2', '10.0.0.1', 'fd00::1'] };
    const { told, settled } = follow();
    await settled();
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({
      state: 'bound',
      endpoints: [
        { address: '10.0.0.1:80', host: '10.0.0.1', port: 80, weight: 1, health: 'healthy', labels: {} },
        { address: '10.0.0.2:80' },
        { address: '[fd00::1]:80', host: 'fd00::1' },
      ],
    });
  });

  it('looks up the names of its members and keeps what the document says of each', async () => {
    zone = { 'a.example.com': ['10.0.0.1', '10.0.0.2'], 'b.example.com': ['10.0.1.1'] };
    const spec = testSpec('a.example.com', {
      labels: { version: 'v1' },
      weight: 3,
      ports: { 80: 8443 },
      workload: 'a',
      namespace: 'n',
      health: 'draining',
    });
    const { told, settled } = follow(members(spec, testSpec('b.example.com', { ports: {} })));
    await settled();
    const kept = { labels: { version: 'v1' }, weight: 3, workload: 'a', namespace: 'n', health: 'draining', locality: spec.locality };
    expect(told[0]).toMatchObject({
      endpoints: [
        { address: '10.0.0.1:8443', ...kept },
        { address: '10.0.0.2:8443', ...kept },
        { address: '10.0.1.1:80', weight: 1 },
      ],
    });
  });

  it('takes addresses as they are, at once, and leaves out members that do not listen on the port', () => {
    const { told } = follow(
      members(testSpec('10.9.9.9'), testSpec('[fd00::7]'), testSpec('unix:///run/db.sock'), testSpec('10.9.9.8', { ports: { 443: 8443 } })),
    );
    expect(told).toMatchObject([
      {
        endpoints: [
          { address: '10.9.9.9:8080' },
          { address: '[fd00::7]:8080', host: 'fd00::7' },
          { address: 'unix:///run/db.sock', host: '/run/db.sock', port: 0 },
        ],
      },
    ]);
    expect(told[0]).toHaveProperty('endpoints.length', 3);
    expect(asked).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('tells no part of a list: it waits until each name was answered or failed', async () => {
    zone = { 'a.example.com': ['10.0.0.1'], 'b.example.com': 'hangs' };
    const { words, settled } = follow(members(testSpec('a.example.com'), testSpec('b.example.com')), { timeoutMs: 5000 });
    await settled();
    expect(words()).toEqual([]);
    await clock.pass(5000);
    expect(words()).toEqual(['10.0.0.1:8080', 'failed: b.example.com: no answer within 5000 ms']);
  });

  it('counts an address named twice once', async () => {
    zone = { 'a.example.com': ['10.0.0.1'], 'b.example.com': ['10.0.0.1'] };
    const { words, settled } = follow(members(testSpec('a.example.com'), testSpec('b.example.com')));
    await settled();
    expect(words()).toEqual(['10.0.0.1:8080']);
  });
});

describe('resolution DNS_ROUND_ROBIN', () => {
  it('uses the first answer only, and follows its rotation', async () => {
    zone = { 'db.example.com': ['10.0.0.2', '10.0.0.1'] };
    const { words, settled } = follow({ resolution: 'dnsRoundRobin' });
    await settled();
    zone = { 'db.example.com': ['10.0.0.1', '10.0.0.2'] };
    await clock.pass(30_000);
    expect(words()).toEqual(['10.0.0.2:80', '10.0.0.1:80']);
  });
});

describe('looks up again', () => {
  it('when the shortest TTL ends, with up to a tenth more, and tells only what changed', async () => {
    zone = { 'db.example.com': [{ address: '10.0.0.1', ttlMs: 20_000 }, { address: '10.0.0.2', ttlMs: 5000 }] }; // prettier-ignore
    const { words, settled } = follow({}, {}, undefined, 1);
    await settled();
    await clock.pass(5499);
    expect(asked).toHaveLength(1);
    zone = { 'db.example.com': ['10.0.0.2', '10.0.0.1'] };
    await clock.pass(1);
    expect(asked).toHaveLength(2);
    expect(words()).toHaveLength(1);
    zone = { 'db.example.com': ['10.0.0.3'] };
    await clock.pass(33_000);
    expect(words()).toEqual(['10.0.0.1:80 10.0.0.2:80', '10.0.0.3:80 (10.0.0.1:80) (10.0.0.2:80)']);
  });

  it('after a second at the earliest, and at the refresh rate where no TTL is known', async () => {
    zone = { 'db.example.com': [{ address: '10.0.0.1', ttlMs: 0 }] };
    let refreshMs = 60_000;
    const { settled } = follow({}, { refreshMs: () => refreshMs });
    await settled();
    await clock.pass(999);
    expect(asked).toHaveLength(1);
    zone = { 'db.example.com': [{ address: '10.0.0.1', ttlMs: undefined }] };
    await clock.pass(1);
    expect(asked).toHaveLength(2);
    await clock.pass(59_999);
    expect(asked).toHaveLength(2);
    refreshMs = 5000;
    await clock.pass(1);
    await clock.pass(5000);
    expect(asked).toHaveLength(4);
  });

  it('after a failure with growing waits up to the refresh rate; the list stays, the failure is told, and so is its end', async () => {
    zone = { 'db.example.com': ['10.0.0.1'] };
    const { words, settled } = follow({}, {}, undefined, 0.999_999);
    await settled();
    zone = { 'db.example.com': new Error('queryA ESERVFAIL') };
    await clock.pass(33_000);
    const times: number[] = [];
    for (let count = asked.length; times.length < 8;) {
      await clock.pass(100);
      if (asked.length > count) times.push(Math.round(clock.now() / 1000));
      count = asked.length;
    }
    expect(times.map((time, index) => time - (times[index - 1] ?? 33))).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(words()).toEqual(['10.0.0.1:80', 'failed: db.example.com: queryA ESERVFAIL']);
    zone = { 'db.example.com': ['10.0.0.1'] };
    await clock.pass(60_000);
    expect(words().slice(2)).toEqual(['10.0.0.1:80']);
    zone = { 'db.example.com': new Error('again') };
    await clock.pass(33_000);
    const failures = asked.length;
    await clock.pass(1000);
    expect(asked).toHaveLength(failures + 1);
  });

  it('only the name that failed; the others go on', async () => {
    zone = { 'a.example.com': ['10.0.0.1'] };
    const { words, settled } = follow(members(testSpec('a.example.com'), testSpec('b.example.com')));
    await settled();
    zone = { 'a.example.com': ['10.0.0.1'], 'b.example.com': ['10.0.1.1'] };
    await clock.pass(1000);
    zone = { 'a.example.com': ['10.0.0.9'], 'b.example.com': new Error('gone') };
    await clock.pass(31_000);
    expect(words()).toEqual([
      '10.0.0.1:8080',
      'failed: b.example.com: has no addresses (getaddrinfo ENOTFOUND b.example.com)',
      '10.0.0.1:8080 10.0.1.1:8080',
      '10.0.0.9:8080 10.0.1.1:8080 (10.0.0.1:8080)',
      'failed: b.example.com: gone',
    ]);
  });

  it('not once it is closed, and forgets a look-up under way', async () => {
    zone = { 'db.example.com': ['10.0.0.1'] };
    const { told, close } = follow();
    close();
    await clock.pass(100_000);
    expect(told).toEqual([]);
    expect(asked).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });
});

describe('an address that is gone', () => {
  it('drains for a while, unless it comes back; of a name answered in turns, too', async () => {
    zone = { 'db.example.com': ['10.0.0.1', '10.0.0.2'] };
    const { words, settled, close } = follow({}, { drainMs: 40_000 });
    await settled();
    zone = { 'db.example.com': ['10.0.0.2'] };
    await clock.pass(30_000);
    zone = { 'db.example.com': ['10.0.0.1'] };
    await clock.pass(30_000);
    zone = { 'db.example.com': ['10.0.0.1'] };
    await clock.pass(39_999);
    expect(words()).toEqual([
      '10.0.0.1:80 10.0.0.2:80',
      '10.0.0.2:80 (10.0.0.1:80)',
      '10.0.0.1:80 (10.0.0.2:80)',
    ]); // prettier-ignore
    await clock.pass(1);
    expect(words().slice(3)).toEqual(['10.0.0.1:80']);
    zone = { 'db.example.com': ['10.0.0.3'] };
    await clock.pass(30_000);
    close();
    expect(clock.pending).toBe(0);
  });

  it('leaves at once if it was not healthy', async () => {
    zone = { 'a.example.com': ['10.0.0.1'], 'b.example.com': ['10.0.1.1', '10.0.1.2'] };
    const { words, settled } = follow(members(testSpec('a.example.com'), testSpec('b.example.com', { health: 'draining' })));
    await settled();
    zone = { 'a.example.com': ['10.0.0.1'], 'b.example.com': ['10.0.1.2'] };
    await clock.pass(30_000);
    expect(words()).toEqual(['10.0.0.1:8080 (10.0.1.1:8080) (10.0.1.2:8080)', '10.0.0.1:8080 (10.0.1.2:8080)']);
  });

  it('leaves at once where only the first counts', async () => {
    zone = { 'db.example.com': ['10.0.0.1'] };
    const { words, settled } = follow({ resolution: 'dnsRoundRobin' });
    await settled();
    zone = { 'db.example.com': ['10.0.0.2'] };
    await clock.pass(30_000);
    expect(words()).toEqual(['10.0.0.1:80', '10.0.0.2:80']);
  });
});

describe('a name that has no addresses any more', () => {
  const none = Object.assign(new Error('queryA ENOTFOUND'), { code: 'ENOTFOUND' });

  it('is doubted for a minute; then its addresses drain and go, and the reason is told', async () => {
    zone = { 'db.example.com': ['10.0.0.1'] };
    const { words, settled } = follow();
    await settled();
    zone = { 'db.example.com': none };
    await clock.pass(30_000 + 60_000);
    const denied = 'failed: db.example.com: has no addresses (queryA ENOTFOUND)';
    expect(words()).toEqual(['10.0.0.1:80', denied]);
    await clock.pass(4000);
    expect(words().slice(2)).toEqual(['(10.0.0.1:80)', denied]);
    await clock.pass(30_000);
    expect(words().slice(4)).toEqual(['', denied]);
    zone = { 'db.example.com': ['10.0.0.2'] };
    await clock.pass(60_000);
    expect(words().slice(6)).toEqual(['10.0.0.2:80']);
  });

  it('takes nothing from the others', async () => {
    zone = { 'a.example.com': ['10.0.0.1'], 'b.example.com': ['10.0.1.1'] };
    const { words, settled } = follow(members(testSpec('a.example.com'), testSpec('b.example.com')));
    await settled();
    zone = { 'a.example.com': ['10.0.0.1'], 'b.example.com': [] };
    await clock.pass(200_000);
    expect(words().at(-2)).toBe('10.0.0.1:8080');
    expect(words().at(-1)).toMatch(/^failed: b.example.com: has no addresses/);
  });

  it('is not believed while in between nobody could say, nor on one word, nor where it must not be', async () => {
    zone = { 'db.example.com': ['10.0.0.1'] };
    const doubting = follow({}, { confirmMs: Infinity });
    const slow = follow({}, { confirmMs: 0, refreshMs: 10_000 });
    const flapping = follow();
    await flapping.settled();
    zone = { 'db.example.com': none };
    await clock.pass(31_000);
    expect(slow.words()).toHaveLength(2);
    for (let round = 0; round < 4; round += 1) {
      zone = { 'db.example.com': new Error('queryA ESERVFAIL') };
      await clock.pass(61_000);
      zone = { 'db.example.com': none };
      await clock.pass(61_000);
    }
    for (const { told } of [doubting, flapping])
      expect(told.filter(({ state }) => state === 'bound')).toEqual([
        expect.objectContaining({ endpoints: [expect.objectContaining({ health: 'healthy' })] }),
      ]);
    zone = { 'db.example.com': none };
    await clock.pass(3_600_000);
    expect(doubting.told.filter(({ state }) => state === 'bound')).toHaveLength(1);
    expect(flapping.words().at(-2)).toBe('');
  });
});

describe('a member that is a name of SRV records', () => {
  const srv = (address: string, port: number, weight: number, priority = 0): Answer => ({ address, port, weight, priority, ttlMs: 30_000 });

  it('has ports, weights and priorities of its targets; weights share out what the document gives the member', async () => {
    zone = { '_http._tcp.db.internal': [srv('10.0.0.2', 9001, 10), srv('10.0.0.1', 9002, 1), srv('10.0.0.3', 9003, 1, 20)] };
    const { told, settled } = follow(
      members(testSpec('_http._tcp.db.internal', { weight: 3, labels: { version: 'v1' } }), testSpec('10.9.9.9')),
    );
    await settled();
    const labels = { version: 'v1' };
    expect(told).toMatchObject([
      {
        endpoints: [
          { address: '10.0.0.1:9002', host: '10.0.0.1', port: 9002, weight: 3, labels },
          { address: '10.0.0.2:9001', weight: 30, labels },
          { address: '10.0.0.3:9003', weight: 3, priority: 20, labels },
          { address: '10.9.9.9:8080', weight: 1 },
        ],
      },
    ]);
    expect(told[0]).not.toHaveProperty('endpoints.0.priority');
  });

  it('tells a weight or a priority that changed, and counts an address once, by its better priority', async () => {
    zone = { '_http._tcp.db.internal': [srv('10.0.0.1', 80, 1)] };
    const { told, settled } = follow(members(testSpec('_http._tcp.db.internal')));
    await settled();
    for (const answers of [[srv('10.0.0.1', 80, 2)], [srv('10.0.0.1', 80, 2, 5)], [srv('10.0.0.1', 80, 2, 5), srv('10.0.0.1', 80, 7, 4)]]) {
      zone = { '_http._tcp.db.internal': answers };
      await clock.pass(30_000);
    }
    expect(told.map((one) => one.state === 'bound' && one.endpoints.map(({ weight, priority }) => [weight, priority]))).toEqual([
      [[1, undefined]],
      [[2, undefined]],
      [[2, 5]],
      [[7, 4]],
    ]); // prettier-ignore
  });

  it('is about the port of that name only, or about any if there is none', async () => {
    zone = { '_http._tcp.db.internal': [srv('10.0.0.1', 8080, 1)], '_admin._tcp.db.internal': [srv('10.0.0.1', 9090, 1)], '_db._tcp.internal': [srv('10.0.0.2', 7, 1)] }; // prettier-ignore
    const ports = [{ number: 80, name: 'HTTP', protocol: 'HTTP' }, { number: 90, name: 'admin', protocol: 'HTTP' }] as const; // prettier-ignore
    const endpoints = ['_http._tcp.db.internal', '_admin._tcp.db.internal', '_db._tcp.internal'].map((name) =>
      testSpec(name, { ports: {} }),
    );
    const http = follow({ ports, endpoints });
    const admin = follow({ ports: [ports[1], ports[0]], endpoints });
    await admin.settled();
    expect(http.words()).toEqual(['10.0.0.1:8080 10.0.0.2:7']);
    expect(admin.words()).toEqual(['10.0.0.1:9090 10.0.0.2:7']);
  });
});

it('asks once for a name that several clusters share, and answers a later one at once', async () => {
  zone = { 'db.example.com': ['10.0.0.1'] };
  const resolver = dnsResolver({ lookup });
  const first = follow({}, {}, resolver);
  const second = follow({ ports: [{ number: 443, name: 'https', protocol: 'HTTPS' }] }, {}, resolver);
  await first.settled();
  const third = follow({}, {}, resolver);
  expect(asked).toHaveLength(1);
  expect([first, second, third].map(({ words }) => words())).toEqual([['10.0.0.1:80'], ['10.0.0.1:443'], ['10.0.0.1:80']]);
  first.close();
  second.close();
  await clock.pass(30_000);
  expect(asked).toHaveLength(2);
  third.close();
  expect(clock.pending).toBe(0);
  const later = follow({}, {}, resolver);
  expect(asked).toHaveLength(3);
  // What was known when the last one left may be long out of date.
  expect(later.words()).toEqual([]);
});

it('never throws: a look-up that does has failed, as has one without answers and a wildcard', async () => {
  const thrower = (): never => {
    throw new Error('broken');
  };
  const broken = follow({}, { lookup: thrower });
  zone = { 'db.example.com': [] };
  const empty = follow();
  const wildcard = follow({ host: '*.example.com', resolution: 'dynamicDns' });
  await empty.settled();
  expect(broken.words()).toEqual(['failed: db.example.com: broken']);
  expect(empty.words()).toEqual(['failed: db.example.com: has no addresses (query ENODATA db.example.com)']);
  expect(wildcard.words()).toEqual(['failed: *.example.com is a pattern and cannot be looked up: call one of its hosts']);
});

it('speaks for the resolutions that name DNS', () => {
  const resolver = dnsResolver({ lookup });
  const handles = (resolution: Service['resolution']): boolean =>
    resolver.handles({ service: service({ resolution }), port: service().ports[0]! });
  expect((['dns', 'dnsRoundRobin', 'dynamicDns', 'static', 'none'] as const).map(handles)).toEqual([true, true, true, false, false]);
});
