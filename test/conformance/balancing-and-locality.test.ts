import { testRuntime } from '@inmesh/core/testing';
import type { Workload } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { cluster, destinationRule, document, meshConfig, modelOf, resource, run, virtualService, type Running } from './world.ts';

/**
 * DestinationRule loadBalancer: Envoy's balancers, consistent hashing, and Istio's ranking by place
 * (pilot/pkg/networking/core/loadbalancer/loadbalancer.go).
 */

interface Member {
  readonly address: string;
  readonly port?: number;
  readonly locality?: string;
  readonly weight?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly network?: string;
}

/** The service x.test with these members. */
const entry = (members: readonly Member[], annotations: object = {}): string =>
  resource(
    'ServiceEntry',
    'x',
    [
      'hosts: [x.test]',
      'resolution: STATIC',
      'location: MESH_INTERNAL',
      'ports: [{ number: 80, name: http, protocol: HTTP }]',
      'endpoints:',
      ...members.map(({ port, ...member }) => `- ${JSON.stringify({ ...member, ports: { http: port ?? 80 } })}`),
    ].join('\n'),
    { annotations },
  );
const rule = (policy: string): string => destinationRule('x', `host: x.test\ntrafficPolicy: { ${policy} }`);
const LB = (simple: string): string => `loadBalancer: { simple: ${simple} }`;
const members = (count: number, more: Partial<Member> = {}): readonly Member[] =>
  Array.from({ length: count }, (_, index) => ({ address: `10.0.0.${index + 1}`, ...more }));
const url = 'http://x.test/';

/** Shares of the calls by the last number of the address, 0 to 1. */
async function shares(
  { call, transport }: Running,
  calls = 2000,
  by: (address: string) => string = (address) => address,
): Promise<Readonly<Record<string, number>>> {
  const from = transport.addresses.length;
  for (let count = 0; count < calls; count += 1) await call(url, 0);
  const counts: Record<string, number> = {};
  for (const address of transport.addresses.slice(from)) counts[by(address)] = (counts[by(address)] ?? 0) + 1 / calls;
  return counts;
}

describe('simple', () => {
  const kindOf = (policy: string): unknown => cluster(modelOf(document(entry(members(2)), policy)), '80||x.test').loadBalancer.kind;
  it.each<readonly [policy: string, expected: string]>([
    ['', 'leastRequest'],
    [rule(LB('UNSPECIFIED')), 'leastRequest'],
    [rule(LB('LEAST_REQUEST')), 'leastRequest'],
    [rule(LB('LEAST_CONN')), 'leastRequest'],
    [rule(LB('ROUND_ROBIN')), 'roundRobin'],
    [rule(LB('RANDOM')), 'random'],
    [rule(LB('PASSTHROUGH')), 'passthrough'],
  ])('%s is %s', (policy, expected) => {
    expect(kindOf(policy)).toBe(expected);
  });

  it('LEAST_REQUEST: of two drawn, the one with fewer calls', async () => {
    const running = await run(entry(members(2)), () => {});
    const { begin, clock, transport } = running;
    for (let count = 0; count < 400; count += 1) begin(url);
    await clock.pass(0);
    const [one, two] = ['10.0.0.1:80', '10.0.0.2:80'].map((address) => transport.addresses.filter((each) => each === address).length);
    // Two draws from two with replacement leave them uneven by a handful, never by chance alone (σ would be 10).
    expect(Math.abs((one ?? 0) - (two ?? 0))).toBeLessThanOrEqual(6);
  });

  it('LEAST_REQUEST: a busy endpoint is left alone', async () => {
    const { begin, clock, transport } = await run(entry(members(2)), (attempt) => {
      if (attempt.address !== '10.0.0.1:80') attempt.reply(200);
    });
    for (let count = 0; count < 50; count += 1) begin(url);
    await clock.pass(0);
    const stuck = transport.open.length;
    const from = transport.addresses.length;
    for (let count = 0; count < 200; count += 1) begin(url);
    await clock.pass(0);
    // Only when both draws name the busy one, a quarter of the time, does it get a call.
    expect(transport.addresses.slice(from).filter((address) => address === '10.0.0.1:80').length / 200).toBeCloseTo(0.25, 1);
    expect(stuck).toBeGreaterThan(0);
  });

  it('LEAST_REQUEST with unequal weights follows them', async () => {
    const running = await run(
      entry([
        { address: '10.0.0.1', weight: 3 },
        { address: '10.0.0.2', weight: 1 },
      ]),
    );
    expect((await shares(running))['10.0.0.1:80']).toBeCloseTo(0.75, 1);
  });

  it('ROUND_ROBIN goes round', async () => {
    const { call, transport } = await run(document(entry(members(3)), rule(LB('ROUND_ROBIN'))));
    for (let count = 0; count < 9; count += 1) await call(url, 0);
    const [first, second, third] = transport.addresses;
    expect(new Set([first, second, third]).size).toBe(3);
    expect(transport.addresses).toEqual([first, second, third, first, second, third, first, second, third]);
  });

  it('ROUND_ROBIN with unequal weights follows them exactly', async () => {
    const running = await run(
      document(
        entry([
          { address: '10.0.0.1', weight: 3 },
          { address: '10.0.0.2', weight: 1 },
        ]),
        rule(LB('ROUND_ROBIN')),
      ),
    );
    expect((await shares(running, 400))['10.0.0.1:80']).toBeCloseTo(0.75, 2);
  });

  it('RANDOM does not look at weights', async () => {
    const running = await run(
      document(
        entry([
          { address: '10.0.0.1', weight: 9 },
          { address: '10.0.0.2', weight: 1 },
        ]),
        rule(LB('RANDOM')),
      ),
    );
    expect((await shares(running))['10.0.0.1:80']).toBeCloseTo(0.5, 1);
  });

  it('PASSTHROUGH dials what the caller asked for', async () => {
    const { call, transport } = await run(document(entry(members(3)), rule(LB('PASSTHROUGH'))));
    await call(url);
    expect(transport.addresses).toEqual(['x.test:80']);
  });

  it('resolution NONE dials it too', async () => {
    const none = resource('ServiceEntry', 'x', 'hosts: [x.test]\nports: [{ number: 80, name: http, protocol: HTTP }]');
    const { call, transport } = await run(none);
    await call(url);
    expect(transport.addresses).toEqual(['x.test:80']);
  });
});

describe('slow start', () => {
  it.each<readonly [warmup: string, expected: object | null]>([
    ['warmup: { duration: 60s }', { windowMs: 60_000, minPercent: 10, aggression: 1 }],
    ['warmup: { duration: 60s, minimumPercent: 25, aggression: 2 }', { windowMs: 60_000, minPercent: 25, aggression: 2 }],
    ['warmupDurationSecs: 30s', { windowMs: 30_000, minPercent: 10, aggression: 1 }],
    ['simple: ROUND_ROBIN', null],
  ])('%s', (warmup, expected) => {
    expect(cluster(modelOf(document(entry(members(1)), rule(`loadBalancer: { ${warmup} }`))), '80||x.test').slowStart).toEqual(expected);
  });

  it.each<readonly [secondsAfter: number, weight: number]>([
    [0, 0.1],
    [3, 0.1],
    [30, 0.5],
    [45, 0.75],
    [60, 1],
    [90, 1],
  ])('%s s after it joined, an endpoint weighs %s', async (seconds, weight) => {
    const policy = rule('loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 60s } }');
    const running = await run(document(entry(members(1)), policy));
    await running.call(url, 0);
    await running.clock.pass(120_000);
    running.mesh.apply(modelOf(document(entry(members(2)), policy)), 'v2');
    await running.call(url, 0);
    await running.clock.pass(seconds * 1000);
    const share = (await shares(running, 600))['10.0.0.2:80'] ?? 0;
    expect(share).toBeCloseTo(weight / (1 + weight), 1);
  });
});

// ── consistent hashing ───────────────────────────────────────────────────────────────────────────────────────────────

const { hash } = testRuntime();
const MASK = (1n << 64n) - 1n;

describe('consistent hashing: the key', () => {
  const HASH = (key: string): string => rule(`loadBalancer: { consistentHash: { ${key} } }`);
  const target = async (running: Running, call: Parameters<Running['call']>[0]): Promise<string> => {
    const { address } = await running.call(call);
    return address ?? '';
  };
  const several = async (running: Running, call: Parameters<Running['call']>[0], times = 40): Promise<number> => {
    const found = new Set<string>();
    for (let count = 0; count < times; count += 1) found.add(await target(running, call));
    return found.size;
  };

  it.each<readonly [statement: string, key: string, same: Parameters<Running['call']>[0], without: Parameters<Running['call']>[0]]>([
    ['a header', 'httpHeaderName: X-User', { url, headers: { 'x-user': 'ann' } }, url],
    ['a cookie', 'httpCookie: { name: user }', { url, headers: { cookie: 'a=b; user=ann' } }, { url, headers: { cookie: 'a=b' } }],
    ['the source address', 'useSourceIp: true', { url, sourceIp: '1.2.3.4' }, url],
    ['a query parameter', 'httpQueryParameterName: user', `${url}?user=ann`, `${url}?other=ann`],
  ])('%s: the same key, the same endpoint; without it any endpoint', async (_, key, same, without) => {
    const running = await run(document(entry(members(8)), HASH(key)));
    expect(await several(running, same)).toBe(1);
    expect(await several(running, without)).toBeGreaterThan(3);
  });

  it('repeated header values are sorted first', async () => {
    const running = await run(document(entry(members(8)), HASH('httpHeaderName: x')));
    for (const pair of [
      ['a', 'b'],
      ['c', 'd'],
      ['z', 'y'],
    ] as const)
      expect(await target(running, { url, headers: { x: pair } })).toBe(await target(running, { url, headers: { x: [pair[1], pair[0]] } }));
  });

  it('the query is not URL-decoded, and its first value counts', async () => {
    const running = await run(document(entry(members(32)), HASH('httpQueryParameterName: q')));
    expect(await target(running, `${url}?q=a&q=b`)).toBe(await target(running, `${url}?q=a&q=c`));
    const decoded = new Set<boolean>();
    for (const letter of 'abcdefgh')
      decoded.add((await target(running, `${url}?q=%6${letter.charCodeAt(0) - 96}`)) === (await target(running, `${url}?q=${letter}`)));
    expect(decoded.has(false)).toBe(true);
  });

  it.each<readonly [statement: string, cookie: string, made: RegExp | null]>([
    ['without a ttl none is made', 'name: user', null],
    ['with a ttl one is made', 'name: user, ttl: 3600s', /^user="[0-9a-f]{16}"; Max-Age=3600; HttpOnly$/],
    ['ttl is cut to whole seconds', 'name: user, ttl: 1.9s', /; Max-Age=1;/],
    ['ttl 0s: a session cookie', 'name: user, ttl: 0s', /^user="[0-9a-f]{16}"; HttpOnly$/],
    ['with a path', 'name: user, ttl: 0s, path: /p', /; Path=\/p;/],
    ['with attributes', 'name: user, ttl: 0s, attributes: [{ name: SameSite, value: Strict }]', /; SameSite=Strict;/],
  ])('a cookie: %s', async (_, cookie, made) => {
    const { call, transport } = await run(document(entry(members(8)), HASH(`httpCookie: { ${cookie} }`)));
    await call(url);
    const op = transport.latest.exchange.edits.response.find(({ name }) => name === 'set-cookie');
    if (made === null) expect(op).toBeUndefined();
    else expect(op).toMatchObject({ op: 'add', value: expect.stringMatching(made) });
  });

  it('a cookie that is made leads back to the endpoint that was chosen', async () => {
    const running = await run(document(entry(members(8)), HASH('httpCookie: { name: user, ttl: 0s }')));
    for (let count = 0; count < 10; count += 1) {
      const first = await target(running, url);
      const op = running.transport.latest.exchange.edits.response.find(({ name }) => name === 'set-cookie');
      const value = op?.op === 'add' ? /user="(\w+)"/.exec(op.value)?.[1] : undefined;
      expect(await target(running, { url, headers: { cookie: `user=${value}` } })).toBe(first);
    }
  });
});

/** Envoy's ring, written down once more from its description: for equal weights. */
function ring(addresses: readonly string[], minimum: number): readonly { readonly hash: bigint; readonly address: string }[] {
  const each = Math.ceil(minimum / addresses.length);
  return addresses
    .flatMap((address) => Array.from({ length: each }, (_, index) => ({ hash: hash.hash64(`${address}_${index}`), address })))
    .toSorted((a, b) => (a.hash < b.hash ? -1 : 1));
}

const onRing = (points: ReturnType<typeof ring>, key: bigint, attempt = 0): string => {
  const found = points.findIndex((point) => point.hash >= key);
  return points[((found < 0 ? 0 : found) + attempt) % points.length]!.address;
};

describe('ring hash', () => {
  const three = members(3);
  const addresses = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];

  it.each<readonly [settings: string, size: number]>([
    ['', 1024],
    [', ringHash: { minimumRingSize: 64 }', 64],
    [', minimumRingSize: 128', 128],
  ])('points are xxHash64 of address_index, look-up is the first at or above%s', async (settings, size) => {
    const { call } = await run(document(entry(three), rule(`loadBalancer: { consistentHash: { httpHeaderName: x${settings} } }`)));
    const points = ring(addresses, size);
    for (let user = 0; user < 60; user += 1) {
      const key = hash.hash64(`user-${user}`);
      expect((await call({ url, headers: { x: `user-${user}` } })).address).toBe(onRing(points, key));
    }
  });

  it('a retry goes on by its number along the ring', async () => {
    const vs = virtualService(
      'x',
      'hosts: [x.test]\nhttp: [{ route: [{ destination: { host: x.test } }], retries: { attempts: 3, retryOn: 5xx } }]',
    );
    const { call, transport } = await run(
      document(entry(three), vs, rule('loadBalancer: { consistentHash: { httpHeaderName: x } }')),
      (attempt) => attempt.reply(503),
    );
    const points = ring(addresses, 1024);
    for (let user = 0; user < 10; user += 1) {
      const from = transport.addresses.length;
      await call({ url, headers: { x: `user-${user}` } });
      expect(transport.addresses.slice(from)).toEqual([0, 1, 2, 3].map((attempt) => onRing(points, hash.hash64(`user-${user}`), attempt)));
    }
  });

  it('two destinations with the same key hash it twice: rotl(h, 1) XOR h', async () => {
    const yaml = document(
      entry(three.map((member) => ({ ...member, labels: { all: 'yes' } }))),
      destinationRule(
        'x',
        'host: x.test\ntrafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x } } }\nsubsets: [{ name: a, labels: { all: "yes" } }, { name: b, labels: { all: "yes" } }]',
      ),
      virtualService(
        'x',
        'hosts: [x.test]\nhttp: [{ route: [{ destination: { host: x.test, subset: a }, weight: 50 }, { destination: { host: x.test, subset: b }, weight: 50 }] }]',
      ),
    );
    const { call } = await run(yaml);
    const points = ring(addresses, 1024);
    for (let user = 0; user < 30; user += 1) {
      const once = hash.hash64(`user-${user}`);
      const twice = (((once << 1n) & MASK) | (once >> 63n)) ^ once;
      expect((await call({ url, headers: { x: `user-${user}` } })).address).toBe(onRing(points, twice));
    }
  });

  it('sizes', () => {
    const size = (settings: string): unknown =>
      cluster(modelOf(document(entry(three), rule(`loadBalancer: { consistentHash: { httpHeaderName: x${settings} } }`))), '80||x.test')
        .loadBalancer;
    expect(size('')).toEqual({ kind: 'ringHash', minimumRingSize: 1024, maximumRingSize: 8_388_608 });
    expect(size(', maglev: {}')).toEqual({ kind: 'maglev', tableSize: 65_537 });
    expect(size(', maglev: { tableSize: 7 }')).toEqual({ kind: 'maglev', tableSize: 7 });
  });
});

describe('Maglev', () => {
  const six = Array.from({ length: 6 }, (_, index) => ({ address: '127.0.0.1', port: 90 + index }));
  /** Envoy's own example: hosts 127.0.0.1:90 to :95 in a table of 7. */
  const TABLE = [2, 4, 0, 1, 5, 0, 3];

  it("the table is Envoy's", async () => {
    const { call } = await run(
      document(entry(six), rule('loadBalancer: { consistentHash: { httpHeaderName: x, maglev: { tableSize: 7 } } }')),
    );
    const seen = new Set<number>();
    for (let user = 0; user < 60; user += 1) {
      const slot = Number(hash.hash64(`user-${user}`) % 7n);
      seen.add(slot);
      expect((await call({ url, headers: { x: `user-${user}` } })).address).toBe(`127.0.0.1:${90 + TABLE[slot]!}`);
    }
    expect(seen.size).toBe(7);
  });

  it('a retry looks at another slot: hash XOR (2⁶⁴ − attempt)', async () => {
    const vs = virtualService(
      'x',
      'hosts: [x.test]\nhttp: [{ route: [{ destination: { host: x.test } }], retries: { attempts: 3, retryOn: 5xx } }]',
    );
    const { call, transport } = await run(
      document(entry(six), vs, rule('loadBalancer: { consistentHash: { httpHeaderName: x, maglev: { tableSize: 7 } } }')),
      (attempt) => attempt.reply(503),
    );
    for (let user = 0; user < 10; user += 1) {
      const from = transport.addresses.length;
      await call({ url, headers: { x: `user-${user}` } });
      const key = hash.hash64(`user-${user}`);
      const slots = [key, ...[1n, 2n, 3n].map((attempt) => key ^ (MASK - attempt + 1n))].map((one) => Number(one % 7n));
      expect(transport.addresses.slice(from)).toEqual(slots.map((slot) => `127.0.0.1:${90 + TABLE[slot]!}`));
    }
  });
});

// ── locality ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const HERE: Partial<Workload> = { locality: { region: 'eu', zone: 'a', subzone: '1' } };
/** Outlier detection that never ejects: it is what switches failover on. */
const DETECTS = 'outlierDetection: { consecutive5xxErrors: 0 }';
const place = (locality: string, last: number, more: Partial<Member> = {}): Member => ({
  address: `10.0.0.${last}`,
  ...(locality === '' ? {} : { locality }),
  ...more,
});

describe('locality: who is first', () => {
  /** Which members get calls, sorted; the rest are of lower priority. */
  const called = async (list: readonly Member[], policy: string, who: Partial<Workload> = HERE, more = ''): Promise<readonly string[]> => {
    const running = await run(document(entry(list), policy === '' ? '' : rule(policy), more), undefined, { who });
    return Object.keys(await shares(running, 300, (address) => address.replace(/^10\.0\.0\.(\d+):80$/, '$1'))).toSorted();
  };
  const all = [place('eu/a/1', 1), place('eu/a/2', 2), place('eu/b/1', 3), place('us/a/1', 4)];

  it.each<readonly [statement: string, list: readonly Member[], policy: string, expected: readonly string[]]>([
    ['without outlier detection place does not count', all, '', ['1', '2', '3', '4']],
    ['outlier detection alone switches failover on: same subzone first', all, DETECTS, ['1']],
    ['then the same zone', all.slice(1), DETECTS, ['2']],
    ['then the same region', all.slice(2), DETECTS, ['3']],
    ['then the rest', all.slice(3), DETECTS, ['4']],
    ['elsewhere all are alike', [place('us/a/1', 4), place('ap/a/1', 5)], DETECTS, ['4', '5']],
    [
      'failover names the region that comes first',
      [place('us/a/1', 4), place('ap/a/1', 5)],
      `${DETECTS}, loadBalancer: { localityLbSetting: { enabled: true, failover: [{ from: eu, to: ap }] } }`,
      ['5'],
    ],
    [
      'failover from another region does not matter',
      [place('us/a/1', 4), place('ap/a/1', 5)],
      `${DETECTS}, loadBalancer: { localityLbSetting: { enabled: true, failover: [{ from: us, to: ap }] } }`,
      ['4', '5'],
    ],
    [
      'a rule that says enabled: false ends it',
      all,
      `${DETECTS}, loadBalancer: { localityLbSetting: { enabled: false } }`,
      ['1', '2', '3', '4'],
    ],
  ])('%s', async (_, list, policy, expected) => {
    expect(await called(list, policy)).toEqual(expected);
  });

  it.each<readonly [statement: string, mesh: string, policy: string, expected: readonly string[]]>([
    ['the mesh may switch it off', 'localityLbSetting: { enabled: false }', DETECTS, ['1', '2', '3', '4']],
    [
      'a rule beats the mesh',
      'localityLbSetting: { enabled: false }',
      `${DETECTS}, loadBalancer: { localityLbSetting: { enabled: true } }`,
      ['1'],
    ],
  ])('%s', async (_, mesh, policy, expected) => {
    expect(await called(all, policy, HERE, meshConfig(mesh))).toEqual(expected);
  });

  describe('failoverPriority', () => {
    const labelled = (last: number, labels: Record<string, string>, more: Partial<Member> = {}): Member => ({
      address: `10.0.0.${last}`,
      labels,
      ...more,
    });
    const BY = (labels: string): string =>
      `${DETECTS}, loadBalancer: { localityLbSetting: { enabled: true, failoverPriority: [${labels}] } }`;
    const who: Partial<Workload> = { ...HERE, labels: { app: 'x', version: 'v1', tier: 'front' }, network: 'n1' };

    it.each<readonly [statement: string, labels: string, list: readonly Member[], expected: readonly string[]]>([
      ['all labels equal', 'app, version', [labelled(1, { app: 'x', version: 'v1' }), labelled(2, { app: 'x', version: 'v2' })], ['1']],
      [
        'the first that differs decides',
        'app, version',
        [labelled(1, { app: 'x', version: 'v2' }), labelled(2, { app: 'y', version: 'v1' })],
        ['1'],
      ],
      [
        'behind the first that differs nothing counts',
        'app, version, tier',
        [labelled(1, { app: 'y', version: 'v1', tier: 'front' }), labelled(2, { app: 'y', version: 'v9', tier: 'back' })],
        ['1', '2'],
      ],
      ['a fixed value', '"version=v2"', [labelled(1, { version: 'v1' }), labelled(2, { version: 'v2' })], ['2']],
      [
        'regions and zones are labels too',
        'topology.kubernetes.io/region, topology.kubernetes.io/zone',
        [place('eu/b', 1), place('us/a', 2)],
        ['1'],
      ],
      [
        'place does not count beside labels unless failover is given',
        'app',
        [labelled(1, { app: 'x' }, { locality: 'us/a/1' }), labelled(2, { app: 'x' }, { locality: 'eu/a/1' })],
        ['1', '2'],
      ],
      [
        'a network first: another one adds N and goes on',
        'topology.istio.io/network, version',
        [labelled(1, { version: 'v9' }, { network: 'n2' }), labelled(2, { version: 'v1' }, { network: 'n2' })],
        ['2'],
      ],
      [
        "a network of one's own before all",
        'topology.istio.io/network, version',
        [labelled(1, { version: 'v9' }, { network: 'n1' }), labelled(2, { version: 'v1' }, { network: 'n2' })],
        ['1'],
      ],
    ])('%s', async (_, labels, list, expected) => {
      expect(await called(list, BY(labels), who)).toEqual(expected);
    });

    it('with failover both count, labels five times as much', async () => {
      const both = `${DETECTS}, loadBalancer: { localityLbSetting: { enabled: true, failover: [{ from: eu, to: us }], failoverPriority: [version] } }`;
      expect(
        await called(
          [labelled(1, { version: 'v1' }, { locality: 'us/a' }), labelled(2, { version: 'v9' }, { locality: 'eu/a/1' })],
          both,
          who,
        ),
      ).toEqual(['1']);
      expect(
        await called(
          [labelled(1, { version: 'v1' }, { locality: 'us/a' }), labelled(2, { version: 'v1' }, { locality: 'eu/b/1' })],
          both,
          who,
        ),
      ).toEqual(['2']);
    });
  });

  describe('trafficDistribution', () => {
    const near = async (value: string, list: readonly Member[], who: Partial<Workload> = HERE): Promise<readonly string[]> => {
      const running = await run(entry(list, { 'networking.istio.io/traffic-distribution': value }), undefined, { who });
      return Object.keys(await shares(running, 300, (address) => address.replace(/^10\.0\.0\.(\d+):80$/, '$1'))).toSorted();
    };
    it.each<readonly [value: string, expected: readonly string[]]>([
      ['PreferClose', ['1', '2']],
      ['PreferSameZone', ['1', '2']],
      ['PreferSameNode', ['1']],
    ])('%s works without outlier detection', async (value, expected) => {
      expect(await near(value, all)).toEqual(expected);
    });

    it('a rule beats it', async () => {
      const running = await run(
        document(
          entry(all, { 'networking.istio.io/traffic-distribution': 'PreferClose' }),
          rule('loadBalancer: { localityLbSetting: { enabled: false } }'),
        ),
        undefined,
        { who: HERE },
      );
      expect(Object.keys(await shares(running, 300))).toHaveLength(4);
    });

    it('it beats the mesh', async () => {
      const running = await run(
        document(
          entry(all, { 'networking.istio.io/traffic-distribution': 'PreferClose' }),
          meshConfig('localityLbSetting: { enabled: false }'),
        ),
        undefined,
        { who: HERE },
      );
      expect(Object.keys(await shares(running, 300))).toHaveLength(2);
    });
  });
});

describe('locality: distribute', () => {
  const DISTRIBUTE = (list: string): string =>
    `loadBalancer: { simple: ROUND_ROBIN, localityLbSetting: { enabled: true, distribute: [${list}] } }`;
  const zones = [place('eu/a/1', 1), place('eu/a/2', 2), place('eu/b/1', 3), place('us/a/1', 4)];
  const dealt = async (list: string, given: readonly Member[] = zones): Promise<Readonly<Record<string, number>>> =>
    shares(await run(document(entry(given), rule(DISTRIBUTE(list))), undefined, { who: HERE }), 1000, (address) =>
      address.replace(/^10\.0\.0\.(\d+):80$/, '$1'),
    );

  it.each<readonly [statement: string, list: string, expected: Readonly<Record<string, number>>]>([
    ['percents by locality, without outlier detection', '{ from: eu/a/1, to: { eu/a/1: 60, us/a/1: 40 } }', { 1: 0.6, 4: 0.4 }],
    [
      'a pattern shares among its localities by their weight',
      '{ from: eu/a/1, to: { "eu/a/*": 50, eu/b/1: 50 } }',
      { 1: 0.25, 2: 0.25, 3: 0.5 },
    ],
    ['localities no pattern names get nothing', '{ from: eu/a/1, to: { eu/b/1: 100 } }', { 3: 1 }],
    ['from may be a pattern: zone', '{ from: "eu/a/*", to: { eu/b/1: 100 } }', { 3: 1 }],
    ['from may be a pattern: region', '{ from: eu, to: { eu/b/1: 100 } }', { 3: 1 }],
    ['from may be anywhere', '{ from: "*", to: { eu/b/1: 100 } }', { 3: 1 }],
    [
      'the first from that matches holds',
      '{ from: us, to: { us/a/1: 100 } }, { from: "eu/*", to: { eu/b/1: 100 } }, { from: "*", to: { us/a/1: 100 } }',
      { 3: 1 },
    ],
  ])('%s', async (_, list, expected) => {
    const found = await dealt(list);
    expect(Object.keys(found).toSorted()).toEqual(Object.keys(expected).toSorted());
    for (const [last, share] of Object.entries(expected)) expect(found[last]).toBeCloseTo(share, 1);
  });

  it('if no from matches nothing happens', async () => {
    expect(Object.keys(await dealt('{ from: ap, to: { us/a/1: 100 } }'))).toHaveLength(4);
  });

  it('all that a pattern names being gone, nobody fails over: 503 UH', async () => {
    const { call } = await run(document(entry([place('us/a/1', 4)]), rule(DISTRIBUTE('{ from: "*", to: { eu/b/1: 100 } }'))), undefined, {
      who: HERE,
    });
    expect(await call(url)).toMatchObject({ status: 503, flags: 'UH' });
  });
});

// ── priorities ───────────────────────────────────────────────────────────────────────────────────────────────────────

describe('load of priorities', () => {
  /**
   * A service of three zones, our own first, of which some endpoints are not ready but published all the same: the one
   * way a document says that an endpoint is ill.
   */
  function service(zones: readonly { readonly ready: number; readonly total: number }[]): string {
    const endpoints = zones.flatMap(({ ready, total }, zone) =>
      Array.from({ length: total }, (_, index) => ({
        addresses: [`10.${zone}.${index >> 8}.${index & 255}`],
        conditions: { ready: index < ready },
        nodeName: `node-${zone}`,
      })),
    );
    const regions = ['eu', 'eu', 'us'];
    return [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'x' },
        spec: { publishNotReadyAddresses: true, clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] },
      },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'x', labels: { 'kubernetes.io/service-name': 'x' } },
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 80 }],
        endpoints,
      },
      ...zones.map((_, zone) => ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: {
          name: `node-${zone}`,
          labels: { 'topology.kubernetes.io/region': regions[zone], 'topology.kubernetes.io/zone': `z${zone}` },
        },
      })),
    ]
      .map((object) => JSON.stringify(object))
      .join('\n---\n');
  }
  const who: Partial<Workload> = { locality: { region: 'eu', zone: 'z0', subzone: '' } };

  /** Percent of calls by zone. Drawing every percent once makes them exact. */
  async function loads(zones: Parameters<typeof service>[0]): Promise<readonly number[]> {
    const policy = destinationRule(
      'x',
      'host: x\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 0 }, loadBalancer: { simple: ROUND_ROBIN } }',
    );
    let draw = 0;
    const running = await run(document(service(zones), policy), undefined, { who, random: () => ((draw += 1) % 100) / 100 + 0.001 });
    for (let count = 0; count < 100; count += 1) await running.call('http://x/', 0);
    return zones.map((_, zone) => running.transport.addresses.filter((address) => address.startsWith(`10.${zone}.`)).length);
  }

  it.each<readonly [statement: string, healthy: readonly number[], expected: readonly number[]]>([
    ['all well', [100, 100], [100, 0]],
    ['72 % is still enough: 0.72 × 1.4 > 1', [72, 100], [100, 0]],
    ['71 %', [71, 100], [99, 1]],
    ['half', [50, 100], [70, 30]],
    ['a quarter', [25, 100], [35, 65]],
    ['nobody', [0, 100], [0, 100]],
    ['three levels', [25, 25, 100], [35, 35, 30]],
    ['too few in all: loads are normalised, the rest to the first', [25, 25, 20], [37, 35, 28]],
  ])('%s', async (_, healthy, expected) => {
    expect(await loads(healthy.map((ready) => ({ ready, total: 100 })))).toEqual(expected);
  });

  it('nobody anywhere, and panic off: 503 UH', async () => {
    const { call } = await run(
      document(
        service([{ ready: 0, total: 3 }]),
        destinationRule('x', 'host: x\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 0 } }'),
      ),
      undefined,
      { who },
    );
    expect(await call('http://x/')).toMatchObject({ status: 503, flags: 'UH' });
  });

  it.each<readonly [statement: string, policy: string, percent: number]>([
    ["without outlier detection Envoy's 50 is left", '', 50],
    ['with it Istio sets 0', DETECTS, 0],
    ['or minHealthPercent', 'outlierDetection: { minHealthPercent: 30 }', 30],
  ])('panic threshold: %s', (_, policy, percent) => {
    expect(cluster(modelOf(document(entry(members(2)), policy === '' ? '' : rule(policy))), '80||x.test').panicPercent).toBe(percent);
  });

  it('panic threshold: 0 for a service that publishes those that are not ready', () => {
    expect(cluster(modelOf(service([{ ready: 1, total: 2 }])), '80||x').panicPercent).toBe(0);
  });
});
