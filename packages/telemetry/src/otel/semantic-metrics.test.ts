import type { EndedCall, InboundInfo, RouteInfo } from '@inmesh/core';
import { testCall, testEndedCall } from '@inmesh/core/testing';
import { describe, expect, it } from 'vitest';
import { SemanticMetrics } from './semantic-metrics.ts';

const ended = (call: Parameters<typeof testCall>[0], fields: Partial<EndedCall> = {}): EndedCall =>
  testEndedCall({ call: testCall(call), ...fields });

/** Label sets and counts of one name. */
function counted(metrics: SemanticMetrics, name: string): [object, number][] {
  const { samples } = metrics.families().find((family) => family.name === name)!;
  return samples.map((one) => [one.labels.record, 'value' in one ? one.value : Array.from(one.counts).reduce((sum, count) => sum + count)]);
}

const client = (metrics: SemanticMetrics) => metrics.route({} as RouteInfo);
const server = (metrics: SemanticMetrics, route = 'default') => metrics.inbound({ route } as InboundInfo);

describe('durations by semantic convention', () => {
  it('name a client’s errors from 400, a server’s from 500', () => {
    const metrics = new SemanticMetrics(10_000);
    client(metrics).ended(ended({ url: 'http://reviews:81/a' }, { status: 404 }));
    server(metrics).ended(ended({ url: 'http://reviews/a', method: 'PUT' }, { status: 404 }));
    server(metrics).ended(ended({ url: 'http://reviews/b', method: 'PUT' }, { status: 500 }));
    expect(counted(metrics, 'http.client.request.duration')).toEqual([
      [{ 'http.request.method': 'GET', 'server.address': 'reviews', 'server.port': 81, 'http.response.status_code': 404, 'error.type': '404' }, 1],
    ]); // prettier-ignore
    const asked = { 'http.request.method': 'PUT', 'url.scheme': 'http' };
    expect(counted(metrics, 'http.server.request.duration')).toEqual([
      [{ ...asked, 'http.response.status_code': 404 }, 1],
      [{ ...asked, 'http.response.status_code': 500, 'error.type': '500' }, 1],
    ]);
  });

  it('count seconds in the advised buckets', () => {
    const metrics = new SemanticMetrics(10_000);
    for (const ms of [4, 5, 6, 11_000]) client(metrics).ended(ended({}, { ms }));
    const [sample] = metrics.families()[0]!.samples;
    if (sample === undefined || 'value' in sample) return expect.unreachable();
    expect(sample.bounds).toHaveLength(14);
    expect([sample.counts[0], sample.counts[1], sample.counts[14]]).toEqual([2, 1, 1]);
    expect(sample.sum).toBeCloseTo(11.015);
  });

  it('hold no method a stranger invents, and no RPC that nobody serves', () => {
    const metrics = new SemanticMetrics(10_000);
    for (let call = 0; call < 50; call += 1) {
      server(metrics).ended(ended({ method: `M${call}` }));
      server(metrics).ended(ended({ url: `http://a/no.Such${call}/Thing`, protocol: 'grpc' }, { grpcStatus: 12 }));
    }
    expect(counted(metrics, 'http.server.request.duration')).toMatchObject([[{ 'http.request.method': '_OTHER' }, 50]]);
    expect(counted(metrics, 'rpc.server.call.duration')).toEqual([
      [{ 'rpc.system.name': 'grpc', 'rpc.method': '_OTHER', 'rpc.status_code': 'UNIMPLEMENTED', 'error.type': 'UNIMPLEMENTED' }, 50],
    ]);
  });

  it('tell a server’s failures of gRPC from what it was asked wrongly', () => {
    const metrics = new SemanticMetrics(10_000);
    for (const grpcStatus of [0, 5, 14])
      server(metrics).ended(ended({ url: 'http://a/shop.Ratings/Get', protocol: 'grpc' }, { grpcStatus }));
    expect(counted(metrics, 'rpc.server.call.duration').map(([labels]) => [labels['rpc.status_code' as never], labels['error.type' as never]])).toEqual([
      ['OK', undefined],
      ['NOT_FOUND', undefined],
      ['UNAVAILABLE', 'UNAVAILABLE'],
    ]); // prettier-ignore
  });

  it('name the route where the policy does', () => {
    const metrics = new SemanticMetrics(10_000);
    server(metrics, 'ratings').ended(ended({}));
    expect(counted(metrics, 'http.server.request.duration')).toMatchObject([[{ 'http.route': 'ratings' }, 1]]);
  });

  it('are bounded: what comes beyond is counted under OpenTelemetry’s overflow attribute', () => {
    const metrics = new SemanticMetrics(17 * 3);
    for (let host = 0; host < 100; host += 1) client(metrics).ended(ended({ url: `http://host-${host}/` }));
    const found = counted(metrics, 'http.client.request.duration');
    expect(found).toHaveLength(4);
    expect(found.at(-1)).toEqual([{ 'otel.metric.overflow': 'true' }, 97]);
  });

  it('leave out upgraded connections and what could not be read', () => {
    const metrics = new SemanticMetrics(10_000);
    client(metrics).ended(ended({ protocol: 'websocket' }, { status: 101, ms: 3_600_000 }));
    server(metrics).ended(testEndedCall({ status: 400 }));
    expect(metrics.families().every(({ samples }) => samples.length === 0)).toBe(true);
  });
});
