import type { ClusterPolicy, Workload } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import {
  ask,
  cluster,
  destinationRule,
  document,
  fate,
  kube,
  meshConfig,
  modelOf,
  resource,
  rules,
  virtualService,
  WORLD,
} from './world.ts';

/**
 * Which DestinationRule holds for a destination (pilot/pkg/model/push_context.go, destinationRule; mergeDestinationRule) and
 * how its layers combine (networking/util MergeSubsetTrafficPolicy, networking/core cluster_traffic_policy.go).
 */

const RATINGS = 'ratings.default.svc.cluster.local';
/** A rule that is told apart by its limit of active requests. */
const rule = (id: string, limit: number, more = '', day = 0, host = RATINGS): string =>
  destinationRule(id, `host: "${host}"\ntrafficPolicy: { connectionPool: { http: { http2MaxRequests: ${limit} } } }\n${more}`, { day });
const limitOf = (yaml: string, who: Partial<Workload> = {}): number | null =>
  cluster(modelOf(document(WORLD, yaml), who), '80||ratings').limits.requests;

describe('selection', () => {
  const prod: Partial<Workload> = { namespace: 'prod' };
  it.each<readonly [statement: string, given: readonly string[], who: Partial<Workload>, limit: number | null]>([
    ['none', [], {}, null],
    ["that of the service's namespace, for clients elsewhere", [rule('default/a', 1)], prod, 1],
    ["the client's namespace before the service's", [rule('default/a', 1), rule('prod/b', 2)], prod, 2],
    ["the service's before the root's", [rule('default/a', 1), rule('istio-system/c', 3)], prod, 1],
    ["the root's", [rule('istio-system/c', 3)], prod, 3],
    ['one of a third namespace does not hold', [rule('other/d', 4)], prod, null],
    [
      "at the client's level a wildcard beats an exact host further away",
      [rule('default/a', 1), rule('prod/b', 2, '', 0, '*.cluster.local')],
      prod,
      2,
    ],
    ['within a level the most specific host', [rule('a', 1), rule('b', 2, '', 0, '*.default.svc.cluster.local')], {}, 1],
    ["private to the client's namespace", [rule('prod/b', 2, 'exportTo: ["."]')], prod, 2],
    ["private to the service's namespace: not for others", [rule('default/a', 1, 'exportTo: ["."]')], prod, null],
    ["private to the service's namespace: for its own", [rule('default/a', 1, 'exportTo: ["."]')], {}, 1],
    ['then the next level is asked', [rule('default/a', 1, 'exportTo: ["."]'), rule('istio-system/c', 3)], prod, 3],
    ['exported to the client', [rule('default/a', 1, 'exportTo: [prod]')], prod, 1],
    ['exported only to others, it is not seen at home', [rule('default/a', 1, 'exportTo: [prod]')], {}, null],
    ['exported to others and by name to its own', [rule('default/a', 1, 'exportTo: [prod, default]')], {}, 1],
    ['the root namespace is what MeshConfig says', [rule('mesh-root/c', 3), meshConfig('rootNamespace: mesh-root')], prod, 3],
  ])('%s', (_, given, who, limit) => {
    expect(limitOf(document(...given), who)).toBe(limit);
  });

  it('the first level provides the whole rule: nothing is inherited', () => {
    const near = destinationRule('prod/b', `host: ${RATINGS}\ntrafficPolicy: { loadBalancer: { simple: RANDOM } }`);
    const policy = cluster(modelOf(document(WORLD, rule('default/a', 1), near), prod), '80||ratings');
    expect([policy.loadBalancer.kind, policy.limits.requests]).toEqual(['random', null]);
  });

  it('not even subsets', () => {
    const yaml = document(
      WORLD,
      rule('prod/b', 2, '', 0, 'reviews.default.svc.cluster.local'),
      virtualService(
        'prod/vs',
        'hosts: [reviews.default.svc.cluster.local]\nhttp: [{ route: [{ destination: { host: reviews.default.svc.cluster.local, subset: v1 } }] }]',
      ),
    );
    expect(fate(yaml, 'http://reviews.default/', {}, prod)).toBe('refuse 503 NC');
    expect(fate(yaml, 'http://reviews.default/', {}, { namespace: 'else' })).toBe('80|v1|reviews');
  });

  it('a rule with a selector holds for the workloads it selects, and before others', () => {
    const yaml = document(rule('a', 1), rule('b', 2, 'workloadSelector: { matchLabels: { app: web } }'));
    expect([limitOf(yaml, { labels: { app: 'web' } }), limitOf(yaml, { labels: { app: 'api' } })]).toEqual([2, 1]);
  });

  it('a rule with a selector holds in its own namespace only', () => {
    expect(limitOf(rule('a', 1, 'workloadSelector: { matchLabels: { app: web } }'), { ...prod, labels: { app: 'web' } })).toBeNull();
  });
});

describe('several rules of one namespace for one host', () => {
  it('of the traffic policies the oldest that is there holds as a block', () => {
    const young = destinationRule(
      'young',
      `host: ratings\ntrafficPolicy: { loadBalancer: { simple: RANDOM }, connectionPool: { http: { http2MaxRequests: 7 } } }`,
      { day: 9 },
    );
    const policy = cluster(modelOf(document(WORLD, young, rule('old', 1))), '80||ratings');
    expect([policy.limits.requests, policy.loadBalancer.kind]).toEqual([1, 'leastRequest']);
    const without = destinationRule('without', 'host: ratings\nsubsets: [{ name: x, labels: { a: b } }]');
    expect(cluster(modelOf(document(WORLD, young, without)), '80||ratings').limits.requests).toBe(7);
  });

  it('subsets are put together; of one name the older holds', () => {
    const subsets = (id: string, list: string, day: number): string => destinationRule(id, `host: ratings\nsubsets: ${list}`, { day });
    const yaml = document(
      WORLD,
      subsets('old', '[{ name: a, labels: { version: v1 } }]', 1),
      subsets('young', '[{ name: a, labels: { version: v9 } }, { name: b, labels: { version: v2 } }]', 2),
      virtualService(
        'vs',
        'hosts: [reviews]\nhttp: [{ route: [{ destination: { host: ratings, subset: a }, weight: 1 }, { destination: { host: ratings, subset: b }, weight: 1 }] }]',
      ),
    );
    const model = modelOf(yaml);
    expect([cluster(model, '80|a|ratings').labels, cluster(model, '80|b|ratings').labels]).toEqual([{ version: 'v1' }, { version: 'v2' }]);
  });

  it('only if they are exported alike', () => {
    const yaml = document(
      WORLD,
      destinationRule('a', 'host: ratings\nexportTo: ["."]\nsubsets: [{ name: a, labels: { version: v1 } }]'),
      destinationRule('b', 'host: ratings\nsubsets: [{ name: b, labels: { version: v1 } }]'),
      virtualService(
        'vs',
        'hosts: [reviews]\nhttp: [{ match: [{ uri: { prefix: /a } }], route: [{ destination: { host: ratings, subset: a } }] }, { route: [{ destination: { host: ratings, subset: b } }] }]',
      ),
    );
    expect([fate(yaml, '/a'), fate(yaml, '/b')].filter((one) => one === 'refuse 503 NC')).toHaveLength(1);
  });
});

// ── layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const POOL = (limit: number): string => `connectionPool: { http: { http2MaxRequests: ${limit} } }`;
const layered = (policy: string, subset: string, more = '', url = 'http://reviews/'): ClusterPolicy => {
  const yaml = document(
    kube('reviews', { ports: [80, 81] }),
    destinationRule(
      'dr',
      `host: reviews\ntrafficPolicy: ${policy}\nsubsets: [{ name: s, labels: { version: v1 }${subset === '' ? '' : `, trafficPolicy: ${subset}`} }]`,
    ),
    virtualService('vs', 'hosts: [reviews]\nhttp: [{ route: [{ destination: { host: reviews, subset: s } }] }]'),
    more,
  );
  const model = modelOf(yaml);
  return cluster(model, url.includes(':81') ? '81|s|reviews' : '80|s|reviews');
};

describe('layers of a rule: connectionPool, outlierDetection, loadBalancer, tls', () => {
  const TOP = `{ ${POOL(1)}, loadBalancer: { simple: RANDOM }, outlierDetection: { interval: 7s }, tls: { mode: SIMPLE, sni: top } }`;
  const facts = ({ limits, loadBalancer, outlier, tls }: ClusterPolicy): readonly unknown[] => [
    limits.requests,
    loadBalancer.kind,
    outlier?.intervalMs ?? null,
    tls.sni,
  ];

  it.each<readonly [statement: string, policy: string, subset: string, facts: readonly unknown[]]>([
    ['the top level holds', TOP, '', [1, 'random', 7000, 'top']],
    [
      "a block of a port replaces it whole: what it leaves out is Istio's default",
      TOP.replace(/ }$/, `, portLevelSettings: [{ port: { number: 80 }, ${POOL(2)} }] }`),
      '',
      [2, 'leastRequest', null, null],
    ],
    [
      'a block of another port does not',
      TOP.replace(/ }$/, `, portLevelSettings: [{ port: { number: 81 }, ${POOL(2)} }] }`),
      '',
      [1, 'random', 7000, 'top'],
    ],
    ["a subset: by block, its own if set, else the rule's", TOP, `{ ${POOL(3)} }`, [3, 'random', 7000, 'top']],
    [
      'a subset over the block of a port',
      TOP.replace(/ }$/, `, portLevelSettings: [{ port: { number: 80 }, ${POOL(2)} }] }`),
      '{ loadBalancer: { simple: ROUND_ROBIN } }',
      [2, 'roundRobin', null, null],
    ],
    [
      'a block of a port in a subset replaces all of it whole',
      TOP,
      `{ loadBalancer: { simple: ROUND_ROBIN }, portLevelSettings: [{ port: { number: 80 }, ${POOL(4)} }] }`,
      [4, 'leastRequest', null, null],
    ],
  ])('%s', (_, policy, subset, expected) => {
    expect(facts(layered(policy, subset))).toEqual(expected);
  });

  it("a block is not merged into: its fields that are unset are Istio's defaults", () => {
    const policy = layered(`{ connectionPool: { http: { http2MaxRequests: 1 }, tcp: { connectTimeout: 3s } } }`, `{ ${POOL(2)} }`);
    expect([policy.limits.requests, policy.connection.connectTimeoutMs]).toEqual([2, 10_000]);
  });
});

describe('layers of a rule: tunnel, proxyProtocol, retryBudget', () => {
  const BUDGET = (percent: number): string => `retryBudget: { percent: ${percent}, minRetryConcurrency: 9 }`;
  it.each<readonly [statement: string, policy: string, subset: string, percent: number | null]>([
    ['the top level holds', `{ ${BUDGET(30)} }`, '', 30],
    [
      'a block of a port loses it, having no such field',
      `{ ${BUDGET(30)}, portLevelSettings: [{ port: { number: 80 }, ${POOL(2)} }] }`,
      '',
      null,
    ],
    ["a subset's own", `{ ${BUDGET(30)} }`, `{ ${BUDGET(40)} }`, 40],
    ["a subset without one keeps the rule's", `{ ${BUDGET(30)} }`, `{ ${POOL(1)} }`, 30],
    [
      "a block of a port in a subset keeps the rule's, and loses the subset's own",
      `{ ${BUDGET(30)} }`,
      `{ ${BUDGET(40)}, portLevelSettings: [{ port: { number: 80 }, ${POOL(2)} }] }`,
      30,
    ],
  ])('%s', (_, policy, subset, percent) => {
    expect(layered(policy, subset).retryBudget?.percent ?? null).toBe(percent);
  });

  it('defaults of a retry budget', () => {
    expect(layered('{ retryBudget: {} }', '').retryBudget).toEqual({ percent: 20, minConcurrency: 3, intervalMs: 0 });
  });
});

describe('blocks of the mesh fill what is unset', () => {
  const MESH = meshConfig(`defaultTrafficPolicy: { ${POOL(9)}, outlierDetection: { interval: 9s } }`);
  it.each<readonly [statement: string, policy: string, limit: number | null, intervalMs: number | null]>([
    ['no block of the rule', '{ loadBalancer: { simple: RANDOM } }', 9, 9000],
    ['a block of the rule holds whole', `{ connectionPool: { tcp: { maxConnections: 5 } } }`, null, 9000],
    [
      'a block of a port that leaves one out',
      `{ ${POOL(1)}, portLevelSettings: [{ port: { number: 80 }, outlierDetection: { interval: 1s } }] }`,
      9,
      1000,
    ],
  ])('%s', (_, policy, limit, intervalMs) => {
    const { limits, outlier } = layered(policy, '', MESH);
    expect([limits.requests, outlier?.intervalMs ?? null]).toEqual([limit, intervalMs]);
  });

  it('also where there is no rule', () => {
    const policy = cluster(modelOf(document(WORLD, MESH)), '80||ratings');
    expect([policy.limits.requests, policy.outlier?.intervalMs]).toEqual([9, 9000]);
  });
});

describe('the key of consistent hashing is looked up along another chain', () => {
  const HEADER = (name: string): string => `loadBalancer: { consistentHash: { httpHeaderName: ${name} } }`;
  const keys = (policy: string, subset: string, destination: string): readonly unknown[] => {
    const yaml = document(
      kube('reviews', { ports: [80, 81] }),
      destinationRule(
        'dr',
        `host: reviews\ntrafficPolicy: ${policy}\nsubsets: [{ name: s, labels: { version: v1 }, trafficPolicy: ${subset} }]`,
      ),
      virtualService('vs', `hosts: [reviews]\nhttp: [{ route: [{ destination: ${destination} }] }]`),
    );
    const model = modelOf(yaml);
    const route = model.hosts.find(({ port }) => port === 80)?.routes[0];
    return [
      route?.hash.map((key) => (key.kind === 'header' ? key.name : key.kind)),
      model.clusters.find(({ port }) => port === 80)?.loadBalancer.kind,
    ];
  };
  const PORT = (name: string): string => `portLevelSettings: [{ port: { number: 80 }, ${HEADER(name)} }]`;

  it.each<readonly [statement: string, policy: string, subset: string, destination: string, expected: readonly unknown[]]>([
    ["the rule's", `{ ${HEADER('dr')} }`, '{ outlierDetection: {} }', '{ host: reviews }', [['dr'], 'ringHash']],
    ["the subset's", `{ ${HEADER('dr')} }`, `{ ${HEADER('sub')} }`, '{ host: reviews, subset: s }', [['sub'], 'ringHash']],
    [
      "a port's, if the destination names the port",
      `{ ${HEADER('dr')}, ${PORT('drport')} }`,
      '{ outlierDetection: {} }',
      '{ host: reviews, port: { number: 80 } }',
      [['drport'], 'ringHash'],
    ],
    [
      'else not: a ring without a key',
      `{ loadBalancer: { simple: RANDOM }, ${PORT('drport')} }`,
      '{ outlierDetection: {} }',
      '{ host: reviews }',
      [[], 'ringHash'],
    ],
    [
      "the subset's port before the subset",
      `{ ${HEADER('dr')} }`,
      `{ ${HEADER('sub')}, ${PORT('subport')} }`,
      '{ host: reviews, subset: s, port: { number: 80 } }',
      [['subport'], 'ringHash'],
    ],
    [
      "the subset before the rule's port",
      `{ ${HEADER('dr')}, ${PORT('drport')} }`,
      `{ ${HEADER('sub')} }`,
      '{ host: reviews, subset: s, port: { number: 80 } }',
      [['sub'], 'ringHash'],
    ],
  ])('%s', (_, policy, subset, destination, expected) => {
    expect(keys(policy, subset, destination)).toEqual(expected);
  });
});

describe('what is missing', () => {
  const to = (destinations: string): string => document(WORLD, rules(`- route: ${destinations}`));
  it.each<readonly [statement: string, yaml: string, expected: string]>([
    ['an unknown service: 503 NC', to('[{ destination: { host: nobody } }]'), 'refuse 503 NC'],
    ['a subset no rule defines: 503 NC', to('[{ destination: { host: reviews, subset: v7 } }]'), 'refuse 503 NC'],
    ['a subset of a service without a rule: 503 NC', to('[{ destination: { host: ratings, subset: v1 } }]'), 'refuse 503 NC'],
    ['a subset that selects no endpoint: 503 UH', to('[{ destination: { host: reviews, subset: none } }]'), 'refuse 503 UH'],
    ['a service whose slices name no endpoint: 503 UH', document(kube('lonely', { versions: [] })), 'refuse 503 UH'],
    [
      'one of several: only its share fails',
      to('[{ destination: { host: reviews, subset: v1 }, weight: 90 }, { destination: { host: nobody }, weight: 10 }]'),
      '80|v1|reviews 90, 80||nobody 10',
    ],
  ])('%s', (_, yaml, expected) => {
    expect(fate(yaml, yaml.includes('lonely') ? 'http://lonely/' : '/')).toBe(expected);
  });
});

describe('subsets', () => {
  it('take the endpoints that carry all their labels', () => {
    const addresses = (subset: string) =>
      ask(document(WORLD, rules(`- route: [{ destination: { host: reviews, subset: ${subset} } }]`)), '/').clusters[0]?.endpoints.map(
        ({ address }) => address,
      );
    expect([addresses('v1'), addresses('v2'), addresses('none')]).toEqual([['10.0.1.1:80'], ['10.0.1.2:80'], []]);
  });

  it('without labels they take all', () => {
    const yaml = document(
      WORLD,
      destinationRule('all', 'host: ratings\nsubsets: [{ name: all }]'),
      virtualService('vs', 'hosts: [reviews]\nhttp: [{ route: [{ destination: { host: ratings, subset: all } }] }]'),
    );
    expect(ask(yaml, '/').clusters[0]?.endpoints).toHaveLength(1);
  });
});

describe('connections: defaults and zero', () => {
  const policy = (pool: string): ClusterPolicy =>
    cluster(modelOf(document(WORLD, destinationRule('dr', `host: ratings\ntrafficPolicy: { connectionPool: ${pool} }`))), '80||ratings');

  it("Istio's defaults: connect in 10 s, no limits, no recycling", () => {
    const { connection, limits, outlier, slowStart, retryBudget, loadBalancer } = cluster(modelOf(WORLD), '80||ratings');
    expect(connection).toEqual({
      connectTimeoutMs: 10_000,
      idleTimeoutMs: null,
      maxConnectionDurationMs: null,
      maxRequestsPerConnection: 0,
      maxConcurrentStreams: 2 ** 31 - 1,
      tcpKeepalive: null,
    });
    expect(limits).toEqual({ connections: null, pending: null, requests: null, retries: null });
    expect({ outlier, slowStart, retryBudget, loadBalancer }).toEqual({
      outlier: null,
      slowStart: null,
      retryBudget: null,
      loadBalancer: { kind: 'leastRequest' },
    });
  });

  it('all fields', () => {
    const { connection, limits } = policy(
      '{ tcp: { maxConnections: 5, connectTimeout: 2s, maxConnectionDuration: 60s, idleTimeout: 9s, tcpKeepalive: { probes: 3, time: 60s, interval: 5s } }, ' +
        'http: { http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRequestsPerConnection: 8, maxRetries: 9, maxConcurrentStreams: 10 } }',
    );
    expect(limits).toEqual({ connections: 5, pending: 6, requests: 7, retries: 9 });
    expect(connection).toEqual({
      connectTimeoutMs: 2000,
      idleTimeoutMs: 9000,
      maxConnectionDurationMs: 60_000,
      maxRequestsPerConnection: 8,
      maxConcurrentStreams: 10,
      tcpKeepalive: { probes: 3, timeMs: 60_000, intervalMs: 5000 },
    });
  });

  it('zero cannot be told from unset: it means the default', () => {
    const { connection, limits } = policy(
      '{ tcp: { maxConnections: 0 }, http: { http1MaxPendingRequests: 0, http2MaxRequests: 0, maxRetries: 0, maxConcurrentStreams: 0 } }',
    );
    expect(limits).toEqual({ connections: null, pending: null, requests: null, retries: null });
    expect(connection.maxConcurrentStreams).toBe(2 ** 31 - 1);
  });

  it('the idle timeout of http wins over that of tcp', () => {
    expect(policy('{ tcp: { idleTimeout: 5s }, http: { idleTimeout: 7s } }').connection.idleTimeoutMs).toBe(7000);
  });

  it.each<readonly [statement: string, pool: string, config: string, http: string]>([
    ['HTTP/1 by default', '{ http: { maxRetries: 1 } }', '', 'http1'],
    ['UPGRADE', '{ http: { h2UpgradePolicy: UPGRADE } }', '', 'http2'],
    ['the mesh says UPGRADE', '{ http: { maxRetries: 1 } }', meshConfig('h2UpgradePolicy: UPGRADE'), 'http2'],
    ['DEFAULT is what the mesh says', '{ http: { h2UpgradePolicy: DEFAULT } }', meshConfig('h2UpgradePolicy: UPGRADE'), 'http2'],
    ['DO_NOT_UPGRADE against the mesh', '{ http: { h2UpgradePolicy: DO_NOT_UPGRADE } }', meshConfig('h2UpgradePolicy: UPGRADE'), 'http1'],
  ])('h2UpgradePolicy: %s', (_, pool, config, http) => {
    expect(
      cluster(
        modelOf(document(WORLD, config, destinationRule('dr', `host: ratings\ntrafficPolicy: { connectionPool: ${pool} }`))),
        '80||ratings',
      ).http,
    ).toBe(http);
  });
});

describe('TLS', () => {
  const tls = (yaml: string, name = '80||ratings'): ClusterPolicy['tls'] => cluster(modelOf(document(WORLD, yaml)), name).tls;
  const entry = (more = ''): string =>
    resource(
      'ServiceEntry',
      'se',
      `hosts: [x.com]\nresolution: DNS\nports: [{ number: 443, name: https, protocol: HTTPS }]\nsubjectAltNames: [san.x.com]\n${more}`,
    );

  it.each<readonly [statement: string, yaml: string, name: string, mode: string]>([
    ['nothing said, inside the mesh: by identity', '', '80||ratings', 'auto'],
    ['nothing said, autoMtls off', meshConfig('enableAutoMtls: false'), '80||ratings', 'DISABLE'],
    ['outside the mesh: plaintext', entry(), '443||x.com', 'DISABLE'],
    ['a rule says SIMPLE', destinationRule('dr', 'host: ratings\ntrafficPolicy: { tls: { mode: SIMPLE } }'), '80||ratings', 'SIMPLE'],
    ['a rule says DISABLE', destinationRule('dr', 'host: ratings\ntrafficPolicy: { tls: { mode: DISABLE } }'), '80||ratings', 'DISABLE'],
  ])('%s', (_, yaml, name, mode) => {
    expect(tls(yaml, name).mode).toBe(mode);
  });

  it('SIMPLE without caCertificates trusts the system; sni is the authority unless named', () => {
    expect(tls(destinationRule('dr', 'host: ratings\ntrafficPolicy: { tls: { mode: SIMPLE } }'))).toMatchObject({
      caCertificates: null,
      caPem: null,
      sni: null,
      insecureSkipVerify: false,
    });
    expect(tls(destinationRule('dr', 'host: ratings\ntrafficPolicy: { tls: { mode: SIMPLE, sni: s } }')).sni).toBe('s');
  });

  it('names of the rule override those of the ServiceEntry', () => {
    const over = (more: string) =>
      tls(document(entry(), destinationRule('dr', `host: x.com\ntrafficPolicy: { tls: { mode: SIMPLE${more} } }`)), '443||x.com')
        .subjectAltNames;
    expect([over(''), over(', subjectAltNames: [mine.x.com]')]).toEqual([['san.x.com'], ['mine.x.com']]);
  });
});
