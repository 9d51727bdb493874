import { describe, expect, it } from 'vitest';
import { type Edge, graphOf, healthOf, totalOf } from './graph.ts';
import { DURATION_BUCKET, type Labels, REQUESTS, type Sample, TCP_OPENED, TCP_RECEIVED, TCP_SENT } from './sample.ts';
import { Traffic } from './traffic.ts';

const OK = { request_protocol: 'http', response_code: '200', response_flags: '-' };
const called = (service: string, revision = 'v1'): Labels => ({
  destination_workload: `${service}-${revision}`,
  destination_workload_namespace: 'shop',
  destination_canonical_service: service,
  destination_canonical_revision: revision,
  destination_service: `${service}.shop.svc`,
  destination_service_name: service,
  destination_service_namespace: 'shop',
});
const NOBODY: Labels = {
  destination_workload: 'unknown',
  destination_workload_namespace: 'unknown',
  destination_canonical_service: 'unknown',
  destination_canonical_revision: 'latest',
};
const caller = (service: string, revision = 'v1'): Labels => ({
  reporter: 'source',
  source_workload: `${service}-${revision}`,
  source_workload_namespace: 'shop',
  source_canonical_service: service,
  source_canonical_revision: revision,
  source_principal: 'unknown',
});
/** What a callee of inmesh knows of who calls: the certificate, and no more. */
const proved = (account: string): Labels => ({
  reporter: 'destination',
  source_workload: 'unknown',
  source_workload_namespace: account === '' ? 'unknown' : 'shop',
  source_canonical_service: 'unknown',
  source_canonical_revision: 'latest',
  source_principal: account === '' ? 'unknown' : `spiffe://cluster.local/ns/shop/sa/${account}`,
  connection_security_policy: account === '' ? 'none' : 'mutual_tls',
});
const requests = (value: number, ...labels: readonly Labels[]): Sample => ({
  name: REQUESTS,
  value,
  labels: Object.assign({}, OK, ...labels) as Labels,
});
const lines = (samples: readonly Sample[]) =>
  graphOf(samples).edges.map(
    ({ from, to, traffic, mtls }) => `${from.service} ${from.revision} → ${to.service} ${to.revision}: ${traffic.requests} ${mtls}`,
  );
const only = (samples: readonly Sample[]): Edge => {
  const { edges } = graphOf(samples);
  expect(edges).toHaveLength(1);
  return edges[0]!;
};

describe('both reporters of an edge are one edge', () => {
  it('by name, as Istio labels them: errors and latency from the caller, mutual TLS from the callee', () => {
    const named = { ...caller('web'), reporter: 'destination', connection_security_policy: 'mutual_tls' };
    const edge = only([
      requests(9, caller('web'), called('reviews')),
      requests(1, caller('web'), called('reviews'), { response_code: '503', response_flags: 'UC' }),
      requests(10, called('reviews'), named),
    ]);
    expect([edge.traffic.requests, edge.errorShare, edge.mtls, edge.health]).toEqual([10, 0.1, 1, 'failing']);
    expect([...edge.traffic.outcomes]).toEqual([['200', 9], ['503 UC', 1]]); // prettier-ignore
  });

  it('by certificate, where the callee knows no more of its caller', () => {
    expect(lines([requests(10, caller('web'), called('reviews')), requests(10, called('reviews'), proved('web'))])).toEqual([
      'web v1 → reviews v1: 10 1',
    ]);
  });

  it('by certificate, though two versions share an account', () => {
    expect(
      lines([
        requests(7, caller('reviews', 'v1'), called('ratings')),
        requests(3, caller('reviews', 'v2'), called('ratings')),
        requests(10, called('ratings'), proved('reviews')),
      ]),
    ).toEqual(['reviews v1 → ratings v1: 7 1', 'reviews v2 → ratings v1: 3 1']);
  });

  it('by certificate, though the account is called otherwise', () => {
    const known = { ...caller('web'), source_principal: 'spiffe://cluster.local/ns/shop/sa/front' };
    expect(lines([requests(10, known, called('reviews')), requests(10, called('reviews'), proved('front'))])).toEqual([
      'web v1 → reviews v1: 10 1',
    ]);
  });

  it('without a certificate, too: then it is plaintext', () => {
    expect(lines([requests(10, caller('web'), called('reviews')), requests(11, called('reviews'), proved(''))])).toEqual([
      'web v1 → reviews v1: 10 0',
    ]);
  });

  it('where only the callee knows which workload serves a host', () => {
    expect(lines([requests(10, caller('web'), called('reviews'), NOBODY), requests(10, called('reviews', 'v3'), proved('web'))])).toEqual([
      'web v1 → reviews v3: 10 1',
    ]);
  });
});

describe('callers nobody else tells of', () => {
  it('are named by their certificate', () => {
    expect(lines([requests(4, called('reviews'), proved('batch'))])).toEqual(['batch latest → reviews v1: 4 1']);
  });

  it('are unknown without one, and only what is left of them is shown', () => {
    expect(lines([requests(10, caller('web'), called('reviews')), requests(30, called('reviews'), proved(''))])).toEqual([
      'unknown  → reviews v1: 20 0',
      'web v1 → reviews v1: 10 0',
    ]);
  });

  it('stand beside those that prove something', () => {
    expect(
      lines([
        requests(10, caller('web'), called('reviews')),
        requests(10, called('reviews'), proved('web')),
        requests(5, called('reviews'), proved('')),
      ]),
    ).toEqual(['unknown  → reviews v1: 5 0', 'web v1 → reviews v1: 10 1']);
  });
});

describe('calls that reach nobody', () => {
  it('end at the service, for want of an endpoint', () => {
    const edge = only([
      requests(2, caller('web'), called('gone'), NOBODY, {
        response_code: '503',
        response_flags: 'UH',
        connection_security_policy: 'none',
      }),
    ]);
    expect([edge.to.kind, edge.to.service, edge.errorShare, edge.mtls]).toEqual(['unreached', 'gone', 1, null]);
  });

  it('went to the service, where only its registry knows no workload', () => {
    const edge = only([requests(2, caller('web'), called('old'), NOBODY)]);
    expect([edge.to.kind, edge.to.service, edge.to.namespace]).toEqual(['service', 'old', 'shop']);
  });

  it('left the mesh', () => {
    const { to } = only([
      requests(2, caller('web'), called('x'), NOBODY, {
        destination_service: 'example.com',
        destination_service_name: 'PassthroughCluster',
      }),
    ]);
    expect([to.kind, to.service]).toEqual(['outside', 'PassthroughCluster']);
  });
});

it('calls without an answer, 5xx and grpc errors are failures, 4xx are not', () => {
  const { traffic, errorShare } = only([
    requests(10, caller('web'), called('reviews')),
    requests(1, caller('web'), called('reviews'), { response_code: '0', response_flags: 'DC' }),
    requests(2, caller('web'), called('reviews'), { request_protocol: 'grpc', grpc_response_status: '14' }),
    requests(3, caller('web'), called('reviews'), { request_protocol: 'grpc', grpc_response_status: '0' }),
    requests(4, caller('web'), called('reviews'), { response_code: '404' }),
  ]);
  expect([traffic.errors, traffic.clientErrors, errorShare]).toEqual([3, 4, 0.15]);
  expect([...traffic.protocols]).toEqual(['http', 'grpc']);
  expect([...traffic.outcomes.keys()]).toContain('no answer DC');
});

it('labels that a Telemetry resource has taken away make no failures', () => {
  const labels = { ...caller('web'), ...called('reviews') };
  const { traffic, errorShare, health } = only([{ name: REQUESTS, value: 10, labels }]);
  expect([traffic.requests, errorShare, health, [...traffic.protocols]]).toEqual([10, 0, 'healthy', []]);
});

it('latency is the quantile of the buckets of all outcomes', () => {
  const bucket = (le: string, value: number, code: string): Sample => ({ name: DURATION_BUCKET, value, labels: { ...OK, ...caller('web'), ...called('reviews'), response_code: code, le } }); // prettier-ignore
  const edge = only([
    requests(10, caller('web'), called('reviews')),
    ...['200', '503'].flatMap((code) => [bucket('10', 2, code), bucket('100', 5, code), bucket('+Inf', 5, code)]),
  ]);
  expect(edge.p50).toBeCloseTo(25, 6);
  expect(edge.p99).toBeCloseTo(98.5, 6);
});

it('connections are edges, too', () => {
  const tcp = (name: string, value: number): Sample => ({ name, value, labels: { ...caller('web'), ...called('db'), request_protocol: 'tcp', response_flags: '-' } }); // prettier-ignore
  const { traffic, health } = only([tcp(TCP_OPENED, 2), tcp(TCP_SENT, 4000), tcp(TCP_RECEIVED, 500)]);
  expect([[...traffic.protocols], traffic.connections, traffic.sentBytes, traffic.receivedBytes, health]).toEqual([
    ['tcp'],
    2,
    4000,
    500,
    'healthy',
  ]);
});

it.each([
  [{ requests: 0 }, 'idle'],
  [{ requests: 1000 }, 'healthy'],
  [{ requests: 1000, errors: 1 }, 'degraded'],
  [{ requests: 10, errors: 1 }, 'failing'],
  [{ requests: 10, clientErrors: 1 }, 'degraded'],
  [{ requests: 10, clientErrors: 2 }, 'failing'],
] as const)('health of %o is %s', (numbers, health) => expect(healthOf(Object.assign(new Traffic(), numbers))).toBe(health));

it('the total counts every call once', () => {
  const { edges } = graphOf([
    requests(10, caller('web'), called('reviews')),
    requests(10, called('reviews'), proved('web')),
    requests(5, caller('reviews'), called('ratings'), { response_code: '500' }),
  ]);
  expect(totalOf(edges)).toMatchObject({ requests: 15, errorShare: 1 / 3 });
});
