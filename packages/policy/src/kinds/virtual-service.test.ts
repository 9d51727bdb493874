import { describe, expect, it } from 'vitest';
import { isKind } from './index.ts';
import { documentOf, judge, named, problemsOf, resource, type Row } from '../testing/problems.ts';

const route = [{ destination: { host: 'reviews' } }];
const http = (rule: object): object => ({ hosts: ['reviews'], http: [{ route, ...rule }] });
const match = (one: object, extra: object = {}): object => ({ hosts: ['reviews'], ...extra, http: [{ match: [one], route }] });

const rows: readonly Row[] = [
  ['a plain route', http({}), null],
  ['no route at all', { hosts: ['reviews'] }, 'spec.http', /no route/],
  ['a route without an action', { hosts: ['reviews'], http: [{}] }, 'spec.http[0].route', /leads nowhere/],
  ['neither hosts nor routes', {}, 'spec.hosts', /missing/],
  ['the host * on the mesh', { hosts: ['*'], http: [{ route }] }, 'spec.hosts[0]', /"\*" cannot/],
  ['the host * on a gateway', { hosts: ['*'], gateways: ['door'], http: [{ route }] }, 'spec.gateways', /gateways only/, 'info'],
  ['the same host twice', { hosts: ['reviews', 'Reviews'], http: [{ route }] }, 'spec.hosts[1]', /overlap/],
  ['a host below a wildcard', { hosts: ['*.b.com', 'a.b.com'], http: [{ route }] }, 'spec.hosts[1]', /overlap/],
  ['a host that is none', { hosts: ['re views'], http: [{ route }] }, 'spec.hosts[0]', /not a host/],
  ['a gateway name that is none', { hosts: ['reviews'], gateways: ['mesh', 'a/b/c'], http: [{ route }] }, 'spec.gateways[1]', /not the name of a gateway/],
  ['exportTo * beside others', { hosts: ['reviews'], exportTo: ['*', 'a'], http: [{ route }] }, 'spec.exportTo[0]', /alone/],
  ['exportTo ~', { hosts: ['reviews'], exportTo: ['~'], http: [{ route }] }, 'spec.exportTo[0]', /ServiceEntry only/],
  ['exportTo twice', { hosts: ['reviews'], exportTo: ['a', 'a'], http: [{ route }] }, 'spec.exportTo[1]', /twice/],
  ['exportTo of no namespace', { hosts: ['reviews'], exportTo: ['A b'], http: [{ route }] }, 'spec.exportTo[0]', /not a namespace/],

  ['a header value of two lines', http({ headers: { request: { set: { 'x-a': 'one\r\nx-b: two' } } } }), 'spec.http[0].headers.request.set.x-a', /line break/],
  ['an authority of two lines', http({ rewrite: { authority: 'a\nb' } }), 'spec.http[0].rewrite.authority', /line break/],
  ['a redirect to two lines', { hosts: ['reviews'], http: [{ redirect: { uri: '/a\r\nset-cookie: b' } }] }, 'spec.http[0].redirect.uri', /line break/],

  ['a delegate with gateways', { gateways: ['door'], http: [{ route }] }, 'spec.gateways', /delegate/],
  ['a delegate with tls', { http: [{ route }], tls: [{ match: [{ sniHosts: ['a.b'] }], route }] }, 'spec.tls', /delegate/],
  ['a delegate that delegates', { http: [{ delegate: { name: 'x' } }] }, 'spec.http[0].delegate', /further/],
  ['delegate beside route', { hosts: ['reviews'], http: [{ delegate: { name: 'it' }, route }] }, 'spec.http[0].route', /excludes/],
  ['delegate beside redirect', { hosts: ['reviews'], http: [{ delegate: { name: 'it' }, redirect: { uri: '/' } }] }, 'spec.http[0].redirect', /excludes/],
  ['a delegate without a name', { hosts: ['reviews'], http: [{ delegate: { namespace: 'a' } }] }, 'spec.http[0].delegate.name', /no name/],

  ['redirect beside route', http({ redirect: { uri: '/' } }), 'spec.http[0].route', /redirect excludes route/],
  ['redirect beside rewrite', { hosts: ['reviews'], http: [{ redirect: { uri: '/' }, rewrite: { uri: '/' } }] }, 'spec.http[0].rewrite', /excludes/],
  ['redirect beside fault', { hosts: ['reviews'], http: [{ redirect: { uri: '/' }, fault: { abort: { httpStatus: 500, percentage: { value: 1 } } } }] }, 'spec.http[0].fault', /excludes/],
  ['redirect beside directResponse', { hosts: ['reviews'], http: [{ redirect: { uri: '/' }, directResponse: { status: 200 } }] }, 'spec.http[0].directResponse', /excludes/],
  ['a redirect to itself', { hosts: ['reviews'], http: [{ redirect: {} }] }, 'spec.http[0].redirect', /where it comes from/],
  ['uri beside prefixRewrite', { hosts: ['reviews'], http: [{ redirect: { uri: '/', prefixRewrite: '/' } }] }, 'spec.http[0].redirect.prefixRewrite', /excludes/],
  ['port beside derivePort', { hosts: ['reviews'], http: [{ redirect: { port: 80, derivePort: 'FROM_REQUEST_PORT' } }] }, 'spec.http[0].redirect.derivePort', /excludes/],
  ['a redirect code that is none', { hosts: ['reviews'], http: [{ redirect: { uri: '/', redirectCode: 200 } }] }, 'spec.http[0].redirect.redirectCode', /not a redirect/],
  ['a redirect code without action', { hosts: ['reviews'], http: [{ redirect: { uri: '/', redirectCode: 304 } }] }, 'spec.http[0].redirect.redirectCode', /without an action/, 'warning'],

  ['directResponse beside route', http({ directResponse: { status: 200 } }), 'spec.http[0].route', /directResponse excludes route/],
  ['a directResponse of 199', { hosts: ['reviews'], http: [{ directResponse: { status: 199 } }] }, 'spec.http[0].directResponse.status', /200 to 599/],
  ['a directResponse without status', { hosts: ['reviews'], http: [{ directResponse: {} }] }, 'spec.http[0].directResponse.status', /required/],
  ['a body of 1 MB and a byte', { hosts: ['reviews'], http: [{ directResponse: { status: 200, body: { string: 'x'.repeat(1_048_577) } } }] }, 'spec.http[0].directResponse.body.string', /1048577 bytes/],
  ['a body of 100 KB and a byte', { hosts: ['reviews'], http: [{ directResponse: { status: 200, body: { string: 'x'.repeat(102_401) } } }] }, 'spec.http[0].directResponse.body.string', /memory|102401/, 'warning'],
  ['a body as text and bytes', { hosts: ['reviews'], http: [{ directResponse: { status: 200, body: { string: 'x', bytes: 'eA==' } } }] }, 'spec.http[0].directResponse.body.bytes', /excludes/],
  ['bytes that are not base64', { hosts: ['reviews'], http: [{ directResponse: { status: 200, body: { bytes: '?' } } }] }, 'spec.http[0].directResponse.body.bytes', /base64/],

  ['several destinations without weights', http({ route: [...route, ...route] }), 'spec.http[0].route', /weights are zero/],
  ['one destination with weight 0', http({ route: [{ destination: { host: 'reviews' }, weight: 0 }] }), null],
  ['weights that add up to 3', http({ route: [{ destination: { host: 'reviews' }, weight: 1 }, { destination: { host: 'b' }, weight: 2 }] }), null],
  ['a negative weight', http({ route: [{ destination: { host: 'reviews' }, weight: -1 }] }), 'spec.http[0].route[0].weight', /-1 is not a whole number/],
  ['a destination without a host', http({ route: [{ destination: {} }] }), 'spec.http[0].route[0].destination.host', /required/],
  ['a destination that is a wildcard', http({ route: [{ destination: { host: '*.b' } }] }), null],
  ['a destination of all hosts', http({ route: [{ destination: { host: '*' } }] }), 'spec.http[0].route[0].destination.host', /no destination/],
  ['port 0', http({ route: [{ destination: { host: 'reviews', port: { number: 0 } } }] }), 'spec.http[0].route[0].destination.port.number', /1 to 65535/],
  ['port 65536', http({ route: [{ destination: { host: 'reviews', port: { number: 65_536 } } }] }), 'spec.http[0].route[0].destination.port.number', /1 to 65535/],

  ['negative attempts', http({ retries: { attempts: -1 } }), 'spec.http[0].retries.attempts', /negative/],
  ['attempts 0', http({ retries: { attempts: 0 } }), null],
  ['attempts 0 with perTryTimeout', http({ retries: { attempts: 0, perTryTimeout: '1s' } }), 'spec.http[0].retries.perTryTimeout', /excludes/],
  ['attempts 0 with retryOn', http({ retries: { retryOn: '5xx' } }), 'spec.http[0].retries.retryOn', /excludes/],
  ['attempts 0 with retryRemoteLocalities', http({ retries: { retryRemoteLocalities: true } }), 'spec.http[0].retries.retryRemoteLocalities', /excludes/],
  ['every retryOn word and a code', http({ retries: { attempts: 1, retryOn: '5xx,gateway-error,reset,reset-before-request,connect-failure,retriable-4xx,refused-stream,retriable-status-codes,retriable-headers,envoy-ratelimited,http3-post-connect-failure,cancelled,deadline-exceeded,internal,resource-exhausted,unavailable,503' } }), null],
  ['an unknown retryOn word', http({ retries: { attempts: 1, retryOn: '5xx,gateway-errors' } }), 'spec.http[0].retries.retryOn', /"gateway-errors"/],
  ['a retryOn code that is none', http({ retries: { attempts: 1, retryOn: '999' } }), 'spec.http[0].retries.retryOn', /999/],
  ['a perTryTimeout of 0', http({ retries: { attempts: 1, perTryTimeout: '0s' } }), 'spec.http[0].retries.perTryTimeout', /0 means nothing/],
  ['a perTryTimeout that is ignored', http({ timeout: '1s', retries: { attempts: 1, perTryTimeout: '1s' } }), 'spec.http[0].retries.perTryTimeout', /ignored/, 'warning'],

  ['timeout 0s', http({ timeout: '0s' }), null],
  ['a timeout without unit', http({ timeout: '5' }), 'spec.http[0].timeout', /not a duration/],
  ['a timeout as a number', http({ timeout: 5 }), 'spec.http[0].timeout', /no unit/],
  ['a negative timeout', http({ timeout: '-5s' }), 'spec.http[0].timeout', /negative/],
  ['a timeout below 1 ms', http({ timeout: '10us' }), 'spec.http[0].timeout', /shorter/],

  ['an empty fault', http({ fault: {} }), 'spec.http[0].fault', /neither/],
  ['a delay without length', http({ fault: { delay: { percentage: { value: 1 } } } }), 'spec.http[0].fault.delay.fixedDelay', /no length/],
  ['a delay of 0', http({ fault: { delay: { fixedDelay: '0s', percentage: { value: 1 } } } }), 'spec.http[0].fault.delay.fixedDelay', /0 means/],
  ['a delay without percentage', http({ fault: { delay: { fixedDelay: '1s' } } }), 'spec.http[0].fault.delay', /no call is delayed/, 'warning'],
  ['an abort without status', http({ fault: { abort: { percentage: { value: 1 } } } }), 'spec.http[0].fault.abort.httpStatus', /no status/],
  ['an abort with two statuses', http({ fault: { abort: { httpStatus: 500, grpcStatus: 'INTERNAL', percentage: { value: 1 } } } }), 'spec.http[0].fault.abort.grpcStatus', /exclude/],
  ['a gRPC status that is none', http({ fault: { abort: { grpcStatus: 'BROKEN', percentage: { value: 1 } } } }), 'spec.http[0].fault.abort.grpcStatus', /BROKEN/],
  ['an abort without percentage', http({ fault: { abort: { httpStatus: 500 } } }), 'spec.http[0].fault.abort', /no call is aborted/, 'warning'],
  ['a percentage of 101', http({ fault: { abort: { httpStatus: 500, percentage: { value: 101 } } } }), 'spec.http[0].fault.abort.percentage.value', /percentage/],
  ['a negative percentage', http({ mirror: { host: 'b' }, mirrorPercentage: { value: -1 } }), 'spec.http[0].mirrorPercentage.value', /percentage/],
  ['fault percent', http({ fault: { delay: { fixedDelay: '1s', percent: 5 } } }), 'spec.http[0].fault.delay.percent', /deprecated/, 'warning'],

  ['mirror beside mirrors', http({ mirror: { host: 'b' }, mirrors: [{ destination: { host: 'c' } }] }), 'spec.http[0].mirrors', /excludes/],
  ['mirrorPercentage without mirror', http({ mirrorPercentage: { value: 5 } }), 'spec.http[0].mirrorPercentage', /no effect/, 'warning'],
  ['mirrorPercent', http({ mirror: { host: 'b' }, mirrorPercent: 5 }), 'spec.http[0].mirrorPercent', /deprecated/, 'warning'],

  ['an empty rewrite', http({ rewrite: {} }), 'spec.http[0].rewrite', /changes nothing/],
  ['two rewrites of the path', http({ rewrite: { uri: '/', uriRegexRewrite: { match: 'a', rewrite: 'b' } } }), 'spec.http[0].rewrite.uriRegexRewrite', /excludes/],
  ['a look-ahead in a rewrite', http({ rewrite: { uriRegexRewrite: { match: '(?=a)', rewrite: 'b' } } }), 'spec.http[0].rewrite.uriRegexRewrite.match', /not an RE2/],

  ['a header that is none', http({ headers: { request: { set: { 'a b': '1' } } } }), 'spec.http[0].headers.request.set["a b"]', /not a header name/],
  ['a pseudo header', http({ headers: { request: { set: { ':path': '/' } } } }), 'spec.http[0].headers.request.set[":path"]', /no effect/, 'warning'],
  ['authority by a header', http({ headers: { request: { set: { authority: 'b' } } } }), null],
  ['removal of host', http({ headers: { request: { remove: ['host'] } } }), 'spec.http[0].headers.request.remove[0]', /no effect/, 'warning'],
  ['a header of a destination that is none', http({ route: [{ destination: { host: 'reviews' }, headers: { response: { remove: [''] } } }] }), 'spec.http[0].route[0].headers.response.remove[0]', /not a header name/],
  ['a header value that is a number', http({ headers: { request: { set: { a: 1 } } } }), 'spec.http[0].headers.request.set.a', /a string is expected/],

  ['two kinds of match', match({ uri: { exact: '/a', prefix: '/b' } }), 'spec.http[0].match[0].uri', /more than one/],
  ['an empty uri match', match({ uri: {} }), 'spec.http[0].match[0].uri', /every value/, 'warning'],
  ['an empty prefix of the path', match({ uri: { prefix: '' } }), null],
  ['an empty prefix of a header', match({ headers: { a: { prefix: '' } } }), 'spec.http[0].match[0].headers.a.prefix', /empty/],
  ['an empty prefix of a method', match({ method: { prefix: '' } }), 'spec.http[0].match[0].method.prefix', /empty/],
  ['an empty regex', match({ headers: { a: { regex: '' } } }), 'spec.http[0].match[0].headers.a.regex', /empty/],
  ['regex * of a header', match({ headers: { a: { regex: '*' } } }), null],
  ['regex * of the path', match({ uri: { regex: '*' } }), 'spec.http[0].match[0].uri.regex', /RE2/],
  ['a look-behind', match({ uri: { regex: '(?<!a)b' } }), 'spec.http[0].match[0].uri.regex', /RE2/],
  ['a back-reference', match({ uri: { regex: '(a)\\1' } }), 'spec.http[0].match[0].uri.regex', /RE2/],
  ['a header without a value', match({ headers: { a: null } }), 'spec.http[0].match[0].headers.a', /no value/],
  ['ignoreUriCase with a regex', match({ uri: { regex: 'a' }, ignoreUriCase: true }), 'spec.http[0].match[0].ignoreUriCase', /no effect/, 'warning'],
  ['a JWT claim on the mesh', match({ headers: { '@request.auth.claims.sub': { exact: 'a' } } }), 'spec.http[0].match[0].headers["@request.auth.claims.sub"]', /gateways only/],
  ['a JWT claim on a gateway', match({ headers: { '@request.auth.claims.sub': { exact: 'a' } } }, { gateways: ['door'] }), 'spec.gateways', /gateways only/, 'info'],
  ['a pseudo header to match', match({ headers: { ':method': { exact: 'GET' } } }), null],
  ['gateways beside sourceLabels', match({ gateways: ['mesh'], sourceLabels: { a: 'b' } }), 'spec.http[0].match[0].sourceLabels', /not looked at/, 'warning'],
  ['a source label that is none', match({ sourceLabels: { 'a b': 'c' } }), 'spec.http[0].match[0].sourceLabels["a b"]', /label name/],
  ['a label value that is none', match({ sourceLabels: { a: 'b c' } }), 'spec.http[0].match[0].sourceLabels.a', /label value/],
  ['the same match name twice', { hosts: ['reviews'], http: [{ match: [{ name: 'a', port: 1 }, { name: 'a', port: 2 }], route }] }, 'spec.http[0].match[1].name', /twice/],
  ['statPrefix', match({ uri: { exact: '/' }, statPrefix: 'x' }), 'spec.http[0].match[0].statPrefix', /not honoured/, 'info'],

  ['cors', http({ corsPolicy: { allowMethods: ['GET'], maxAge: '10s' } }), null],
  ['a method that is none in cors', http({ corsPolicy: { allowMethods: ['get'] } }), 'spec.http[0].corsPolicy.allowMethods[0]', /capitals|not an HTTP method/],
  ['half seconds in cors', http({ corsPolicy: { maxAge: '1500ms' } }), 'spec.http[0].corsPolicy.maxAge', /whole seconds/],
  ['an empty origin in cors', http({ corsPolicy: { allowOrigins: [{}] } }), 'spec.http[0].corsPolicy.allowOrigins[0]', /one of exact/],

  ['a header in cors that is none', http({ corsPolicy: { exposeHeaders: ['a b'] } }), 'spec.http[0].corsPolicy.exposeHeaders[0]', /not a header name/],
  ['a header to match that is none', match({ withoutHeaders: { 'a b': {} } }), 'spec.http[0].match[0].withoutHeaders["a b"]', /not a header name/],
  ['a query parameter without a name', match({ queryParams: { '': {} } }), 'spec.http[0].match[0].queryParams[""]', /no name/],
  ['two delays', http({ fault: { delay: { fixedDelay: '1s', exponentialDelay: '1s', percentage: { value: 1 } } } }), 'spec.http[0].fault.delay.exponentialDelay', /fixedDelay excludes/],
  ['weights beyond 32 bits', http({ route: Array.from({ length: 3 }, () => ({ destination: { host: 'reviews' }, weight: 2_147_483_647 })) }), 'spec.http[0].route', /4294967295/],
  ['a delegate in no namespace', { hosts: ['reviews'], http: [{ delegate: { name: 'x', namespace: 'A b' } }] }, 'spec.http[0].delegate.namespace', /not a namespace/],
  ['tls', { hosts: ['*.b.com'], tls: [{ match: [{ sniHosts: ['a.b.com'] }], route }] }, 'spec.tls', /not routed yet/, 'info'],
  ['tls without match', { hosts: ['a.b.com'], tls: [{ route }] }, 'spec.tls[0].match', /required/],
  ['tls without sniHosts', { hosts: ['a.b.com'], tls: [{ match: [{ port: 1 }], route }] }, 'spec.tls[0].match[0].sniHosts', /required/],
  ['tls with empty sniHosts', { hosts: ['a.b.com'], tls: [{ match: [{ sniHosts: [] }], route }] }, 'spec.tls[0].match[0].sniHosts', /empty/],
  ['an SNI host outside hosts', { hosts: ['a.b.com'], tls: [{ match: [{ sniHosts: ['c.b.com'] }], route }] }, 'spec.tls[0].match[0].sniHosts[0]', /covered by no host/],
  ['tls without route', { hosts: ['a.b.com'], tls: [{ match: [{ sniHosts: ['a.b.com'] }] }] }, 'spec.tls[0].route', /nowhere/],
  ['tcp', { hosts: ['a.b.com'], tcp: [{ match: [{ destinationSubnets: ['10.0.0.0/8', '::1'] }], route }] }, 'spec.tcp', /not routed yet/, 'info'],
  ['tcp without route', { hosts: ['a.b.com'], tcp: [{}] }, 'spec.tcp[0].route', /nowhere/],
  ['a subnet that is none', { hosts: ['a.b.com'], tcp: [{ match: [{ destinationSubnets: ['10.0.0.0/33'] }], route }] }, 'spec.tcp[0].match[0].destinationSubnets[0]', /CIDR/],
  ['tcp weights of zero', { hosts: ['a.b.com'], tcp: [{ route: [...route, ...route] }] }, 'spec.tcp[0].route', /zero/],
]; // prettier-ignore

describe('VirtualService', () => {
  // Delegates named `it` exist: the resource is called so itself.
  it.each(named(rows))('judges $name', ({ row }) => judge('VirtualService', row));

  it('reports rules over several fields although another field is wrong', () => {
    const paths = problemsOf(
      resource(
        'VirtualService',
        http({
          timeout: 'soon',
          redirect: { uri: '/', redirectCode: 'x' },
          mirror: { host: 'b' },
          mirrors: [{ destination: { host: 'c' } }],
        }),
      ),
    ).map(({ path }) => path);
    expect(paths.toSorted()).toEqual([
      'spec.http[0].mirrors',
      'spec.http[0].redirect.redirectCode',
      'spec.http[0].route',
      'spec.http[0].timeout',
    ]);
  });

  it('gives complete values: durations in milliseconds, matches of the model, lists and maps filled', () => {
    const [rule] = documentOf(
      resource('VirtualService', {
        hosts: ['reviews'],
        http: [
          {
            match: [{ uri: { prefix: '/a' }, headers: { x: {}, y: { regex: '*' }, z: { regex: 'a+' } } }],
            route: [{ destination: { host: 'reviews', subset: '' } }],
            timeout: '1m0.5s',
            retries: { attempts: 3, backoff: '25ms' },
            fault: { delay: { fixedDelay: '1s', percentage: {} } },
          },
        ],
      }),
    ).resources.filter(isKind('VirtualService'));
    expect(rule?.spec).toMatchObject({ gateways: [], exportTo: [], tcp: [], tls: [] });
    const [first] = rule?.spec.http ?? [];
    expect(first).toMatchObject({
      timeout: 60_500,
      retries: { attempts: 3, backoff: 25 },
      fault: { delay: { fixedDelay: 1000, percentage: 0 } },
      mirrors: [],
    });
    expect(first?.match[0]?.uri).toEqual({ kind: 'prefix', value: '/a' });
    expect(first?.match[0]?.headers).toEqual({ x: { kind: 'present' }, y: { kind: 'present' }, z: { kind: 'regex', value: 'a+' } });
    expect(first?.route[0]?.destination.subset).toBeUndefined();
    expect(first?.headers).toBeUndefined();
  });
});
