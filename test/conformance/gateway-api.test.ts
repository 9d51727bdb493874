import type { Workload } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { ask, cluster, document, fate, kube, modelOf, outcome, resource, run, short, virtualService, WORLD } from './world.ts';

/** HTTPRoute and GRPCRoute of services (GAMMA, gateway-api geps/gep-1294) and what Istio makes of them (config/kube/gateway/conversion.go). */

const PARENT = 'parentRefs: [{ group: "", kind: Service, name: reviews, namespace: default }]';
const route = (rules: string, { id = 'default/r', parent = PARENT, day = 0, kind = 'HTTPRoute', more = '' } = {}): string =>
  resource(kind, id, `${parent}\n${more}\nrules:\n${rules}`, { day });
const grpc = (rules: string, more: Parameters<typeof route>[1] = {}): string => route(rules, { ...more, kind: 'GRPCRoute' });
const to = (name: string, more = ''): string => `backendRefs: [{ name: ${name}, port: 80${more} }]`;
/** Answers with a status of its own: shows which rule won. */
const answers = (host: string): string => `filters: [{ type: RequestRedirect, requestRedirect: { hostname: ${host} } }]`;
const answered = (host: string): string => `302 http://${host}/`;
const one = (rule: string): string => document(WORLD, route(`- { ${rule} }`));

describe('parents', () => {
  it.each<readonly [statement: string, parent: string, url: string, expected: string]>([
    ['a Service', PARENT, 'http://reviews/', answered('hit')],
    [
      'in the namespace of the route by default',
      'parentRefs: [{ group: "", kind: Service, name: reviews }]',
      'http://reviews/',
      answered('hit'),
    ],
    ['a Gateway is none for clients in the mesh', 'parentRefs: [{ name: reviews }]', 'http://reviews/', '80||reviews'],
    [
      'port: that port of the service',
      'parentRefs: [{ group: "", kind: Service, name: multi, port: 81 }]',
      'http://multi:81/',
      '302 http://hit:81/',
    ],
    ['port: no other', 'parentRefs: [{ group: "", kind: Service, name: multi, port: 81 }]', 'http://multi/', '80||multi'],
    ['without a port, all', 'parentRefs: [{ group: "", kind: Service, name: multi }]', 'http://multi:81/', '302 http://hit:81/'],
    [
      'a ServiceEntry',
      'parentRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: ext }]',
      'http://ext.example.com/',
      answered('hit'),
    ],
    [
      'a Hostname',
      'parentRefs: [{ group: networking.istio.io, kind: Hostname, name: ext.example.com }]',
      'http://ext.example.com/',
      answered('hit'),
    ],
    ['hostnames are ignored', `hostnames: [somewhere.else]\n${PARENT}`, 'http://reviews/', answered('hit')],
  ])('%s', (_, parent, url, expected) => {
    const ext = resource(
      'ServiceEntry',
      'ext',
      'hosts: [ext.example.com]\nresolution: DNS\nports: [{ number: 80, name: http, protocol: HTTP }]',
    );
    expect(fate(document(WORLD, ext, route(`- { ${answers('hit')} }`, { parent })), url)).toBe(expected);
  });
});

describe('producer and consumer routes', () => {
  const prod: Partial<Workload> = { namespace: 'prod' };
  const producer = (rules: string, day = 0): string => route(rules, { id: 'default/producer', day });
  const consumer = (rules: string, day = 0): string => route(rules, { id: 'prod/consumer', day });
  const seen = (yaml: string, path = '/', who = prod): string => fate(document(WORLD, yaml), `http://reviews.default${path}`, {}, who);

  it.each<readonly [statement: string, yaml: string, who: Partial<Workload>, expected: string]>([
    ["in the service's namespace: for all clients", producer(`- { ${answers('p')} }`), prod, answered('p')],
    ['elsewhere: for clients of that namespace', consumer(`- { ${answers('c')} }`), prod, answered('c')],
    ['and no others', consumer(`- { ${answers('c')} }`), {}, '80||reviews'],
    ['nor those of a third namespace', consumer(`- { ${answers('c')} }`), { namespace: 'x' }, '80||reviews'],
    [
      'consumer beats producer, though younger',
      document(producer(`- { ${answers('p')} }`), consumer(`- { ${answers('c')} }`, 5)),
      prod,
      answered('c'),
    ],
  ])('%s', (_, yaml, who, expected) => {
    expect(seen(yaml, '/', who)).toBe(expected);
  });

  it('the two are not merged', () => {
    const yaml = document(producer(`- { ${answers('p')} }`), consumer(`- { matches: [{ path: { value: /c } }], ${answers('c')} }`));
    expect([seen(yaml, '/c'), seen(yaml, '/p')]).toEqual(['302 http://c/c', 'refuse 404 NR']);
  });

  it('those of one side are', () => {
    const yaml = document(
      producer(`- { matches: [{ path: { value: /a } }], ${answers('a')} }`),
      route(`- { matches: [{ path: { value: /b } }], ${answers('b')} }`, { id: 'default/second' }),
    );
    expect([seen(yaml, '/a'), seen(yaml, '/b'), seen(yaml, '/c')]).toEqual(['302 http://a/a', '302 http://b/b', 'refuse 404 NR']);
  });

  it('once a route is attached, what it does not match is an error', () => {
    expect(fate(one(`matches: [{ path: { value: /a } }], ${to('ratings')}`), '/b')).toBe('refuse 404 NR');
  });

  it('only the first level is evaluated', () => {
    const yaml = document(
      WORLD,
      route(`- { ${to('ratings')} }`),
      route(`- { ${to('multi')} }`, { id: 'default/second', parent: 'parentRefs: [{ group: "", kind: Service, name: ratings }]' }),
    );
    expect([fate(yaml, '/'), fate(yaml, 'http://ratings/')]).toEqual(['80||ratings', '80||multi']);
  });

  it('a GRPCRoute beats an HTTPRoute on the same service and port', () => {
    const both = document(WORLD, route(`- { ${to('ratings')} }`), grpc(`- { ${to('multi')} }`, { id: 'default/g', day: 9 }));
    expect(fate(both, '/')).toBe('80||multi');
  });

  it('a reference to another namespace needs no ReferenceGrant', () => {
    expect(
      fate(document(WORLD, kube('far.prod', { net: 9 }), route('- { backendRefs: [{ name: far, namespace: prod, port: 80 }] }')), '/'),
    ).toBe('80||far.prod');
  });
});

describe('matching', () => {
  const hit = (match: string, line: string, headers: Record<string, string> = {}): boolean =>
    fate(one(`matches: [${match}], ${to('ratings')}`), line, headers) === '80||ratings';
  it.each<readonly [statement: string, match: string, line: string, headers: Record<string, string>, expected: boolean]>([
    ['no path is PathPrefix /', '{}', '/any', {}, true],
    ['the type is PathPrefix by default', '{ path: { value: /foo } }', '/foo/bar', {}, true],
    ['PathPrefix takes whole segments', '{ path: { type: PathPrefix, value: /foo } }', '/foobar', {}, false],
    ['PathPrefix: the segment itself', '{ path: { type: PathPrefix, value: /foo } }', '/foo', {}, true],
    ['PathPrefix: a slash at the end is no part of it', '{ path: { type: PathPrefix, value: /foo/ } }', '/foo', {}, true],
    ['Exact', '{ path: { type: Exact, value: /foo } }', '/foo/', {}, false],
    ['RegularExpression over the whole path', '{ path: { type: RegularExpression, value: "/f.*" } }', '/foo/bar', {}, true],
    ['RegularExpression: not a part of it', '{ path: { type: RegularExpression, value: "/f" } }', '/foo', {}, false],
    ['case counts', '{ path: { value: /Foo } }', '/foo', {}, false],
    ['method', '{ method: POST }', '/', {}, false],
    ['header, Exact by default', '{ headers: [{ name: X, value: a }] }', '/', { x: 'a' }, true],
    ['header, another value', '{ headers: [{ name: x, value: a }] }', '/', { x: 'ab' }, false],
    ['header, RegularExpression', '{ headers: [{ name: x, type: RegularExpression, value: "a+" }] }', '/', { x: 'aa' }, true],
    ['of headers of one name the first counts', '{ headers: [{ name: x, value: a }, { name: X, value: b }] }', '/', { x: 'a' }, true],
    ['query, Exact by default', '{ queryParams: [{ name: q, value: a }] }', '/?q=a', {}, true],
    ['of parameters of one name the first counts', '{ queryParams: [{ name: q, value: a }, { name: q, value: b }] }', '/?q=a', {}, true],
    ['all conditions must hold', '{ path: { value: /a }, headers: [{ name: x, value: a }] }', '/a', {}, false],
    ['matches are alternatives', '{ path: { value: /a } }, { path: { value: /b } }', '/b', {}, true],
  ])('%s', (_, match, line, headers, expected) => {
    expect(hit(match, line, headers)).toBe(expected);
  });

  it('without matches a rule is for all', () => {
    expect(fate(one(to('ratings')), '/any')).toBe('80||ratings');
  });
});

describe('precedence', () => {
  const rule = (match: string, host: string): string => `- { matches: [${match}], ${answers(host)} }`;
  const won = (rules: readonly string[], line: string, headers: Record<string, string> = {}): string =>
    ask(document(WORLD, route(rules.join('\n'))), line, headers).redirect?.location.replace(/^http:\/\/(\w+).*/, '$1') ?? 'none';

  it.each<readonly [statement: string, better: string, worse: string, line: string, headers: Record<string, string>]>([
    ['Exact before prefix', '{ path: { type: Exact, value: /a } }', '{ path: { value: /a } }', '/a', {}],
    [
      'Exact before a longer regex',
      '{ path: { type: Exact, value: /a } }',
      '{ path: { type: RegularExpression, value: "/a|/b|/c" } }',
      '/a',
      {},
    ],
    ['the longer prefix', '{ path: { value: /a/b } }', '{ path: { value: /a } }', '/a/b/c', {}],
    ['a prefix before a regex', '{ path: { value: /a } }', '{ path: { type: RegularExpression, value: "/a/b/.*" } }', '/a/b/c', {}],
    [
      'the longer regex',
      '{ path: { type: RegularExpression, value: "/a/b/.*" } }',
      '{ path: { type: RegularExpression, value: "/a.*" } }',
      '/a/b/c',
      {},
    ],
    ['a method', '{ method: GET }', '{ headers: [{ name: x, value: "1" }] }', '/', { x: '1' }],
    [
      'more headers',
      '{ headers: [{ name: x, value: "1" }, { name: y, value: "1" }] }',
      '{ headers: [{ name: x, value: "1" }] }',
      '/',
      { x: '1', y: '1' },
    ],
    [
      'more headers before more parameters',
      '{ headers: [{ name: x, value: "1" }] }',
      '{ queryParams: [{ name: a, value: "1" }, { name: b, value: "1" }] }',
      '/?a=1&b=1',
      { x: '1' },
    ],
    ['more parameters', '{ queryParams: [{ name: a, value: "1" }] }', '{}', '/?a=1', {}],
    ['the path before all else', '{ path: { value: /a } }', '{ method: GET, headers: [{ name: x, value: "1" }] }', '/a', { x: '1' }],
  ])('%s', (_, better, worse, line, headers) => {
    expect(won([rule(worse, 'worse'), rule(better, 'better')], line, headers)).toBe('better');
    expect(won([rule(better, 'better'), rule(worse, 'worse')], line, headers)).toBe('better');
  });

  it('of equal ones the first rule', () => {
    expect(won([rule('{}', 'first'), rule('{}', 'second')], '/')).toBe('first');
  });

  it.each<readonly [statement: string, a: Parameters<typeof route>[1], b: Parameters<typeof route>[1]]>([
    ['then the oldest route', { id: 'default/z', day: 1 }, { id: 'default/a', day: 2 }],
    ['then namespace/name', { id: 'default/a' }, { id: 'default/b' }],
  ])('%s', (_, a, b) => {
    const yaml = document(WORLD, route(`- { ${answers('worse')} }`, b), route(`- { ${answers('better')} }`, a));
    expect(fate(yaml, '/')).toBe(answered('better'));
  });

  it('a VirtualService for the host: the older of the two governs', () => {
    const vs = (day: number): string => virtualService('vs', 'hosts: [reviews]\nhttp: [{ directResponse: { status: 200 } }]', { day });
    const gateway = (day: number): string => route(`- { ${answers('route')} }`, { day });
    expect([fate(document(WORLD, vs(1), gateway(2)), '/'), fate(document(WORLD, vs(2), gateway(1)), '/')]).toEqual([
      'direct 200',
      answered('route'),
    ]);
  });
});

describe('backends', () => {
  it.each<readonly [statement: string, rule: string, expected: string]>([
    ['one', to('ratings'), '80||ratings'],
    [
      'the weight is 1 by default',
      'backendRefs: [{ name: ratings, port: 80 }, { name: multi, port: 80, weight: 3 }]',
      '80||ratings 1, 80||multi 3',
    ],
    ['weight 0 gets nothing', 'backendRefs: [{ name: ratings, port: 80, weight: 0 }, { name: multi, port: 80 }]', '80||multi'],
    ['all of weight 0: 500', to('ratings', ', weight: 0'), 'refuse 500'],
    ['none: 500', 'matches: [{}]', 'refuse 500'],
    ['one that does not exist: 500', to('nobody'), 'refuse 500'],
    ['a port it does not have: 500', 'backendRefs: [{ name: ratings, port: 99 }]', 'refuse 500'],
    ['a kind that cannot be called: 500', 'backendRefs: [{ group: example.com, kind: Bucket, name: b }]', 'refuse 500'],
    [
      'one of several that does not exist: only its weight',
      'backendRefs: [{ name: ratings, port: 80, weight: 9 }, { name: nobody, port: 80, weight: 1 }]',
      '80||ratings 9, 80||nobody 1',
    ],
    [
      'a Hostname',
      'backendRefs: [{ group: networking.istio.io, kind: Hostname, name: ratings.default.svc.cluster.local, port: 80 }]',
      '80||ratings',
    ],
  ])('%s', (_, rule, expected) => {
    expect(fate(one(rule), '/')).toBe(expected);
  });

  it('without a ready endpoint: 503', () => {
    expect(fate(document(WORLD, kube('lonely', { versions: [], net: 9 }), route(`- { ${to('lonely')} }`)), '/')).toBe('refuse 503 UH');
  });

  it('the share of one that does not exist gets 500', async () => {
    const { call } = await run(one('backendRefs: [{ name: ratings, port: 80, weight: 1 }, { name: nobody, port: 80, weight: 1 }]'));
    const statuses: number[] = [];
    for (let count = 0; count < 2000; count += 1) statuses.push((await call('http://reviews/', 0)).status);
    expect(statuses.filter((status) => status === 500).length / 2000).toBeCloseTo(0.5, 1);
    expect(statuses.filter((status) => status === 200).length / 2000).toBeCloseTo(0.5, 1);
  });

  it('no rules at all are one that matches everything, without a backend', () => {
    expect(fate(document(WORLD, resource('HTTPRoute', 'r', PARENT)), '/')).toBe('refuse 500');
  });
});

describe('filters', () => {
  const redirect = (fields: string, line = '/x', match = ''): string =>
    fate(one(`${match}filters: [{ type: RequestRedirect, requestRedirect: { ${fields} } }]`), line);
  it.each<readonly [statement: string, fields: string, line: string, expected: string]>([
    ['redirect: 302 by default', 'hostname: other.com', '/x?a=b', '302 http://other.com/x?a=b'],
    ['redirect: status', 'hostname: other.com, statusCode: 301', '/x', '301 http://other.com/x'],
    ['redirect: a scheme brings its own port', 'scheme: https', '/x', '302 https://reviews/x'],
    ['redirect: a scheme and a port', 'scheme: https, port: 8443', '/x', '302 https://reviews:8443/x'],
    ['redirect: without either the port of the request', 'hostname: other.com', 'http://multi:81/', '302 http://other.com:81/'],
    [
      'redirect: full path, and the query stays',
      'path: { type: ReplaceFullPath, replaceFullPath: /new }',
      '/x?a=b',
      '302 http://reviews/new?a=b',
    ],
  ])('%s', (_, fields, line, expected) => {
    if (!line.startsWith('http')) expect(redirect(fields, line)).toBe(expected);
    else
      expect(
        fate(
          document(
            WORLD,
            route(`- { filters: [{ type: RequestRedirect, requestRedirect: { ${fields} } }] }`, {
              parent: 'parentRefs: [{ group: "", kind: Service, name: multi }]',
            }),
          ),
          line,
        ),
      ).toBe(expected);
  });

  it('redirect: ReplacePrefixMatch', () => {
    expect(
      redirect('path: { type: ReplacePrefixMatch, replacePrefixMatch: /new }', '/old/x', 'matches: [{ path: { value: /old } }], '),
    ).toBe('302 http://reviews/new/x');
  });

  /** The table of HTTPPathModifier.replacePrefixMatch in gateway-api apis/v1/httproute_types.go. */
  it.each<readonly [path: string, prefix: string, replacement: string, expected: string]>([
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/foo/bar', '/foo', '/', '/bar'],
    ['/foo/bar', '/foo/', '/', '/bar'],
  ])('rewrite: %s under %s by "%s" is %s', (path, prefix, replacement, expected) => {
    const rewrite = `filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: "${replacement}" } } }]`;
    const yaml = one(`matches: [{ path: { value: ${prefix} } }], ${rewrite}, ${to('ratings')}`);
    expect(ask(yaml, `${path}?q=1`).request?.path).toBe(`${expected}?q=1`);
  });

  it('rewrite: full path and host name', () => {
    const sent = ask(
      one(
        `filters: [{ type: URLRewrite, urlRewrite: { hostname: other.com, path: { type: ReplaceFullPath, replaceFullPath: /new } } }], ${to('ratings')}`,
      ),
      '/old?a=b',
    ).request;
    expect(sent).toMatchObject({ authority: 'other.com', path: '/new?a=b' });
  });

  it('headers, of the rule and of its backend', () => {
    const modify = (set: string): string =>
      `filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x, value: ${set} }], add: [{ name: y, value: ${set} }], remove: [z] } }]`;
    expect(ask(one(`${modify('rule')}, ${to('ratings')}`), '/', { y: 'own', z: '1' }).request?.headers).toEqual({
      x: 'rule',
      y: 'own,rule',
    });
    expect(ask(one(`backendRefs: [{ name: ratings, port: 80, ${modify('backend')} }]`), '/', { z: '1' }).request?.headers).toEqual({
      x: 'backend',
      y: 'backend',
    });
  });

  it('response headers', () => {
    expect(
      ask(
        one(
          `filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x, value: "1" }], remove: [y] } }], ${to('ratings')}`,
        ),
        '/',
      ).response,
    ).toEqual({ set: { x: '1' }, add: {}, remove: ['y'] });
  });

  it.each<readonly [share: string, percent: number]>([
    ['', 100],
    [', percent: 30', 30],
    [', fraction: { numerator: 1 }', 1],
    [', fraction: { numerator: 1, denominator: 8 }', 12.5],
  ])('mirror%s: %s %%', (share, percent) => {
    const found = ask(
      one(`filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: multi, port: 81 }${share} } }], ${to('ratings')}`),
      '/',
    );
    expect(found.mirrors.map((mirror) => [short(mirror.cluster), mirror.percent])).toEqual([['81||multi', percent]]);
  });

  it('several mirrors', () => {
    const mirror = (name: string): string => `{ type: RequestMirror, requestMirror: { backendRef: { name: ${name}, port: 80 } } }`;
    expect(
      ask(one(`filters: [${mirror('multi')}, ${mirror('reviews')}], ${to('ratings')}`), '/').mirrors.map(({ cluster: name }) =>
        short(name),
      ),
    ).toEqual(['80||multi', '80||reviews']);
  });

  it('a filter nobody knows is not skipped', () => {
    expect(
      fate(one(`filters: [{ type: ExtensionRef, extensionRef: { group: example.com, kind: F, name: f } }], ${to('ratings')}`), '/'),
    ).toBe('refuse 500');
  });
});

describe('timeouts and retries', () => {
  const found = (rule: string) => {
    const { timeoutMs, retries } = ask(one(`${rule}${rule === '' ? '' : ', '}${to('ratings')}`), '/');
    return { timeoutMs, perTryMs: retries?.perTryTimeoutMs, attempts: retries?.attempts, retryOn: retries?.retryOn.join(',') };
  };
  const DEFAULT = { attempts: 2, retryOn: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes', perTryMs: null };

  it.each<readonly [statement: string, rule: string, expected: object]>([
    ['none', '', { timeoutMs: null, ...DEFAULT }],
    ['request', 'timeouts: { request: 2s }', { timeoutMs: 2000, ...DEFAULT }],
    ['0s is off', 'timeouts: { request: 0s }', { timeoutMs: null, ...DEFAULT }],
    ['a duration of GEP-2257', 'timeouts: { request: 1m30s }', { timeoutMs: 90_000, ...DEFAULT }],
    [
      'backendRequest without retry takes the place of request',
      'timeouts: { request: 5s, backendRequest: 1s }',
      { timeoutMs: 1000, ...DEFAULT },
    ],
    [
      'backendRequest with retry bounds each try',
      'timeouts: { request: 5s, backendRequest: 1s }, retry: { attempts: 3 }',
      { timeoutMs: 5000, perTryMs: 1000, attempts: 3, retryOn: 'connect-failure,refused-stream,unavailable,cancelled' },
    ],
    [
      'codes',
      'retry: { codes: [500, 503] }',
      {
        timeoutMs: null,
        perTryMs: null,
        attempts: 2,
        retryOn: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,500,503',
      },
    ],
  ])('%s', (_, rule, expected) => {
    expect(found(rule)).toEqual(expected);
  });

  it('backoff', () => {
    expect(ask(one(`retry: { backoff: 100ms }, ${to('ratings')}`), '/').retries?.backoffMs).toEqual({ base: 100, max: 1000 });
  });

  it.each([500, 502, 503, 504])('%s can be retried', async (code) => {
    const { call, transport } = await run(one(`retry: { attempts: 1, codes: [${code}] }, ${to('ratings')}`), (attempt) =>
      attempt.reply(code),
    );
    await call('http://reviews/');
    expect(transport.attempts).toHaveLength(2);
  });
});

describe('GRPCRoute', () => {
  const hit = (match: string, path: string, headers: Record<string, string> = {}): boolean =>
    fate(document(WORLD, grpc(`- { matches: [${match}], ${to('ratings')} }`)), `POST http://reviews${path}`, headers) === '80||ratings';

  it.each<readonly [statement: string, match: string, path: string, expected: boolean]>([
    ['service and method', '{ method: { service: shop.Ratings, method: Get } }', '/shop.Ratings/Get', true],
    ['another method', '{ method: { service: shop.Ratings, method: Get } }', '/shop.Ratings/List', false],
    ['a service', '{ method: { service: shop.Ratings } }', '/shop.Ratings/List', true],
    ['not one whose name only begins so', '{ method: { service: shop.Ratings } }', '/shop.RatingsTwo/List', false],
    ['a method of any service', '{ method: { method: Get } }', '/a.B/Get', true],
    ['RegularExpression', '{ method: { type: RegularExpression, service: "shop\\\\..*", method: "G.*" } }', '/shop.X/Get', true],
    ['no method: all', '{}', '/a.B/C', true],
  ])('%s', (_, match, path, expected) => {
    expect(hit(match, path)).toBe(expected);
  });

  it('without matches all', () => {
    expect(fate(document(WORLD, grpc(`- { ${to('ratings')} }`)), 'POST http://reviews/a.B/C')).toBe('80||ratings');
  });

  it.each<readonly [statement: string, better: string, worse: string]>([
    ['the longer service', '{ method: { service: shop.Ratings } }', '{ method: { method: Get } }'],
    ['then the longer method', '{ method: { service: shop.Ratings, method: Get } }', '{ method: { service: shop.Ratings } }'],
    [
      'then more headers',
      '{ method: { service: shop.Ratings, method: Get }, headers: [{ name: x, value: "1" }] }',
      '{ method: { service: shop.Ratings, method: Get } }',
    ],
  ])('precedence: %s', (_, better, worse) => {
    const yaml = document(WORLD, grpc(`- { matches: [${worse}], ${to('multi')} }\n- { matches: [${better}], ${to('ratings')} }`));
    expect(fate(yaml, 'POST http://reviews/shop.Ratings/Get', { x: '1' })).toBe('80||ratings');
  });

  it('unmatched is UNIMPLEMENTED, an invalid backend UNAVAILABLE', async () => {
    const { call } = await run(document(WORLD, grpc(`- { matches: [{ method: { service: a.B } }], ${to('nobody')} }`)));
    const unmatched = await call({ url: 'http://reviews/x.Y/Z', protocol: 'grpc', method: 'POST' });
    const invalid = await call({ url: 'http://reviews/a.B/C', protocol: 'grpc', method: 'POST' });
    expect([unmatched.grpcStatus, invalid.grpcStatus]).toEqual([12, 14]);
  });
});

describe('BackendTLSPolicy', () => {
  const policy = (
    id: string,
    hostname: string,
    more = '',
    { day = 0, target = '{ group: "", kind: Service, name: ratings }' } = {},
  ): string =>
    resource(
      'BackendTLSPolicy',
      id,
      `targetRefs: [${target}]\nvalidation: { hostname: ${hostname}, wellKnownCACertificates: System${more} }`,
      { day },
    );
  const tls = (yaml: string, name = '80||ratings') => cluster(modelOf(document(WORLD, yaml)), name).tls;

  it('TLS with that name for SNI and identity, and the roots of the system', () => {
    expect(tls(policy('p', 'r.example.com'))).toMatchObject({
      mode: 'SIMPLE',
      sni: 'r.example.com',
      subjectAltNames: ['r.example.com'],
      caPem: null,
      caCertificates: null,
    });
  });

  it('subjectAltNames instead of the name', () => {
    expect(
      tls(
        policy(
          'p',
          'r.example.com',
          ', subjectAltNames: [{ type: Hostname, hostname: a.example.com }, { type: URI, uri: "spiffe://x/y" }]',
        ),
      ),
    ).toMatchObject({ sni: 'r.example.com', subjectAltNames: ['a.example.com', 'spiffe://x/y'] });
  });

  it('of several the oldest', () => {
    expect(tls(document(policy('young', 'young.com', '', { day: 2 }), policy('old', 'old.com', '', { day: 1 }))).sni).toBe('old.com');
  });

  it('one that names the port before one that does not', () => {
    const ported = policy('ported', 'port.com', '', { day: 5, target: '{ group: "", kind: Service, name: multi, sectionName: http-81 }' });
    const all = policy('all', 'all.com', '', { target: '{ group: "", kind: Service, name: multi }' });
    expect([tls(document(ported, all), '81||multi').sni, tls(document(ported, all), '80||multi').sni]).toEqual(['port.com', 'all.com']);
  });

  it('a DestinationRule beats it', () => {
    const rule = resource('DestinationRule', 'dr', 'host: ratings\ntrafficPolicy: { tls: { mode: DISABLE } }');
    expect(tls(document(policy('p', 'x.com'), rule)).mode).toBe('DISABLE');
  });
});

describe('explain', () => {
  it('names route and resource', () => {
    const found = ask(document(WORLD, route(`- { name: first, ${to('ratings')} }`)), '/');
    expect([found.resource, found.route, outcome(found)]).toEqual(['HTTPRoute default/r', 'first', '80||ratings']);
  });
});
