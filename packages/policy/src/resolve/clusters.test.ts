import { describe, expect, it } from 'vitest';
import type { ClusterPolicy } from '../model.ts';
import { clusterAt, destinationRule, meshConfig, modelOf, service, serviceEntry, to, virtualService } from './trying.ts';

const NAME = 'outbound|80||a.default.svc.cluster.local';
const cluster = (
  trafficPolicy: object | undefined,
  {
    more = [],
    given = service('a'),
    annotations = {},
  }: { readonly more?: readonly string[]; readonly given?: string; readonly annotations?: object } = {},
): ClusterPolicy =>
  clusterAt(
    modelOf([
      given,
      ...(trafficPolicy === undefined ? [] : [destinationRule('a', { host: 'a', trafficPolicy }, { annotations })]),
      ...more,
    ]),
    NAME,
  );

const PLAIN = {
  clientCertificate: null,
  privateKey: null,
  caCertificates: null,
  caPem: null,
  caCrl: null,
  credentialName: null,
  subjectAltNames: [],
  sni: null,
  insecureSkipVerify: false,
};

describe('a cluster', () => {
  it('has every default where nobody says anything', () => {
    expect(cluster(undefined)).toEqual({
      name: NAME,
      service: 'a.default.svc.cluster.local',
      port: 80,
      subset: null,
      labels: {},
      resources: [],
      hedging: [],
      protocol: 'HTTP',
      http: 'http1',
      location: 'internal',
      resolution: 'dns',
      loadBalancer: { kind: 'leastRequest' },
      slowStart: null,
      locality: { kind: 'off' },
      panicPercent: 50,
      connection: {
        connectTimeoutMs: 10_000,
        idleTimeoutMs: null,
        maxConnectionDurationMs: null,
        maxRequestsPerConnection: 0,
        maxConcurrentStreams: 2_147_483_647,
        tcpKeepalive: null,
      },
      limits: { connections: null, pending: null, requests: null, retries: null },
      retryBudget: null,
      outlier: null,
      tls: { ...PLAIN, mode: 'auto' },
    });
  });

  it('is made for what some route can reach, and for nothing else', () => {
    const documents = [
      service('a', { ports: ['http:80', 'http-admin:81'] }),
      service('b'),
      destinationRule('b', { host: 'b', subsets: [{ name: 'v1', labels: { v: '1' } }, { name: 'v2' }] }),
      virtualService('b', { hosts: ['b'], http: [{ ...to('b', { subset: 'v1' }), mirror: { host: 'a', port: { number: 81 } } }] }),
    ];
    expect(modelOf(documents).clusters.map(({ name, labels }) => [name, labels])).toEqual([
      ['outbound|80|v1|b.default.svc.cluster.local', { v: '1' }],
      ['outbound|80||a.default.svc.cluster.local', {}],
      ['outbound|81||a.default.svc.cluster.local', {}],
    ]);
  });
});

describe('load balancer', () => {
  it.each([
    [undefined, { kind: 'leastRequest' }],
    [{}, { kind: 'leastRequest' }],
    [{ simple: 'UNSPECIFIED' }, { kind: 'leastRequest' }],
    [{ simple: 'LEAST_CONN' }, { kind: 'leastRequest' }],
    [{ simple: 'LEAST_REQUEST' }, { kind: 'leastRequest' }],
    [{ simple: 'ROUND_ROBIN' }, { kind: 'roundRobin' }],
    [{ simple: 'RANDOM' }, { kind: 'random' }],
    [{ simple: 'PASSTHROUGH' }, { kind: 'passthrough' }],
    [{ consistentHash: { useSourceIp: true } }, { kind: 'ringHash', minimumRingSize: 1024, maximumRingSize: 8_388_608 }],
    [{ consistentHash: { useSourceIp: true, minimumRingSize: 99 } }, { kind: 'ringHash', minimumRingSize: 99, maximumRingSize: 8_388_608 }],
    [
      { consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 2048 } } },
      { kind: 'ringHash', minimumRingSize: 2048, maximumRingSize: 8_388_608 },
    ],
    [{ consistentHash: { useSourceIp: true, maglev: {} } }, { kind: 'maglev', tableSize: 65_537 }],
    [{ consistentHash: { useSourceIp: true, maglev: { tableSize: 7 } } }, { kind: 'maglev', tableSize: 7 }],
  ])('%j', (loadBalancer, expected) => {
    expect(cluster({ connectionPool: { tcp: {} }, ...(loadBalancer === undefined ? {} : { loadBalancer }) }).loadBalancer).toEqual(
      expected,
    );
  });

  const EWMA = { kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 };
  it('Peak EWMA by annotation replaces an algorithm, not a key or PASSTHROUGH', () => {
    const annotations = { 'inmesh.dev/load-balancer': 'PEAK_EWMA' };
    const kind = (loadBalancer: object): unknown => cluster({ loadBalancer }, { annotations }).loadBalancer;
    expect(kind({ simple: 'ROUND_ROBIN' })).toEqual(EWMA);
    expect(kind({ consistentHash: { useSourceIp: true } })).toMatchObject({ kind: 'ringHash' });
    expect(kind({ simple: 'PASSTHROUGH' })).toEqual({ kind: 'passthrough' });
  });

  it('the block of the mesh holds where a rule has none, key and all', () => {
    const mesh = (loadBalancer: object): string => meshConfig({ defaultTrafficPolicy: { loadBalancer } });
    expect(cluster(undefined, { more: [mesh({ simple: 'PEAK_EWMA' })] }).loadBalancer).toEqual(EWMA);
    expect(cluster({ loadBalancer: { simple: 'RANDOM' } }, { more: [mesh({ simple: 'PEAK_EWMA' })] }).loadBalancer).toEqual({
      kind: 'random',
    });
    const model = modelOf([service('a'), mesh({ consistentHash: { httpHeaderName: 'X' } })]);
    expect(clusterAt(model, NAME).loadBalancer.kind).toBe('ringHash');
    expect(model.hosts[0]?.routes[0]?.hash).toEqual([{ kind: 'header', name: 'x' }]);
  });

  it('slow start, for the algorithms that have one', () => {
    expect(cluster({ loadBalancer: { simple: 'ROUND_ROBIN', warmup: { duration: '60s' } } }).slowStart).toEqual({
      windowMs: 60_000,
      minPercent: 10,
      aggression: 1,
    });
    expect(cluster({ loadBalancer: { warmup: { duration: '60s', minimumPercent: 5, aggression: 2 } } }).slowStart).toEqual({
      windowMs: 60_000,
      minPercent: 5,
      aggression: 2,
    });
    expect(cluster({ loadBalancer: { simple: 'LEAST_REQUEST', warmupDurationSecs: '30s' } }).slowStart).toEqual({
      windowMs: 30_000,
      minPercent: 10,
      aggression: 1,
    });
    expect(
      cluster({ loadBalancer: { warmup: { duration: '60s' } } }, { annotations: { 'inmesh.dev/load-balancer': 'PEAK_EWMA' } }).slowStart,
    ).toBeNull();
  });
});

describe('connections', () => {
  it('limits, where 0 and the largest number mean none', () => {
    const pool = (tcp: object, http: object): ClusterPolicy => cluster({ connectionPool: { tcp, http } });
    expect(pool({ maxConnections: 5 }, { http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRetries: 8 }).limits).toEqual({
      connections: 5,
      pending: 6,
      requests: 7,
      retries: 8,
    });
    expect(pool({ maxConnections: 0 }, { http1MaxPendingRequests: 2_147_483_647, http2MaxRequests: 0, maxRetries: 0 }).limits).toEqual({
      connections: null,
      pending: null,
      requests: null,
      retries: null,
    });
  });

  it('times; without a word, or with "never", the idle time stays the library’s', () => {
    const { connection } = cluster({
      connectionPool: {
        tcp: { connectTimeout: '1s', maxConnectionDuration: '1h', idleTimeout: '5s', tcpKeepalive: { probes: 3, time: '10s' } },
        http: { idleTimeout: '3s', maxRequestsPerConnection: 1, maxConcurrentStreams: 50 },
      },
    });
    expect(connection).toEqual({
      connectTimeoutMs: 1000,
      idleTimeoutMs: 3000,
      maxConnectionDurationMs: 3_600_000,
      maxRequestsPerConnection: 1,
      maxConcurrentStreams: 50,
      tcpKeepalive: { probes: 3, timeMs: 10_000, intervalMs: null },
    });
    expect(cluster({ connectionPool: { tcp: { idleTimeout: '5s' } } }).connection.idleTimeoutMs).toBe(5000);
    expect(cluster({ connectionPool: { tcp: { idleTimeout: '0s' } } }).connection.idleTimeoutMs).toBeNull();
    expect(cluster(undefined, { more: [meshConfig({ connectTimeout: '2s' })] }).connection.connectTimeoutMs).toBe(2000);
  });

  it.each([
    ['http:80', undefined, undefined, 'http1'],
    ['http2:80', undefined, undefined, 'http2'],
    ['grpc-api:80', undefined, undefined, 'http2'],
    ['80', undefined, 'UPGRADE', 'http1'],
    ['http:80', 'UPGRADE', undefined, 'http2'],
    ['http:80', undefined, 'UPGRADE', 'http2'],
    ['http:80', 'DO_NOT_UPGRADE', 'UPGRADE', 'http1'],
  ])('port %s, rule %s, mesh %s: %s', (port, rule, mesh, expected) => {
    const given = cluster(rule === undefined ? undefined : { connectionPool: { http: { h2UpgradePolicy: rule } } }, {
      given: service('a', { ports: [port] }),
      more: mesh === undefined ? [] : [meshConfig({ h2UpgradePolicy: mesh })],
    });
    expect(given.http).toBe(expected);
  });

  it('a retry budget', () => {
    expect(cluster({ retryBudget: {} }).retryBudget).toEqual({ percent: 20, minConcurrency: 3, intervalMs: 0 });
    expect(cluster({ retryBudget: { percent: 5, minRetryConcurrency: 1, budgetInterval: '10s' } }).retryBudget).toEqual({
      percent: 5,
      minConcurrency: 1,
      intervalMs: 10_000,
    });
  });
});

describe('outlier detection', () => {
  it('has Envoy’s defaults, and turns panic off', () => {
    const { outlier, panicPercent } = cluster({ outlierDetection: {} });
    expect(outlier).toEqual({ consecutive5xx: 5, consecutiveGateway: 0, splitLocalOrigin: false, consecutiveLocalOrigin: 5, intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionPercent: 10, alwaysEjectOne: true, statusCodes: null }); // prettier-ignore
    expect(panicPercent).toBe(0);
  });

  it('takes what is said', () => {
    const { outlier, panicPercent } = cluster({
      outlierDetection: { consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, interval: '1s', baseEjectionTime: '5s', maxEjectionPercent: 100, minHealthPercent: 40, outlierDetectionHttpErrorCodes: [429] },
    }, { more: [meshConfig({ alwaysEjectOne: false })] }); // prettier-ignore
    expect(outlier).toEqual({ consecutive5xx: 0, consecutiveGateway: 3, splitLocalOrigin: true, consecutiveLocalOrigin: 2, intervalMs: 1000, baseEjectionMs: 5000, maxEjectionPercent: 100, alwaysEjectOne: false, statusCodes: [429] }); // prettier-ignore
    expect(panicPercent).toBe(40);
  });

  it('panic is off where members that are not ready are published', () => {
    expect(cluster(undefined, { given: service('a', { spec: { publishNotReadyAddresses: true } }) }).panicPercent).toBe(0);
  });
});

describe('TLS', () => {
  it('is as the rule says', () => {
    const tls = {
      mode: 'MUTUAL',
      clientCertificate: '/c.pem',
      privateKey: '/k.pem',
      caCertificates: '/ca.pem',
      sni: 'a.test',
      subjectAltNames: ['spiffe://x'],
    };
    expect(cluster({ tls }).tls).toEqual({ ...PLAIN, ...tls });
    expect(cluster({ tls: { mode: 'DISABLE' } }).tls.mode).toBe('DISABLE');
  });

  it('is automatic inside the mesh, and plain outside or where that is off', () => {
    const entry = (location: string, trafficPolicy?: object): ClusterPolicy => {
      const documents = [
        serviceEntry('api', {
          hosts: ['api.test'],
          location,
          ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
          resolution: 'DNS',
          subjectAltNames: ['api.test'],
        }),
      ];
      if (trafficPolicy !== undefined) documents.push(destinationRule('api', { host: 'api.test', trafficPolicy }));
      return clusterAt(modelOf(documents), 'outbound|80||api.test');
    };
    expect(entry('MESH_INTERNAL').tls.mode).toBe('auto');
    expect(entry('MESH_EXTERNAL').tls).toEqual({ ...PLAIN, mode: 'DISABLE', subjectAltNames: ['api.test'] });
    expect(entry('MESH_EXTERNAL', { tls: { mode: 'SIMPLE' } }).tls).toEqual({ ...PLAIN, mode: 'SIMPLE', subjectAltNames: ['api.test'] });
    expect(entry('MESH_EXTERNAL', { tls: { mode: 'SIMPLE', subjectAltNames: ['b.test'] } }).tls.subjectAltNames).toEqual(['b.test']);
    expect(cluster(undefined, { more: [meshConfig({ enableAutoMtls: false })] }).tls.mode).toBe('DISABLE');
  });
});
