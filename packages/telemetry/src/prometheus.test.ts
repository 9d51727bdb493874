import type { EndedCall, Endpoint, Peer, RouteInfo } from '@inmesh/core';
import { flagBit } from '@inmesh/core';
import { DEFAULT_TELEMETRY, type SideTelemetry } from '@inmesh/policy';
import { fakeClock, type TestEndpoint, testCall, testEndedCall, testEndpoint, testPeer, testWorkload } from '@inmesh/core/testing';
import fc from 'fast-check';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type IstioMetrics, istioMetrics, type IstioMetricsOptions } from './prometheus.ts';

setFlagsFromString('--expose_gc');
const gc = runInNewContext('gc') as () => void;

const workload = testWorkload({
  name: 'web', namespace: 'shop', cluster: 'east', labels: { app: 'web', version: 'v7', 'service.istio.io/canonical-name': 'storefront' },
}); // prettier-ignore

const reviews: RouteInfo = {
  side: 'client',
  telemetry: DEFAULT_TELEMETRY.client,
  cluster: 'outbound|80|v2|reviews.shop.svc.cluster.local',
  service: 'reviews.shop.svc.cluster.local',
  serviceName: 'reviews',
  serviceNamespace: 'shop',
  route: 'default',
  protocol: 'http',
};

const inbound = { side: 'server', cluster: 'inbound|9080||', route: 'default', telemetry: DEFAULT_TELEMETRY.server } as const;

const endpoint = (address: string, fields: TestEndpoint = {}): Endpoint =>
  testEndpoint(address, {
    labels: { app: 'reviews', version: 'v2' },
    workload: 'reviews-v2',
    namespace: 'shop',
    serviceAccount: 'reviews',
    ...fields,
  });

/** A call that came in, and who made it. */
const from = (peer: Peer, fields: Partial<EndedCall> = {}): EndedCall => testEndedCall({ call: testCall({ peer }), ...fields });

const metrics = (options: Partial<IstioMetricsOptions> = {}): IstioMetrics => istioMetrics({ workload, ...options });

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** An independent reader of the text format: strict where Prometheus is, and it knows families. */
function read(text: string): { samples: Sample[]; types: Map<string, string> } {
  expect(text.endsWith('\n')).toBe(true);
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (comment !== null) {
      const [, word, name, rest] = comment as unknown as [string, string, string, string];
      if (word === 'HELP') helps.add(name);
      else {
        expect(types.has(name), `a second TYPE of ${name}`).toBe(false);
        expect(rest).toMatch(/^(counter|gauge|histogram)$/);
        types.set(name, rest);
      }
      continue;
    }
    const parts = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\+Inf|-Inf|NaN|-?[0-9.e+-]+)$/s.exec(line);
    expect(parts, line).not.toBeNull();
    const [, name, inner = '', number] = parts as unknown as [string, string, string | undefined, string];
    const labels: Record<string, string> = {};
    let rest = inner;
    while (rest !== '') {
      const pair = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest);
      expect(pair, rest).not.toBeNull();
      const [whole, key, value] = pair as unknown as [string, string, string];
      expect(labels[key], `label ${key} twice`).toBeUndefined();
      labels[key] = value.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
      rest = rest.slice(whole.length);
    }
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    expect(helps.has(family) && types.has(family), `${name} has no HELP and TYPE before it`).toBe(true);
    // A counter ends in _total, or promtool complains.
    if (types.get(family) === 'counter') expect(name).toMatch(/_total$/);
    const identity = `${name} ${JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
    expect(seen.has(identity), `twice: ${identity}`).toBe(false);
    seen.add(identity);
    samples.push({ name, labels, value: Number(number.replace('Inf', 'Infinity')) });
  }
  return { samples, types };
}

const all = (from: IstioMetrics, name: string): Sample[] => read(from.text()).samples.filter((sample) => sample.name === name);
const requests = (from: IstioMetrics): Sample[] => all(from, 'istio_requests_total');

describe('istio_requests_total', () => {
  it('has exactly the labels of Istio, with what is known of both sides', () => {
    const observed = metrics();
    observed.route(reviews).ended(testEndedCall({ endpoint: endpoint('10.0.0.1:80'), ms: 12 }));
    expect(requests(observed)).toEqual([
      {
        name: 'istio_requests_total',
        value: 1,
        labels: {
          reporter: 'source',
          source_workload: 'web',
          source_canonical_service: 'storefront',
          source_canonical_revision: 'v7',
          source_workload_namespace: 'shop',
          source_principal: 'unknown',
          source_app: 'web',
          source_version: 'v7',
          source_cluster: 'east',
          destination_workload: 'reviews-v2',
          destination_workload_namespace: 'shop',
          destination_principal: 'spiffe://cluster.local/ns/shop/sa/reviews',
          destination_app: 'reviews',
          destination_version: 'v2',
          destination_service: 'reviews.shop.svc.cluster.local',
          destination_canonical_service: 'reviews',
          destination_canonical_revision: 'v2',
          destination_service_name: 'reviews',
          destination_service_namespace: 'shop',
          destination_cluster: 'east',
          request_protocol: 'http',
          response_code: '200',
          response_flags: '-',
          connection_security_policy: 'none',
        },
      },
    ]);
  });

  it('says unknown, and latest for revisions, where nothing is known; never an empty label', () => {
    const observed = istioMetrics({ workload: testWorkload({ name: '', namespace: '', labels: {}, cluster: '' }) });
    observed.route({ ...reviews, serviceName: '', serviceNamespace: '' }).ended(testEndedCall({ status: 503, flags: flagBit.UH }));
    const [{ labels }] = requests(observed) as [Sample];
    expect(labels).toMatchObject({
      source_workload: 'unknown', source_canonical_service: 'unknown', source_canonical_revision: 'latest', source_cluster: 'Kubernetes',
      destination_workload: 'unknown', destination_canonical_revision: 'latest', destination_principal: 'unknown', destination_cluster: 'unknown',
      destination_service: 'reviews.shop.svc.cluster.local', destination_service_name: 'reviews', destination_service_namespace: 'unknown',
      response_code: '503', response_flags: 'UH',
    }); // prettier-ignore
    expect(Object.values(labels)).not.toContain('');
    expect(Object.keys(labels)).toHaveLength(24);
  });

  it('adds grpc_response_status, the 25th, and says grpc for whatever answers with one', () => {
    const observed = metrics();
    observed.route({ ...reviews, protocol: 'grpc' }).ended(testEndedCall({ grpcStatus: 14 }));
    observed.route(reviews).ended(testEndedCall({ grpcStatus: 14 }));
    observed.route({ ...reviews, protocol: 'grpc' }).ended(testEndedCall({ status: 0, flags: flagBit.DC }));
    const [unavailable, cancelled] = requests(observed) as [Sample, Sample];
    expect(unavailable).toMatchObject({ value: 2, labels: { request_protocol: 'grpc', grpc_response_status: '14' } });
    expect(Object.keys(unavailable.labels)).toHaveLength(25);
    expect(cancelled).toMatchObject({ value: 1, labels: { request_protocol: 'grpc', response_code: '0', response_flags: 'DC' } });
    expect(cancelled.labels).not.toHaveProperty('grpc_response_status');
  });

  it('keeps each code and each set of flags apart, printed in the order of Envoy', () => {
    const observed = metrics();
    const route = observed.route(reviews);
    const to = endpoint('10.0.0.1:80');
    for (const status of [200, 503, 200, 404, 503]) route.ended(testEndedCall({ endpoint: to, status }));
    route.ended(testEndedCall({ endpoint: to, status: 503, flags: flagBit.URX | flagBit.UF }));
    route.ended(testEndedCall({ endpoint: to, flags: flagBit.DO }));
    expect(requests(observed).map(({ labels, value }) => [labels['response_code'], labels['response_flags'], value])).toEqual([
      ['200', '-', 2],
      ['503', '-', 2],
      ['404', '-', 1],
      ['503', 'UF,URX', 1],
      ['200', 'DO', 1],
    ]);
  });

  it('counts endpoints of one workload together, and notices when an address becomes another workload', () => {
    const observed = metrics();
    const route = observed.route(reviews);
    route.ended(testEndedCall({ endpoint: endpoint('10.0.0.1:80') }));
    route.ended(testEndedCall({ endpoint: endpoint('10.0.0.2:80') }));
    route.ended(testEndedCall({ endpoint: endpoint('10.0.0.1:80', { workload: 'reviews-v3', labels: { version: 'v3' } }) }));
    expect(requests(observed).map(({ labels, value }) => [labels['destination_workload'], value])).toEqual([
      ['reviews-v2', 2],
      ['reviews-v3', 1],
    ]);
  });

  it('names traffic outside the mesh as Istio does', () => {
    const observed = metrics();
    for (const cluster of ['PassthroughCluster', 'BlackHoleCluster']) {
      observed.route({ ...reviews, cluster, service: 'example.com', serviceName: '', serviceNamespace: '' }).ended(testEndedCall());
    }
    expect(requests(observed).map(({ labels }) => [labels['destination_service'], labels['destination_service_name']])).toEqual([
      ['example.com', 'PassthroughCluster'],
      ['example.com', 'BlackHoleCluster'],
    ]);
  });

  it('goes on counting after a policy change, whatever became of the route', () => {
    const observed = metrics();
    observed.route(reviews).ended(testEndedCall({ endpoint: endpoint('10.0.0.1:80') }));
    observed
      .route({ ...reviews, route: 'renamed', cluster: 'outbound|80||reviews.shop.svc.cluster.local' })
      .ended(testEndedCall({ endpoint: endpoint('10.0.0.1:80') }));
    observed.route({ ...reviews, service: 'ratings.shop.svc.cluster.local' });
    expect(requests(observed).map(({ value }) => value)).toEqual([2]);
  });

  it('folds a grpc-status gRPC does not know into UNKNOWN, and mixes no two outcomes up', () => {
    const observed = metrics({ buckets: [1] });
    const route = observed.route(reviews);
    const outcome = fc.record({
      status: fc.integer({ min: 0, max: 999 }),
      grpc: fc.integer({ min: -1, max: 40 }),
      flags: fc.integer({ min: 0, max: 2 ** 28 - 1 }),
    });
    const wanted = new Map<string, number>();
    fc.assert(
      fc.property(outcome, ({ status, grpc, flags }) => {
        route.ended(testEndedCall({ status, grpcStatus: grpc, flags }));
        const key = `${status} ${grpc < 0 ? undefined : grpc > 16 ? 2 : grpc} ${flags}`;
        wanted.set(key, (wanted.get(key) ?? 0) + 1);
      }),
      // Where a code too wide for its place would run into the flags.
      {
        examples: [
          [{ status: 900, grpc: -1, flags: 0 }],
          [{ status: 388, grpc: -1, flags: 1 }],
          [{ status: 200, grpc: 16, flags: 0 }],
          [{ status: 200, grpc: -1, flags: 2 ** 27 }],
        ],
      },
    );
    const found = requests(observed).map(({ labels, value }) => [
      labels['response_code'],
      labels['grpc_response_status'],
      labels['response_flags'],
      value,
    ]);
    const order = Object.keys(flagBit) as (keyof typeof flagBit)[];
    const bits = (text: string): number => order.reduce((sum, flag) => sum + (text.split(',').includes(flag) ? flagBit[flag] : 0), 0);
    expect(new Map(found.map(([status, grpc, flags, value]) => [`${status} ${grpc} ${bits(flags as string)}`, value]))).toEqual(wanted);
  });

  it('says by which identities a call was secured, and that of an endpoint nobody proved', () => {
    const observed = metrics({ principal: () => 'spiffe://td/ns/shop/sa/web' });
    const route = observed.route(reviews);
    const to = endpoint('10.0.0.1:80');
    for (const mutual of [true, false, true]) route.ended(testEndedCall({ endpoint: to, mutual }));
    expect(
      requests(observed).map(({ labels, value }) => [labels['source_principal'], labels['connection_security_policy'], value]),
    ).toEqual([
      ['spiffe://td/ns/shop/sa/web', 'mutual_tls', 2],
      ['unknown', 'none', 1],
    ]);
  });

  it('knows a host outside the mesh by the name it was called by', () => {
    const observed = metrics();
    const route = observed.route({
      ...reviews,
      cluster: 'PassthroughCluster',
      service: 'PassthroughCluster',
      serviceName: 'PassthroughCluster',
      serviceNamespace: '',
    });
    for (const url of ['http://a.example:8080/', 'http://b.example/', 'http://a.example:8080/x'])
      route.ended(testEndedCall({ call: testCall({ url }) }));
    expect(
      requests(observed).map(({ labels, value }) => [labels['destination_service'], labels['destination_service_name'], value]),
    ).toEqual([
      ['a.example:8080', 'PassthroughCluster', 2],
      ['b.example', 'PassthroughCluster', 1],
    ]);
  });
});

describe('istio_request_duration_milliseconds', () => {
  it('is a cumulative histogram over the bounds of Envoy', () => {
    const observed = metrics();
    const route = observed.route(reviews);
    for (const ms of [0.2, 0.5, 0.6, 30, 30, 3_600_000, 3_600_001]) route.ended(testEndedCall({ ms }));
    const { samples, types } = read(observed.text());
    expect(types.get('istio_request_duration_milliseconds')).toBe('histogram');
    const buckets = samples.filter(({ name }) => name === 'istio_request_duration_milliseconds_bucket');
    expect(buckets.map(({ labels, value }) => [labels['le'], value])).toEqual([
      ['0.5', 2], ['1', 3], ['5', 3], ['10', 3], ['25', 3], ['50', 5], ['100', 5], ['250', 5], ['500', 5], ['1000', 5], ['2500', 5], ['5000', 5], ['10000', 5],
      ['30000', 5], ['60000', 5], ['300000', 5], ['600000', 5], ['1800000', 5], ['3600000', 6], ['+Inf', 7],
    ]); // prettier-ignore
    expect(all(observed, 'istio_request_duration_milliseconds_sum')[0]!.value).toBeCloseTo(7_200_062.3);
    expect(all(observed, 'istio_request_duration_milliseconds_count')[0]!.value).toBe(7);
  });

  it('stays a number when a clock does not', () => {
    const observed = metrics();
    for (const ms of [Number.NaN, -5, 1]) observed.route(reviews).ended(testEndedCall({ ms }));
    expect(all(observed, 'istio_request_duration_milliseconds_sum')[0]!.value).toBe(1);
    expect(all(observed, 'istio_request_duration_milliseconds_count')[0]!.value).toBe(3);
  });

  it('takes other bounds, and refuses wrong ones by name', () => {
    const observed = metrics({ buckets: [10, 300] });
    observed.route(reviews).ended(testEndedCall({ ms: 299 }));
    expect(all(observed, 'istio_request_duration_milliseconds_bucket').map(({ labels, value }) => [labels['le'], value])).toEqual([['10', 0], ['300', 1], ['+Inf', 1]]); // prettier-ignore
    expect(() => metrics({ buckets: [10, 10] })).toThrow('buckets must be finite and ascending, found [10, 10]');
    expect(() => metrics({ maxSeries: 0 })).toThrow('maxSeries must be above 0, found 0');
  });
});

describe('istio_request_bytes and istio_response_bytes', () => {
  it('weigh what travelled, head and body', () => {
    const observed = metrics();
    observed.route(reviews).ended(testEndedCall({ requestHead: 200, requestBytes: 40, responseHead: 100, responseBytes: 900 }));
    const facts = (name: string) => [
      all(observed, `${name}_sum`)[0]!.value,
      all(observed, `${name}_bucket`).find(({ value }) => value === 1)!.labels['le'],
    ];
    expect([facts('istio_request_bytes'), facts('istio_response_bytes')]).toEqual([
      [240, '250'],
      [1000, '1000'],
    ]);
  });
});

describe('connections of TCP', () => {
  const tcp: RouteInfo = { ...reviews, protocol: 'tcp' };
  const values = (from: IstioMetrics): unknown[] =>
    ['opened', 'closed']
      .map((what) => all(from, `istio_tcp_connections_${what}_total`).map(({ value, labels }) => [value, labels['response_flags']]))
      .concat(['received', 'sent'].map((what) => all(from, `istio_tcp_${what}_bytes_total`).map(({ value }) => value) as never));

  it('are counted as they open, while they last, and as they close, with 23 labels', () => {
    const observed = metrics();
    const route = observed.route(tcp);
    const connection = testEndedCall({ endpoint: endpoint('10.0.0.1:80'), status: 0 });
    route.opened!(connection);
    route.bytes!(connection, 10, 2000);
    route.bytes!(connection, 5, 0);
    expect(values(observed)).toEqual([[[1, '-']], [[0, '-']], [15], [2000]]);
    route.ended({ ...connection, flags: flagBit.UC });
    expect(values(observed)).toEqual([[[1, '-'], [0, 'UC']], [[0, '-'], [1, 'UC']], [15, 0], [2000, 0]]); // prettier-ignore
    const [{ labels }] = all(observed, 'istio_tcp_sent_bytes_total') as [Sample];
    expect(Object.keys(labels)).toHaveLength(23);
    expect(labels).toMatchObject({ request_protocol: 'tcp', reporter: 'source', destination_workload: 'reviews-v2' });
    expect(observed.text()).not.toContain('istio_requests_total');
  });

  it('are counted at their destination too', () => {
    const observed = metrics();
    const of = observed.inbound!({ ...inbound, port: 6379, service: '', serviceName: '', serviceNamespace: '' });
    const observer = of;
    const connection = testEndedCall({
      call: testCall({ protocol: 'tcp', peer: testPeer({ principal: 'td/ns/shop/sa/web' }) }),
      status: 0,
    });
    observer.opened!(connection);
    observer.bytes!(connection, 1, 2);
    observer.ended(connection);
    expect(values(observed)).toEqual([[[1, '-']], [[1, '-']], [1], [2]]);
  });
});

describe('rules of the policy over metrics', () => {
  const ruled = (metricRules: SideTelemetry['metrics']) => {
    const observed = metrics();
    const route = observed.route({ ...reviews, telemetry: { ...DEFAULT_TELEMETRY.client, metrics: metricRules } });
    return { observed, route };
  };

  it('turn one off, or all', () => {
    const off = { disabled: true, tags: [] };
    const { observed, route } = ruled({ REQUEST_SIZE: off, RESPONSE_SIZE: off });
    route.ended(testEndedCall());
    expect([...read(observed.text()).types.keys()].filter((name) => name.startsWith('istio_'))).toEqual([
      'istio_requests_total', 'istio_request_duration_milliseconds', 'istio_build',
    ]); // prettier-ignore
    const none = ruled({ REQUEST_COUNT: off, REQUEST_DURATION: off, REQUEST_SIZE: off, RESPONSE_SIZE: off });
    none.route.ended(testEndedCall());
    expect(none.observed.text()).not.toContain('istio_request');
  });

  it('take labels away, and put others on, of one metric alone', () => {
    const { observed, route } = ruled(
      { REQUEST_COUNT: { disabled: false, tags: [{ name: 'source_principal', expression: null }, { name: 'path', expression: 'request.path' }, { name: 'broken', expression: 'x.y' }] } },
    ); // prettier-ignore
    for (const url of ['http://reviews/a', 'http://reviews/b', 'http://reviews/a']) route.ended(testEndedCall({ call: testCall({ url }) }));
    const counted = requests(observed);
    expect(counted.map(({ labels, value }) => [labels['path'], labels['broken'], value])).toEqual([['/a', 'unknown', 2], ['/b', 'unknown', 1]]); // prettier-ignore
    expect(Object.keys(counted[0]!.labels)).not.toContain('source_principal');
    const durations = all(observed, 'istio_request_duration_milliseconds_count');
    expect(durations.map(({ labels, value }) => [labels['path'], labels['source_principal'], value])).toEqual([[undefined, 'unknown', 3]]);
  });

  it('that change bind the old series again: no counter goes back', () => {
    const observed = metrics();
    const count = (telemetry: SideTelemetry): void => observed.route({ ...reviews, telemetry }).ended(testEndedCall());
    const { client } = DEFAULT_TELEMETRY;
    count(client);
    count({ ...client, metrics: { REQUEST_SIZE: { disabled: true, tags: [] } } });
    expect([requests(observed)[0]!.value, all(observed, 'istio_request_bytes_count')[0]!.value]).toEqual([2, 1]);
    count(client);
    expect([requests(observed)[0]!.value, all(observed, 'istio_request_bytes_count')[0]!.value]).toEqual([3, 2]);
  });
});

describe('the number of series', () => {
  it('is bounded; calls beyond are counted as overflow, and none is lost', () => {
    const observed = metrics({ maxSeries: 5 * 67 });
    for (let host = 0; host < 50; host += 1) {
      const route = observed.route({ ...reviews, cluster: 'PassthroughCluster', service: `host${host}.example.com`, serviceName: '' });
      for (let call = 0; call < 3; call += 1) route.ended(testEndedCall());
    }
    const found = requests(observed);
    expect(found).toHaveLength(6);
    expect(found.reduce((sum, { value }) => sum + value, 0)).toBe(150);
    expect(found.at(-1)).toMatchObject({
      value: 135,
      labels: { destination_service: 'overflow', destination_workload: 'overflow', response_code: 'overflow', reporter: 'source' },
    });
    expect(all(observed, 'inmesh_metrics_overflow_total')[0]!.value).toBe(135);
    expect(all(observed, 'inmesh_metrics_series')[0]!.value).toBe(6 * 67);
  });

  it('is bounded also in destinations and hosts, and what has a series keeps it', () => {
    const observed = metrics({ maxSeries: 67 });
    const first = observed.route(reviews);
    first.ended(testEndedCall());
    for (let pod = 0; pod < 200; pod += 1) {
      first.ended(testEndedCall({ endpoint: endpoint(`10.0.0.${pod}:80`, { workload: `pod-${pod}` }) }));
      observed.route({ ...reviews, service: `host-${pod}` }).ended(testEndedCall());
    }
    first.ended(testEndedCall());
    const found = requests(observed);
    expect(found[0]!.value).toBe(2);
    expect(found.reduce((sum, { value }) => sum + value, 0)).toBe(402);
  });

  it('does not stand in the way for ever: who was not counted for ten minutes makes room', () => {
    const clock = fakeClock();
    const observed = metrics({ maxSeries: 3 * 67, clock });
    const route = (service: string) => observed.route({ ...reviews, service });
    const [old, busy] = [route('old'), route('busy')];
    const scrape = (minutes: number): void => {
      for (let minute = 0; minute < minutes; minute += 1) {
        clock.advance(60_000);
        busy.ended(testEndedCall());
        observed.text();
      }
    };
    for (const one of [old, busy, route('older')]) one.ended(testEndedCall());
    scrape(5);
    route('new').ended(testEndedCall());
    expect(requests(observed).map(({ labels }) => labels['destination_service'])).toContain('overflow');
    scrape(10);
    route('new').ended(testEndedCall());
    expect(requests(observed).map(({ labels, value }) => [labels['destination_service'], value])).toEqual([['busy', 16], ['new', 1]]); // prettier-ignore
    // The overflow was idle, too; what was lost of it was told.
    expect(all(observed, 'inmesh_metrics_evicted_total')[0]!.value).toBe(3);
    expect(all(observed, 'inmesh_metrics_overflow_total')[0]!.value).toBe(1);
    // Who comes back begins again, as after a restart.
    old.ended(testEndedCall());
    expect(requests(observed).at(-1)).toMatchObject({ value: 1, labels: { destination_service: 'old' } });
  });

  it('stays bounded under hosts, paths and callers without end, and so does memory', () => {
    const observed = metrics({ maxSeries: 2000 });
    const tags = [{ name: 'path', expression: 'request.path' }];
    const telemetry = { ...DEFAULT_TELEMETRY.client, metrics: { REQUEST_COUNT: { disabled: false, tags } } };
    const outside = observed.route({ ...reviews, cluster: 'PassthroughCluster', telemetry });
    const of = observed.inbound!({ ...inbound, port: 8080, service: '', serviceName: '', serviceNamespace: '' });
    const flood = (first: number, to: number): void => {
      for (let at = first; at < to; at += 1) {
        outside.ended(testEndedCall({ call: testCall({ authority: `host-${at}`, path: `/${at}` }) }));
        of.ended(from(testPeer({ principal: `td/ns/shop/sa/a${at}` })));
      }
    };
    const heap = (): number => {
      // Two, for what the first finds out to be weak.
      for (let round = 0; round < 2; round += 1) gc();
      return process.memoryUsage().heapUsed;
    };
    flood(0, 10_000);
    const before = heap();
    flood(10_000, 40_000);
    expect(heap() - before).toBeLessThan(2e6);
    expect(all(observed, 'inmesh_metrics_series')[0]!.value).toBeLessThan(2000 + 4 * 67);
    expect(requests(observed).reduce((sum, { value }) => sum + value, 0)).toBe(80_000);
  }, 30_000);
});

describe('messages of gRPC', () => {
  const counted = (from: IstioMetrics): number[][] =>
    all(from, 'istio_request_messages_total').map(({ value, labels }) => {
      const response = all(from, 'istio_response_messages_total').find((one) => JSON.stringify(one.labels) === JSON.stringify(labels));
      return [value, response!.value];
    });
  const info = { ...inbound, port: 8080, service: '', serviceName: '', serviceNamespace: '' };

  it('are counted by who called whom: with the 20 labels that say so, and none of what came of it', () => {
    const observed = metrics();
    const route = observed.route({ ...reviews, protocol: 'grpc' });
    expect(observed.text()).not.toContain('messages_total');
    route.messages!(testEndedCall({ endpoint: endpoint('10.0.0.1:80') }), 1, 0);
    route.messages!(testEndedCall({ endpoint: endpoint('10.0.0.2:80') }), 2, 5);
    // Another route to the service, as after a change of policy.
    observed.route({ ...reviews, protocol: 'grpc' }).messages!(testEndedCall({ endpoint: endpoint('10.0.0.1:80') }), 0, 1);
    expect(counted(observed)).toEqual([[3, 6]]);
    route.ended(testEndedCall({ endpoint: endpoint('10.0.0.1:80'), grpcStatus: 0 }));
    const outcome = new Set(['request_protocol', 'response_code', 'grpc_response_status', 'response_flags', 'connection_security_policy']);
    const [call] = requests(observed) as [Sample];
    const identity = Object.fromEntries(Object.entries(call.labels).filter(([name]) => !outcome.has(name)));
    expect(Object.keys(identity)).toHaveLength(20);
    expect(all(observed, 'istio_request_messages_total')[0]!.labels).toEqual(identity);
  });

  it('are counted by destination, and of calls that reached none', () => {
    const observed = metrics();
    const route = observed.route({ ...reviews, protocol: 'grpc' });
    route.messages!(testEndedCall({ endpoint: endpoint('10.0.0.1:80') }), 1, 1);
    route.messages!(testEndedCall({ endpoint: endpoint('10.0.0.3:80', { workload: 'reviews-v3' }) }), 2, 2);
    route.messages!(testEndedCall(), 3, 0);
    expect(counted(observed)).toEqual([
      [1, 1],
      [2, 2],
      [3, 0],
    ]);
  });

  it('are counted at their destination too, by who calls and how he proves it', () => {
    const observed = metrics();
    const of = observed.inbound!(info);
    const proven = testPeer({ principal: 'td/ns/shop/sa/storefront' });
    of.messages!(from(proven), 1, 2);
    // By a hop token, over a connection of somebody else's.
    of.messages!(from({ ...proven, connection: testPeer().connection }), 10, 20);
    of.messages!(from(testPeer()), 5, 5);
    expect(counted(observed)).toEqual([
      [1, 2],
      [10, 20],
      [5, 5],
    ]);
    const [{ labels }] = all(observed, 'istio_response_messages_total') as [Sample];
    expect(Object.keys(labels)).toHaveLength(20);
    expect(labels).toMatchObject({
      reporter: 'destination',
      source_principal: 'spiffe://td/ns/shop/sa/storefront',
      destination_workload: 'web',
    });
  });

  it('beyond the limit are counted in the overflow', () => {
    const observed = metrics({ maxSeries: 4 });
    for (let pod = 0; pod < 9; pod += 1)
      observed.route({ ...reviews, protocol: 'grpc' }).messages!(
        testEndedCall({ endpoint: endpoint(`10.0.0.${pod}:80`, { workload: `pod-${pod}` }) }),
        1,
        1,
      );
    observed.inbound!(info).messages!(from(testPeer()), 1, 1);
    for (let host = 0; host < 9; host += 1) observed.route({ ...reviews, service: `host-${host}` }).messages!(testEndedCall(), 1, 1);
    expect(counted(observed)).toEqual([
      [1, 1],
      [1, 1],
      [16, 16],
      [1, 1],
    ]);
    const found = all(observed, 'istio_request_messages_total').at(-2)!;
    expect(found.labels).toMatchObject({ destination_service: 'overflow', destination_workload: 'overflow' });
    expect(Object.keys(found.labels)).toHaveLength(20);
  });
});

describe('events', () => {
  const one = (from: IstioMetrics, name: string): [Readonly<Record<string, string>>, number][] =>
    all(from, name).map(({ labels, value }) => [labels, value]);

  it('count hedges by cluster and reason', () => {
    const observed = metrics();
    observed.event({ type: 'call.hedged', cluster: 'c', attempt: 1, reason: 'slow' });
    observed.event({ type: 'call.hedged', cluster: 'c', attempt: 2, reason: 'slow' });
    observed.event({ type: 'call.hedged', cluster: 'c', attempt: 1, reason: 'failed' });
    expect(one(observed, 'inmesh_hedges_total')).toEqual([[{ cluster: 'c', reason: 'slow' }, 2], [{ cluster: 'c', reason: 'failed' }, 1]]); // prettier-ignore
  });

  it('tell how many keys an issuer has, and how often they could not be had', () => {
    const observed = metrics();
    const source = 'https://issuer/keys';
    observed.event({ type: 'keys.changed', source, total: 3 });
    observed.event({ type: 'keys.failed', source, reason: 'it answered 500' });
    observed.event({ type: 'keys.changed', source, total: 2 });
    expect(one(observed, 'inmesh_jwt_keys')).toEqual([[{ source }, 2]]);
    expect(one(observed, 'inmesh_jwt_key_failures_total')).toEqual([[{ source }, 1]]);
  });

  it('count policies applied and refused, from zero, and say when one was last refused', () => {
    const clock = fakeClock();
    const observed = metrics({ clock });
    expect(one(observed, 'inmesh_policy_rejected_total')).toEqual([[{}, 0]]);
    expect(one(observed, 'inmesh_policy_last_rejected_timestamp_seconds')).toEqual([]);
    observed.event({ type: 'policy.applied', version: 'v1', ms: 3 });
    clock.advance(90_000);
    observed.event({ type: 'policy.rejected', version: 'v2', reason: 'wrong' });
    observed.event({ type: 'policy.applied', version: 'v3', ms: 3 });
    expect(one(observed, 'inmesh_policy_rejected_total')).toEqual([[{}, 1]]);
    expect(one(observed, 'inmesh_policy_applied_total')).toEqual([[{}, 2]]);
    expect(one(observed, 'inmesh_policy_last_rejected_timestamp_seconds')).toEqual([[{}, clock.wall() / 1000]]);
  });
});

it('announces the build', () => {
  expect(all(metrics({ version: '0.1.0' }), 'istio_build')).toEqual([
    { name: 'istio_build', labels: { component: 'proxy', tag: '0.1.0' }, value: 1 },
  ]);
});

it('writes whatever text stands in labels so that it can be read back', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), fc.string({ minLength: 1 }), (service, name) => {
      const observed = metrics({ buckets: [1] });
      observed.route({ ...reviews, service }).ended(testEndedCall({ endpoint: endpoint('a:1', { workload: name }) }));
      expect(requests(observed)[0]!.labels).toMatchObject({ destination_service: service, destination_workload: name });
    }),
  );
});

describe('calls to this process', () => {
  const info = { ...inbound, port: 8080, service: '', serviceName: '', serviceNamespace: '' };
  const peer = (account?: string) => testPeer(account === undefined ? {} : { principal: `td/ns/shop/sa/${account}` });

  it('are counted at their destination, by who was proven to make them', () => {
    const observed = istioMetrics({ workload });
    const of = observed.inbound!(info);
    of.ended(from(peer('storefront')));
    // A new policy binds the same series again.
    observed.inbound!(info).ended(from(peer('storefront')));
    of.ended(from(peer(), { status: 403 }));
    const requests = observed.text().split('\n').filter((line) => line.startsWith('istio_requests_total{')); // prettier-ignore
    expect(requests.length).toBe(2);
    expect(requests[0]).toMatch(
      /reporter="destination".*source_workload_namespace="shop",source_principal="spiffe:\/\/td\/ns\/shop\/sa\/storefront"/,
    );
    expect(requests[0]).toMatch(/response_code="200".*connection_security_policy="mutual_tls"\} 2$/);
    expect(requests[1]).toMatch(/source_principal="unknown".*response_code="403".*connection_security_policy="none"\} 1$/);
  });

  it('are counted by what callers say of themselves, where they prove nothing: not by what the first one said', () => {
    const observed = istioMetrics({ workload });
    const of = observed.inbound!(info);
    const said = (name: string) => testPeer({ metadata: { workload: name, namespace: 'shop', cluster: 'east', labels: { app: name } } });
    for (const who of [said('cart'), said('web'), testPeer(), said('web')]) of.ended(from(who));
    expect(requests(observed).map(({ labels, value }) => [labels['source_workload'], labels['source_app'], value])).toEqual([
      ['cart', 'cart', 1],
      ['web', 'web', 2],
      ['unknown', 'unknown', 1],
    ]);
  });

  it('that could not be read are nobody’s', () => {
    const observed = istioMetrics({ workload });
    observed.inbound!(info).ended(testEndedCall({ status: 400 }));
    expect(observed.text()).not.toContain('istio_requests_total');
  });

  it('of identities without end are counted in the overflow', () => {
    const observed = istioMetrics({ workload, maxSeries: 100 });
    const of = observed.inbound!(info);
    for (let account = 0; account < 1000; account += 1) of.ended(from(peer(`a${account}`)));
    expect(observed.text().split('\n').filter((line) => line.startsWith('istio_requests_total{')).length).toBeLessThan(10); // prettier-ignore
    expect(observed.text()).toMatch(/inmesh_metrics_overflow_total 99\d/);
  });
});
