import type { EndedCall } from '@inmesh/core';
import { fakeClock, testCall, testEndedCall, testEndpoint, testPeer, testWorkload } from '@inmesh/core/testing';
import { describe, expect, it } from 'vitest';
import type { CallInfo } from '../facts.ts';
import { compileExpression, printValue } from './expression.ts';
import { clientInfo, serverInfo } from '../testing/infos.ts';

const workload = testWorkload({
  name: 'web-7d9f',
  namespace: 'shop',
  serviceAccount: 'web',
  labels: { app: 'web', version: 'v3' },
  cluster: 'east',
});
const clock = fakeClock();
const call = testCall({
  url: 'http://reviews:9080/ratings/7?verbose=1',
  method: 'POST',
  headers: { 'x-user': 'ann', referer: 'http://shop/', 'user-agent': 'curl/8', 'x-request-id': 'id-1', 'content-type': 'text/plain' },
});
const endpoint = testEndpoint('10.0.0.4:9080', {
  labels: { app: 'reviews', version: 'v2', 'topology.istio.io/cluster': 'west' },
  namespace: 'default',
  workload: 'reviews-v2',
  serviceAccount: 'reviews',
});
const ended = testEndedCall({
  call, endpoint, status: 404, ms: 12.7, requestBytes: 5, requestHead: 100, responseBytes: 7, responseHead: 50, upstreamMs: 11.2, attempts: 2,
  responseHeader: (name) => (name === 'x-shard' ? '3' : undefined),
}); // prettier-ignore
const inbound = testEndedCall({
  call: testCall({ headers: { 'x-user': 'ann' }, peer: testPeer({ principal: 'cluster.local/ns/web/sa/browser', remotePort: 4711, sni: 'outbound_.9080_._.reviews' }) }),
  mutual: true,
}); // prettier-ignore

const of = (text: string, about: EndedCall = ended, info: CallInfo = clientInfo): unknown =>
  compileExpression(text, { clock })(about, info, workload);

describe('CEL over a call that ended', () => {
  it.each([
    ['response.code >= 400 || connection.mtls == false', true],
    ['response.code == 200', false],
    ['response.code >= 500 && response.code < 600', false],
    ['request.url_path', '/ratings/7'],
    ['request.path', '/ratings/7?verbose=1'],
    ['request.query', 'verbose=1'],
    ['request.host', 'reviews:9080'],
    ['request.scheme + "://" + request.host', 'http://reviews:9080'],
    ['request.method', 'POST'],
    ['request.referer', 'http://shop/'],
    ['request.useragent', 'curl/8'],
    ['request.id', 'id-1'],
    ['request.protocol', 'HTTP/1.1'],
    ["request.headers['x-user']", 'ann'],
    ["request.headers['X-User']", 'ann'],
    ["request.headers['x-user'] == 'ann' ? 'her' : 'other'", 'her'],
    ["has(request.headers['x-user']) ? request.headers['x-user'] : 'nobody'", 'ann'],
    ["has(request.headers['x-none']) ? request.headers['x-none'] : 'nobody'", 'nobody'],
    ['has(request.headers.referer)', true],
    ["'x-user' in request.headers", true],
    ["'x-none' in request.headers", false],
    ["('x-none' in request.headers) || response.code == 404", true],
    ["request.headers['x-none'] == 'x' || response.code == 404", true],
    ["response.headers['x-shard']", '3'],
    ['request.size', 5n],
    ['request.total_size', 105n],
    ['response.size', 7n],
    ['response.total_size', 57n],
    ['response.code_details', 'via_upstream'],
    ["request.url_path.startsWith('/ratings/')", true],
    ["request.url_path.endsWith('/8')", false],
    ["request.url_path.contains('ting')", true],
    ["request.url_path.matches('^/ratings/[0-9]+$')", true],
    ["request.url_path.matches('ings')", true],
    ["request.url_path.matches('^/users')", false],
    ["request.duration > duration('12ms')", true],
    ["request.duration > duration('13ms')", false],
    ["response.backend_latency < duration('1s')", true],
    ['string(response.code)', '404'],
    ['upstream.address', '10.0.0.4:9080'],
    ['upstream.port', 9080n],
    ['upstream.request_attempt_count > 1', true],
    ['destination.port', 9080n],
    ['xds.cluster_name', clientInfo.cluster],
    ['xds.route_name', clientInfo.route],
    ["node.metadata['NAMESPACE']", 'shop'],
    ["xds.node.metadata['LABELS']['version']", 'v3'],
    ['upstream_peer.workload', 'reviews-v2'],
    ['upstream_peer.namespace', 'default'],
    ['upstream_peer.app', 'reviews'],
    ['upstream_peer.version', 'v2'],
    ['upstream_peer.cluster', 'west'],
    ["upstream_peer.labels['version']", 'v2'],
    ["['v1', 'v2'].exists(v, v == upstream_peer.version)", true],
  ])('%s', (text, expected) => {
    expect(of(text)).toEqual(expected);
  });

  it.each([
    ['source.address', '10.0.0.9:4711'],
    ['source.port', 4711n],
    ['destination.address', '10.0.0.1:8080'],
    ['destination.port', 8080n],
    ['connection.mtls', true],
    ['connection.requested_server_name', 'outbound_.9080_._.reviews'],
    ['connection.uri_san_peer_certificate', 'spiffe://cluster.local/ns/web/sa/browser'],
    ['connection.uri_san_local_certificate', 'spiffe://cluster.local/ns/shop/sa/web'],
    ['downstream_peer.namespace', 'web'],
    ['downstream_peer.principal', 'spiffe://cluster.local/ns/web/sa/browser'],
    ['has(downstream_peer.version)', false],
    ['xds.listener_direction', 1n],
  ])('of a call that came in: %s', (text, expected) => {
    expect(of(text, inbound, serverInfo)).toEqual(expected);
  });

  it('a caller is what it says of itself, but only who it proved to be', () => {
    const metadata = { workload: 'browser-7d', namespace: 'other', cluster: 'west', labels: { app: 'browser', version: 'v9' } };
    const told = (principal?: string) =>
      testEndedCall({ call: testCall({ peer: testPeer({ metadata, ...(principal === undefined ? {} : { principal }) }) }) });
    const all =
      "[downstream_peer.workload, downstream_peer.namespace, downstream_peer.cluster, downstream_peer.version, downstream_peer.labels['app']]";
    expect(of(all, told(), serverInfo)).toEqual(['browser-7d', 'other', 'west', 'v9', 'browser']);
    expect(of('downstream_peer.namespace', told('cluster.local/ns/web/sa/browser'), serverInfo)).toBe('web');
    expect(of('has(downstream_peer.principal)', told(), serverInfo)).toBe(false);
  });

  it('what the call does not have is no value: the expression fails, as in Envoy', () => {
    for (const text of [
      "request.headers['x-none']",
      'downstream_peer.app',
      'upstream.transport_failure_reason',
      'source.address',
      'response.grpc_status',
      '1 / 0',
      'int(request.method)',
      "request.path.matches('(' + request.query)",
    ]) {
      // prettier-ignore
      expect(of(text), text).toBeUndefined();
    }
    // Nobody was sent a code.
    expect(of('response.code >= 400', testEndedCall({ status: 0 }))).toBeUndefined();
    expect(of('response.code >= 400 || connection.mtls == false', testEndedCall({ status: 0 }))).toBe(true);
  });

  it('TCP has no request', () => {
    const tcp = testEndedCall({ call: testCall({ protocol: 'tcp' }), status: 0, details: 'rbac_access_denied_matched_policy[none]' });
    expect(of('request.path', tcp)).toBeUndefined();
    expect(of('request.method', tcp)).toBeUndefined();
    expect(of('connection.termination_details', tcp)).toBe('rbac_access_denied_matched_policy[none]');
  });

  it('request.time is when it began', () => {
    const began = new Date(clock.wall() - ended.ms);
    expect(of('request.time')).toEqual(began);
    expect(printValue(of('request.time'))).toBe(began.toISOString());
  });

  it('reads nothing that is not named', () => {
    const read: string[] = [];
    const spied = testEndedCall({ call: testCall(), responseHeader: (name) => (read.push(name), 'x') });
    of("response.code == 200 && 'x-a' in response.headers", spied);
    expect(read).toEqual(['x-a']);
  });

  it('a duration that somebody writes is read, and costs no ages where he writes thousands of digits', () => {
    const text = "duration(request.headers['x-wait']) > duration('90s')";
    const said = (wait: string): unknown => of(text, testEndedCall({ call: testCall({ headers: { 'x-wait': wait } }) }));
    expect(['2m', '1m30s', '1.5h', 'soon', ''].map(said)).toEqual([true, false, true, undefined, undefined]);
    const before = performance.now();
    expect(said(`${'1'.repeat(2000)}x`)).toBeUndefined();
    expect(performance.now() - before).toBeLessThan(200);
  });

  it('a pattern that would backtrack for ages does not', () => {
    const long = testEndedCall({ call: testCall({ url: `http://a/${'a'.repeat(5000)}!` }) });
    const began = performance.now();
    expect(of("request.path.matches('(a+)+$')", long)).toBe(false);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  it.each([
    ['response.code >=', /CEL expression "response.code >="/],
    ['respnse.code == 200', /Unknown variable: respnse/],
    ['response.kode == 200', /there is no response.kode; response has code, code_details/],
    ['request', /request is no value by itself; it has path/],
    ['size(request.headers)', /request.headers can only be asked for one header at a time/],
    ['request.method in request.headers', /must be named by a text/],
    ['request.headers[request.method]', /one header at a time/],
    ["request.path.matches('(')", /no regular expression of RE2/],
    ["'a' + 1", /no such overload/],
  ])('refuses %s', (text, why) => {
    expect(() => compileExpression(text)).toThrow(why);
    expect(() => compileExpression(text)).toThrow(expect.objectContaining({ code: 'POLICY_INVALID' }) as Error);
  });

  it('prints values as Envoy does', () => {
    expect([5n, true, 'x', 1.5, undefined, null].map(printValue)).toEqual(['5', 'true', 'x', '1.5', undefined, 'null']);
    expect(printValue(of("duration('1500ms')"))).toBe('1.5s');
    expect(printValue(of('[1, 2]'))).toBe('[1,2]');
  });
});
