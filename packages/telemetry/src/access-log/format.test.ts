import { flagBit, type EndedCall } from '@inmesh/core';
import { fakeClock, testCall, testEndedCall, testEndpoint, testPeer, testWorkload } from '@inmesh/core/testing';
import type { AccessLogFormat } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { type CallInfo, traceOfCall } from '../facts.ts';
import { clientInfo, serverInfo } from '../testing/infos.ts';
import { compileFormat, compileJson, compileText } from './format.ts';
import { type FormatTools, OPERATORS } from './operators.ts';

const tools: FormatTools = {
  workload: testWorkload({ name: 'web', namespace: 'shop', serviceAccount: 'web' }),
  trustDomain: 'cluster.local',
  clock: fakeClock(),
  hostname: 'web-7d9f',
  environment: { REGION: 'eu', EMPTY: '' },
  traceOf: traceOfCall,
};

/** 5.9 ms after it began. */
const ENDED_AT = Date.UTC(2026, 1, 3, 4, 5, 6, 789) + 5.9;

const headers = {
  'user-agent': 'curl/8.5.0',
  'x-request-id': 'a1b2',
  'x-forwarded-for': '203.0.113.7',
  'x-b': 'second',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
};
const endpoint = testEndpoint('10.0.0.4:9080', { namespace: 'default', serviceAccount: 'reviews' });
const answered = testEndedCall({
  call: testCall({ url: 'http://reviews:9080/ratings/7?verbose=1', method: 'POST', headers }),
  endpoint, ms: 5.9, requestBytes: 17, responseBytes: 381, requestHead: 120, responseHead: 90, upstreamMs: 4.7, mutual: true,
  responseHeader: (name) => (name === 'x-shard' ? '3' : undefined),
}); // prettier-ignore
const refused = testEndedCall({
  call: testCall({ url: 'http://reviews:9080/', headers: {} }),
  status: 503, flags: flagBit.UF | flagBit.URX, ms: 2, attempts: 3, endpoint,
  details: 'upstream_reset_before_response_started{remote_connection_failure}', failure: 'connect ECONNREFUSED 10.0.0.4:9080',
}); // prettier-ignore
const caller = testPeer({ principal: 'cluster.local/ns/web/sa/browser', remotePort: 4711, sni: 'outbound_.8080_._.web.shop' });
const received = testEndedCall({ call: testCall({ url: 'http://web/', headers, peer: caller }), mutual: true, http2: true, ms: 5.9 });
const tcp = testEndedCall({
  call: testCall({ protocol: 'tcp' }),
  endpoint,
  status: 0,
  requestBytes: 10,
  responseBytes: 20,
  details: '',
  ms: 60_000,
});

const text = (format: string | null, omitEmptyValues = false): AccessLogFormat => ({ kind: 'text', format, omitEmptyValues });
const lineOf = (format: AccessLogFormat, call: EndedCall, info: CallInfo = clientInfo): string =>
  compileFormat(format, tools)(call, info, ENDED_AT);
const one = (operator: string, call: EndedCall = answered, info: CallInfo = clientInfo): string =>
  compileText(operator, false, tools)(call, info, ENDED_AT);

describe("Istio's text format", () => {
  it('of a call that was answered', () => {
    expect(lineOf(text(null), answered)).toBe(
      '[2026-02-03T04:05:06.789Z] "POST /ratings/7?verbose=1 HTTP/1.1" 200 - via_upstream - "-" 17 381 5 4 "203.0.113.7" "curl/8.5.0" "a1b2" ' +
        '"reviews:9080" "10.0.0.4:9080" outbound|9080|v2|reviews.default.svc.cluster.local - - - - to-v2\n',
    );
  });

  it('of a call that reached nobody', () => {
    expect(lineOf(text(null), refused)).toBe(
      '[2026-02-03T04:05:06.792Z] "GET / HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{remote_connection_failure} - ' +
        '"connect ECONNREFUSED 10.0.0.4:9080" 0 0 2 - "-" "-" "-" "reviews:9080" "10.0.0.4:9080" ' +
        'outbound|9080|v2|reviews.default.svc.cluster.local - - - - to-v2\n',
    );
  });

  it('of a call that came in', () => {
    expect(lineOf(text(null), received, serverInfo)).toBe(
      '[2026-02-03T04:05:06.789Z] "GET / HTTP/2" 200 - via_upstream - "-" 0 0 5 - "203.0.113.7" "curl/8.5.0" "a1b2" "web" "10.0.0.1:8080" ' +
        'inbound|8080|| - 10.0.0.1:8080 10.0.0.9:4711 outbound_.8080_._.web.shop default\n',
    );
  });

  it('of a connection of TCP', () => {
    expect(lineOf(text(null), tcp)).toBe(
      '[2026-02-03T04:04:06.794Z] "- - -" 0 - - - "-" 10 20 60000 - "-" "-" "-" "-" "10.0.0.4:9080" ' +
        'outbound|9080|v2|reviews.default.svc.cluster.local - - - - to-v2\n',
    );
  });

  it('leaves out what there is not, where asked', () => {
    expect(lineOf(text('%REQ(X-NONE)%|%TRAILER(X)%|%RESPONSE_FLAGS%', true), answered)).toBe('||-\n');
  });
});

describe("Istio's JSON format", () => {
  it('has its 24 keys in its order: numbers are numbers, what there is not is null, as from Envoy', () => {
    expect(lineOf({ kind: 'json', fields: null, omitEmptyValues: false }, answered)).toBe(
      '{"start_time":"2026-02-03T04:05:06.789Z","route_name":"to-v2","method":"POST","path":"/ratings/7?verbose=1","protocol":"HTTP/1.1",' +
        '"response_code":200,"response_flags":"-","response_code_details":"via_upstream","connection_termination_details":null,' +
        '"bytes_received":17,"bytes_sent":381,"duration":5,"upstream_service_time":"4","x_forwarded_for":"203.0.113.7",' +
        '"user_agent":"curl/8.5.0","request_id":"a1b2","authority":"reviews:9080","upstream_host":"10.0.0.4:9080",' +
        '"upstream_cluster":"outbound|9080|v2|reviews.default.svc.cluster.local","upstream_local_address":null,' +
        '"downstream_local_address":null,"downstream_remote_address":null,"requested_server_name":null,' +
        '"upstream_transport_failure_reason":null}\n',
    );
  });

  it('leaves out keys without a value, where asked', () => {
    const line = JSON.parse(lineOf({ kind: 'json', fields: null, omitEmptyValues: true }, tcp)) as Record<string, unknown>;
    expect(Object.keys(line)).toEqual([
      'start_time', 'route_name', 'response_code', 'response_flags', 'bytes_received', 'bytes_sent', 'duration', 'upstream_host', 'upstream_cluster',
    ]); // prettier-ignore
  });

  it('is JSON whatever strangers write', () => {
    for (const agent of ['a"b', 'a\\b', 'a\nb', 'Jürgen', '\u{1f600}', '\ud800', '~ !#[]', '']) {
      const call = testEndedCall({ call: testCall({ headers: { 'user-agent': agent } }) });
      const format: AccessLogFormat = { kind: 'json', fields: { 'a"gent': '%REQ(USER-AGENT)%', deep: { agent: '%REQ(USER-AGENT)%' } }, omitEmptyValues: false }; // prettier-ignore
      expect(lineOf(format, call)).toBe(`${JSON.stringify({ 'a"gent': agent, deep: { agent } })}\n`);
    }
  });

  it('takes fields of any shape', () => {
    const fields = {
      code: '%RESPONSE_CODE%',
      both: '%REQ(:METHOD)% %REQ(X-NONE)%',
      deep: { ms: '%DURATION%', list: ['%PROTOCOL%', 7, true, null, '%TRAILER(X)%'] },
      fixed: 'production',
      none: '%REQ(X-NONE)%',
    };
    expect(compileJson(fields, false, tools)(answered, clientInfo, ENDED_AT)).toEqual({
      code: 200,
      both: 'POST -',
      deep: { ms: 5, list: ['HTTP/1.1', 7, true, null, null] },
      fixed: 'production',
      none: null,
    });
  });
});

describe('command operators', () => {
  it.each([
    ['%START_TIME%', '2026-02-03T04:05:06.789Z'],
    ['%START_TIME(%Y/%m/%dT%H:%M:%S)%', '2026/02/03T04:05:06'],
    ['%START_TIME(%s.%3f)%', '1770091506.789'],
    ['%START_TIME(%F %T.%6f %Z)%', '2026-02-03 04:05:06.789000 UTC'],
    ['%START_TIME(%d/%b/%Y:%H:%M:%E3S %z)%', '03/Feb/2026:04:05:06.789 +0000'],
    ['%START_TIME(%a %j %I%p)%', 'Tue 034 04AM'],
    ['%REQ(X-NONE?X-B)%', 'second'],
    ['%REQ(X-B?X-NONE)%', 'second'],
    ['%REQ(:METHOD)%', 'POST'],
    ['%REQ(:SCHEME)%', 'http'],
    ['%REQ(:AUTHORITY)%', 'reviews:9080'],
    ['%REQ(USER-AGENT):4%', 'curl'],
    ['%REQ(USER-AGENT):400%', 'curl/8.5.0'],
    ['%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%', '/ratings/7'],
    ['%RESP(X-SHARD)%', '3'],
    ['%RESP(:STATUS)%', '200'],
    ['%RESP(X-NONE)%', '-'],
    ['%TRAILER(GRPC-STATUS)%', '-'],
    ['%RESPONSE_CODE%', '200'],
    ['%BYTES_RECEIVED% %BYTES_SENT%', '17 381'],
    ['%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%', '137 471'],
    ['%UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED%', '137 471'],
    ['%DOWNSTREAM_HEADER_BYTES_RECEIVED% %UPSTREAM_HEADER_BYTES_RECEIVED%', '120 90'],
    ['%DURATION%', '5'],
    ['%UPSTREAM_HOST%', '10.0.0.4:9080'],
    ['%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%', '10.0.0.4 9080'],
    ['%UPSTREAM_CLUSTER%', 'outbound|9080|v2|reviews.default.svc.cluster.local'],
    ['%UPSTREAM_LOCAL_ADDRESS%', '-'],
    ['%UPSTREAM_REQUEST_ATTEMPT_COUNT%', '1'],
    ['%UPSTREAM_PEER_URI_SAN%', 'spiffe://cluster.local/ns/default/sa/reviews'],
    ['%UPSTREAM_LOCAL_URI_SAN%', 'spiffe://cluster.local/ns/shop/sa/web'],
    ['%DOWNSTREAM_PEER_URI_SAN%', '-'],
    ['%ROUTE_NAME%', 'to-v2'],
    ['%HOSTNAME%', 'web-7d9f'],
    ['%ENVIRONMENT(REGION)%', 'eu'],
    ['%ENVIRONMENT(EMPTY)%', '-'],
    ['%TRACE_ID% %SPAN_ID%', '4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7'],
    ['%GRPC_STATUS%', '-'],
    ["%CEL(request.method + ' ' + string(response.code))%", 'POST 200'],
    ["%CEL(request.headers['x-none'])%", '-'],
    ['%CEL(size(request.path))%', '20'],
    ['100%% of %PROTOCOL%', '100% of HTTP/1.1'],
  ])('%s', (operator, expected) => {
    expect(one(operator)).toBe(expected);
  });

  it.each([
    ['%DOWNSTREAM_REMOTE_ADDRESS%', '10.0.0.9:4711'],
    ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%', '10.0.0.9 4711'],
    ['%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%', '10.0.0.1:8080 8080'],
    ['%DOWNSTREAM_PEER_URI_SAN%', 'spiffe://cluster.local/ns/web/sa/browser'],
    ['%DOWNSTREAM_LOCAL_URI_SAN%', 'spiffe://cluster.local/ns/shop/sa/web'],
    ['%UPSTREAM_PEER_URI_SAN%', '-'],
    ['%REQUESTED_SERVER_NAME%', 'outbound_.8080_._.web.shop'],
    ['%PROTOCOL%', 'HTTP/2'],
  ])('of a call that came in: %s', (operator, expected) => {
    expect(one(operator, received, serverInfo)).toBe(expected);
  });

  it('the client behind a trusted proxy has an address but no port; IPv6 stands in brackets', () => {
    const through = (clientAddress: string) => testEndedCall({ call: testCall({ peer: testPeer({ clientAddress, remotePort: 4711 }) }) });
    expect(one('%DOWNSTREAM_REMOTE_ADDRESS%', through('203.0.113.7'), serverInfo)).toBe('203.0.113.7:0');
    expect(one('%DOWNSTREAM_REMOTE_ADDRESS%', through('2001:db8::1'), serverInfo)).toBe('[2001:db8::1]:0');
    expect(one('%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%', through('203.0.113.7'), serverInfo)).toBe('10.0.0.9');
  });

  it.each([
    [0, 'OK', 'OK', '0'],
    [1, 'Canceled', 'CANCELLED', '1'],
    [4, 'DeadlineExceeded', 'DEADLINE_EXCEEDED', '4'],
    [14, 'Unavailable', 'UNAVAILABLE', '14'],
    [99, '99', '99', '99'],
  ])('grpc-status %d', (grpcStatus, camel, snake, number) => {
    const call = testEndedCall({ grpcStatus });
    expect(one('%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%', call)).toBe(`${camel} ${snake} ${number}`);
  });

  it('nothing of what strangers wrote begins a line', () => {
    const call = testEndedCall({ call: testCall({ headers: { 'user-agent': 'a\n[2026] "GET /forged' } }) });
    expect(one('%REQ(USER-AGENT)%', call).split('\n')).toHaveLength(1);
  });

  it.each(['a" 200 - "b', 'a\\', '\r\n\t\0', '\u009b2J', '\x7f\x85\u2028\u2029', 'Jürgen \u{1f600}', '\\" 200'])(
    'what strangers wrote stays between its quotes: %j',
    (agent) => {
      const call = testEndedCall({ call: testCall({ headers: { 'user-agent': agent } }) });
      const line = one('"%REQ(USER-AGENT)%" %RESPONSE_CODE%', call);
      const [, quoted] = /^("(?:[^"\\]|\\.)*") 200$/.exec(line)!;
      expect(JSON.parse(quoted!)).toBe(agent);
      const json = lineOf(
        { kind: 'json', fields: { one: '%REQ(USER-AGENT)%', two: 'by %REQ(USER-AGENT)%' }, omitEmptyValues: false },
        call,
      );
      expect(JSON.parse(json)).toEqual({ one: agent, two: `by ${agent}` });
      for (const written of [line, json.slice(0, -1)]) expect(written).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
    },
  );

  it('none throws, whatever a call lacks', () => {
    const argument: Record<string, string> = { REQ: '(X)', RESP: '(X)', REQ_WITHOUT_QUERY: '(X)', CEL: '(request.path)' };
    for (const name of Object.keys(OPERATORS)) {
      const format = compileText(`%${name}${argument[name] ?? ''}%`, false, tools);
      for (const call of [testEndedCall({ status: 0, details: '' }), tcp, answered, received]) {
        for (const info of [clientInfo, serverInfo]) expect(format(call, info, ENDED_AT), name).not.toBe('');
      }
    }
  });

  it.each([
    ['%RESPNSE_CODE%', /no command operator %RESPNSE_CODE%/],
    ['100% sure', /holds a % that begins no command operator/],
    ['%REQ%', /names a header/],
    ['%START_TIME(%Q)%', /knows no %Q/],
    ['%GRPC_STATUS(ROMAN)%', /only CAMEL_STRING/],
    ['%CEL(request.pth)%', /there is no request.pth/],
  ])('refuses %s', (format, why) => {
    expect(() => compileText(format, false, tools)).toThrow(why);
    expect(() => compileText(format, false, tools)).toThrow(expect.objectContaining({ code: 'POLICY_INVALID' }) as Error);
  });
});
