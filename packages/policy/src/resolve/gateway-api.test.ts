import { describe, expect, it } from 'vitest';
import type { Route, Workload } from '../model.ts';
import {
  aged,
  grpcRoute,
  hostAt,
  httpRoute,
  meshConfig,
  modelOf,
  routesAt,
  service,
  serviceEntry,
  targetsOf,
  to,
  virtualService,
} from './trying.ts';

const SERVICES = [service('a', { ports: ['http:80', 'http-x:81'] }), service('b'), service('c'), service('b', { namespace: 'prod' })];
const parent = (more: object = {}): object => ({ group: '', kind: 'Service', name: 'a', ...more });
const backend = (name: string, more: object = {}): object => ({ name, port: 80, ...more });
const rule = (name: string, more: object = {}): object => ({ backendRefs: [backend(name)], ...more });
const path = (value: string, type = 'PathPrefix'): object => ({ path: { type, value } });

const http = (
  rules: readonly object[],
  {
    name = 'r',
    metadata = {},
    parents = [parent()],
  }: { readonly name?: string; readonly metadata?: object; readonly parents?: readonly object[] } = {},
): string => httpRoute(name, { parentRefs: parents, rules }, metadata);
const grpc = (rules: readonly object[], name = 'g', metadata: object = {}): string =>
  grpcRoute(name, { parentRefs: [parent()], rules }, metadata);
const routes = (documents: readonly string[], port = 80, who: Partial<Workload> = {}): readonly Route[] =>
  routesAt(modelOf([...SERVICES, ...documents], who), 'a.default', port);
const one = (given: object): Route => routes([http([given])])[0]!;
const targets = (documents: readonly string[], port = 80, who: Partial<Workload> = {}): string =>
  routes(documents, port, who).map((route) => targetsOf(route).replaceAll(/outbound\|(\d+)\|\|(\w+)\.(\w+)\.svc\.cluster\.local/g, '$2.$3')).join(', '); // prettier-ignore

describe('HTTPRoute for a Service', () => {
  it('without matches takes every call', () => {
    expect(routes([http([rule('b')])])).toMatchObject([
      {
        name: 'default.r.0',
        resource: 'HTTPRoute default/r',
        match: { path: { kind: 'segments', value: '' } },
        timeoutMs: null,
        retries: { attempts: 2 },
        fault: null,
      },
    ]);
    expect(targets([http([rule('b')])])).toBe('b.default×1');
  });

  it('once there is a route, the implicit one is gone', () => {
    expect(targets([http([rule('b', { matches: [path('/only')] })])])).toBe('b.default×1');
  });

  it.each([
    ['Exact', '/x', { kind: 'exact', value: '/x', ignoreCase: false }],
    ['PathPrefix', '/x/', { kind: 'segments', value: '/x', ignoreCase: false }],
    ['PathPrefix', '/', { kind: 'segments', value: '', ignoreCase: false }],
    ['RegularExpression', '/x.*', { kind: 'regex', value: '/x.*' }],
  ])('path %s %s', (type, value, expected) => {
    expect(one(rule('b', { matches: [path(value, type)] })).match.path).toEqual(expected);
  });

  it('other conditions; of the same name the first entry counts', () => {
    const headers = [{ name: 'X-A', value: '1' }, { name: 'x-a', value: '2' }, { type: 'RegularExpression', name: 'b', value: '.+' }]; // prettier-ignore
    expect(
      one(
        rule('b', {
          matches: [
            {
              headers,
              queryParams: [
                { name: 'Q', value: '1' },
                { name: 'q', value: '2' },
              ],
              method: 'GET',
            },
          ],
        }),
      ).match,
    ).toMatchObject({
      method: { kind: 'exact', value: 'GET' },
      headers: [
        { name: 'x-a', match: { kind: 'exact', value: '1' } },
        { name: 'b', match: { kind: 'regex', value: '.+' } },
      ],
      query: [{ name: 'Q' }, { name: 'q' }],
    });
  });

  it('the most specific match decides, whatever the order', () => {
    const header = (name: string): object => ({ name, value: '1' });
    const ranked = [
      path('/aaa', 'Exact'),
      path('/a', 'Exact'),
      path('/aaaa'),
      { ...path('/aa'), method: 'GET' },
      { ...path('/aa'), headers: [header('x'), header('y')] },
      { ...path('/aa'), headers: [header('x')], queryParams: [header('q')] },
      { ...path('/aa'), headers: [header('x')] },
      { ...path('/aa'), queryParams: [header('q')] },
      path('/aa'),
      path('/looooong.*', 'RegularExpression'),
      path('/r.*', 'RegularExpression'),
    ];
    const shuffled = ranked.map((match, at) => ({ match, at })).toSorted((x, y) => ((x.at * 7) % 11) - ((y.at * 7) % 11));
    const documents = [http(shuffled.map(({ match, at }) => rule('b', { name: `m${at}`, matches: [match] })))];
    expect(routes(documents).map(({ name }) => name)).toEqual(ranked.map((_, at) => `m${at}`));
  });

  it('ties go to the oldest route, then namespace/name, then the order of rules', () => {
    const [young, old] = [http([rule('b')], { name: 'a', metadata: aged(2) }), http([rule('c')], { name: 'z', metadata: aged(1) })];
    expect(targets([young, old])).toBe('c.default×1');
    expect(targets([http([rule('c')], { name: 'z' }), http([rule('b')], { name: 'a' })])).toBe('b.default×1');
    expect(
      routes([http([rule('b', { matches: [{ method: 'GET' }] }), rule('c', { matches: [{ method: 'PUT' }] })])]).map(({ name }) => name),
    ).toEqual(['default.r.0', 'default.r.1']);
  });

  it('behind a match of everything the list ends', () => {
    expect(routes([http([rule('b'), rule('c', { matches: [path('/.*', 'RegularExpression')] })])])).toHaveLength(1);
  });

  it('a parent’s port, or the name of one, holds the route to it', () => {
    for (const more of [{ port: 81 }, { sectionName: 'http-x' }]) {
      const documents = [http([rule('b')], { parents: [parent(more)] })];
      expect([targets(documents, 80), targets(documents, 81)]).toEqual(['a.default×1', 'b.default×1']);
    }
    expect(targets([http([rule('b')], { parents: [parent({ sectionName: 'nothing' })] })])).toBe('a.default×1');
  });

  it('a Gateway parent is nothing to callers in the mesh', () => {
    expect(targets([http([rule('b')], { parents: [{ name: 'edge' }] })])).toBe('a.default×1');
  });
});

describe('producers and consumers', () => {
  const producer = http([rule('b', { matches: [path('/p')] })], { name: 'producer' });
  const consumer = http([rule('c', { backendRefs: [backend('c', { namespace: 'default' })], matches: [path('/c')] })], {
    name: 'consumer',
    metadata: { namespace: 'zoo' },
    parents: [parent({ namespace: 'default' })],
  });

  it.each([
    ['of the service’s namespace', 'default', 'b.default×1'],
    ['of the consumer’s namespace', 'zoo', 'c.default×1'],
    ['of a third namespace', 'bank', 'b.default×1'],
  ])('a client %s', (_, namespace, expected) => {
    expect(targets([producer, consumer], 80, { namespace })).toBe(expected);
  });

  it('a consumer route beats a VirtualService, a producer route the younger one only', () => {
    const rules = virtualService('v', { hosts: ['a'], http: [to('c')] }, aged(5));
    expect(targets([consumer, rules], 80, { namespace: 'zoo' })).toBe('c.default×1');
    expect(routes([consumer, rules], 80, { namespace: 'zoo' })[0]?.resource).toBe('HTTPRoute zoo/consumer');
    expect(routes([http([rule('b')], { metadata: aged(1) }), rules])[0]?.resource).toBe('HTTPRoute default/r');
    expect(routes([http([rule('b')], { metadata: aged(9) }), rules])[0]?.resource).toBe('VirtualService default/v');
    const model = modelOf([...SERVICES, consumer, rules], { namespace: 'zoo' });
    expect(hostAt(model, 'a.default', 80)?.why).toEqual([
      'HTTPRoute zoo/consumer governs port 80',
      'VirtualService default/v is not used: HTTPRoute zoo/consumer is of the own namespace, and rules for one host are not merged',
    ]);
  });

  it('a Service of another namespace may be called without a ReferenceGrant', () => {
    expect(targets([http([{ backendRefs: [backend('b', { namespace: 'prod' })] }])])).toBe('b.prod×1');
  });
});

describe('other parents', () => {
  const entry = serviceEntry('e', {
    hosts: ['e.test', 'f.test'],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'DNS',
  });
  const resource = (parentRef: object, domain: string): string | null =>
    routesAt(modelOf([...SERVICES, entry, http([rule('b')], { parents: [parentRef] })]), domain)[0]!.resource;

  it('a ServiceEntry, with all its hosts, or a host by name', () => {
    const istio = { group: 'networking.istio.io' };
    expect(resource({ ...istio, kind: 'ServiceEntry', name: 'e' }, 'e.test')).toBe('HTTPRoute default/r');
    expect(resource({ ...istio, kind: 'ServiceEntry', name: 'e' }, 'f.test')).toBe('HTTPRoute default/r');
    expect(resource({ ...istio, kind: 'Hostname', name: 'e.test' }, 'e.test')).toBe('HTTPRoute default/r');
    expect(resource({ ...istio, kind: 'Hostname', name: 'e.test' }, 'f.test')).toBeNull();
  });

  it('and as backends', () => {
    const to1 = (more: object): string =>
      targetsOf(routesAt(modelOf([...SERVICES, entry, http([{ backendRefs: [{ group: 'networking.istio.io', ...more }] }])]), 'a')[0]!);
    expect(to1({ kind: 'Hostname', name: 'f.test', port: 80 })).toBe('outbound|80||f.test×1');
    expect(to1({ kind: 'ServiceEntry', name: 'e' })).toBe('outbound|80||e.test×1');
    expect(to1({ kind: 'ServiceEntry', name: 'gone' })).toBe('outbound|80||gone!500');
  });
});

describe('backends', () => {
  it.each([
    ['weights', [backend('b', { weight: 9 }), backend('c')], 'b.default×9 c.default×1'],
    ['one of weight 0 beside another', [backend('b', { weight: 0 }), backend('c', { weight: 3 })], 'c.default×1'],
    ['all of weight 0', [backend('b', { weight: 0 })], 'refuse'],
    ['none', [], 'refuse'],
    ['nobody', [backend('nobody')], 'nobody.default!500'],
    ['nobody beside somebody', [backend('nobody', { weight: 1 }), backend('b', { weight: 3 })], 'nobody.default!500 b.default×3'],
    ['a port nobody has', [backend('b', { port: 99 })], 'b.default!500'],
    ['a kind nobody knows', [{ group: 'x.test', kind: 'Bucket', name: 'b' }], 'outbound|80||b!500'],
  ])('%s', (_, backendRefs, expected) => {
    expect(targets([http([{ backendRefs }])])).toBe(expected);
  });

  it('no valid backend is answered with 500, and says so', () => {
    const model = modelOf([...SERVICES, http([{ backendRefs: [] }])]);
    expect(routesAt(model, 'a')[0]?.action).toEqual({ kind: 'refuse', status: 500, why: 'the rule has no backend with a weight' });
    expect(hostAt(model, 'a', 80)?.why).toContain(
      'HTTPRoute default/r: rule 1 has no backend with a weight, so its calls are answered with 500',
    );
  });
});

describe('filters', () => {
  const modifier = (type: 'Request' | 'Response', value: string): object => ({
    type: `${type}HeaderModifier`,
    [`${type.toLowerCase()}HeaderModifier`]: { set: [{ name: 'X', value }], add: [{ name: 'Y', value }], remove: ['Z'] },
  });

  it('headers of the rule and of a backend', () => {
    const { action } = one({
      filters: [modifier('Request', 'rule'), modifier('Response', 'rule')],
      backendRefs: [backend('b', { filters: [modifier('Request', 'backend')] })],
    });
    expect(action.kind === 'forward' && action.destinations[0]).toMatchObject({
      requestHeaders: [
        { op: 'remove', name: 'z' }, { op: 'remove', name: 'z' },
        { op: 'set', name: 'x', value: 'rule' }, { op: 'add', name: 'y', value: 'rule' },
        { op: 'set', name: 'x', value: 'backend' }, { op: 'add', name: 'y', value: 'backend' },
      ],
      responseHeaders: [{ op: 'remove', name: 'z' }, { op: 'set', name: 'x', value: 'rule' }, { op: 'add', name: 'y', value: 'rule' }],
    }); // prettier-ignore
  });

  it('mirrors', () => {
    const mirror = (more: object): object => ({ type: 'RequestMirror', requestMirror: { backendRef: backend('c'), ...more } });
    expect(
      one(
        rule('b', {
          filters: [mirror({}), mirror({ percent: 5 }), mirror({ fraction: { numerator: 1, denominator: 1000 } }), mirror({ percent: 0 })],
        }),
      ).mirrors.map(({ percent }) => percent),
    ).toEqual([100, 5, 0.1]);
    expect(one(rule('b', { filters: [{ type: 'RequestMirror', requestMirror: { backendRef: backend('nobody') } }] })).mirrors).toEqual([]);
  });

  const redirect = (requestRedirect: object): object => ({
    matches: [path('/old/')],
    filters: [{ type: 'RequestRedirect', requestRedirect }],
  });
  it.each([
    [{}, { status: 302, scheme: null, authority: null, port: 'requestPort', path: null }],
    [{ scheme: 'https' }, { status: 302, scheme: 'https', authority: null, port: 'protocolDefault', path: null }],
    [
      { scheme: 'https', port: 8443, hostname: 'x.test', statusCode: 301 },
      { status: 301, scheme: 'https', authority: 'x.test', port: 8443, path: null },
    ],
    [
      { path: { type: 'ReplaceFullPath', replaceFullPath: '/new' } },
      { status: 302, scheme: null, authority: null, port: 'requestPort', path: { kind: 'full', value: '/new' } },
    ],
    [
      { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } },
      { status: 302, scheme: null, authority: null, port: 'requestPort', path: { kind: 'segments', prefix: '/old', value: '/new' } },
    ],
  ])('redirect %j', (given, expected) => {
    expect(one(redirect(given)).action).toEqual({ kind: 'redirect', ...expected });
  });

  it.each([
    [
      { type: 'ReplaceFullPath', replaceFullPath: '/new' },
      { kind: 'full', value: '/new' },
    ],
    [
      { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' },
      { kind: 'segments', prefix: '/old', value: '/' },
    ],
  ])('rewrite %j', (given, expected) => {
    const route = one(
      rule('b', { matches: [path('/old')], filters: [{ type: 'URLRewrite', urlRewrite: { hostname: 'x.test', path: given } }] }),
    );
    expect(route.rewrite).toEqual(expected);
    expect(route.action.kind === 'forward' && route.action.destinations[0]?.authority).toBe('x.test');
  });

  it('one nobody knows is not skipped: its calls are answered with 500', () => {
    const filter = { type: 'ExtensionRef', extensionRef: { group: 'x.test', kind: 'Guard', name: 'g' } };
    expect(one(rule('b', { filters: [filter] })).action).toMatchObject({ kind: 'refuse', status: 500 });
    expect(targets([http([{ backendRefs: [backend('b', { filters: [filter] })] }])])).toBe('b.default!500');
  });
});

describe('times', () => {
  const times = (timeouts: object | undefined, retry?: object): readonly (number | null | undefined)[] => {
    const { timeoutMs, retries } = one(
      rule('b', { ...(timeouts === undefined ? {} : { timeouts }), ...(retry === undefined ? {} : { retry }) }),
    );
    return [timeoutMs, retries?.perTryTimeoutMs, retries?.attempts];
  };

  it.each([
    ['nothing', undefined, undefined, [null, null, 2]],
    ['request', { request: '5s' }, undefined, [5000, null, 2]],
    ['0s is none', { request: '0s' }, undefined, [null, null, 2]],
    ['a backend time without retry is the time of the call', { request: '5s', backendRequest: '2s' }, undefined, [2000, null, 2]],
    ['with retry it is that of each try', { request: '5s', backendRequest: '2s' }, { attempts: 4 }, [5000, 2000, 4]],
    ['attempts are two', { request: '5s' }, {}, [5000, null, 2]],
  ])('%s', (_, timeouts, retry, expected) => {
    expect(times(timeouts, retry)).toEqual(expected);
  });

  it('retry has codes and a backoff; without it the mesh’s default holds', () => {
    expect(one(rule('b', { retry: { codes: [500, 503], attempts: 1, backoff: '100ms' } })).retries).toMatchObject({
      attempts: 1,
      retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'],
      statusCodes: [500, 503],
      backoff: { baseMs: 100, maxMs: 1000 },
    });
    expect(routes([http([rule('b')]), meshConfig({ defaultHttpRetryPolicy: { attempts: 0 } })])[0]?.retries).toBeNull();
  });
});

describe('GRPCRoute for a Service', () => {
  it.each([
    [undefined, null],
    [{ service: 'shop.Cart' }, { kind: 'prefix', value: '/shop.Cart/', ignoreCase: false }],
    [
      { service: 'shop.Cart', method: 'Add' },
      { kind: 'exact', value: '/shop.Cart/Add', ignoreCase: false },
    ],
    [{ method: 'Add' }, { kind: 'regex', value: '/[^/]+/Add' }],
    [
      { type: 'RegularExpression', service: 'shop\\..*' },
      { kind: 'regex', value: '/shop\\..*/.+' },
    ],
    [
      { type: 'RegularExpression', service: 'shop', method: 'A.*' },
      { kind: 'regex', value: '/shop/A.*' },
    ],
  ])('method %j', (method, expected) => {
    expect(routes([grpc([rule('b', method === undefined ? {} : { matches: [{ method }] })])])[0]?.match.path).toEqual(expected);
  });

  it('the longer service name first, then the longer method, then more headers', () => {
    const matches = [{ method: { service: 'a.LongService' } }, { method: { service: 'a.Short', method: 'LongMethod' } }, { method: { service: 'a.Short', method: 'M' }, headers: [{ name: 'x', value: '1' }] }, { method: { service: 'a.Short', method: 'M' } }, { method: { method: 'OnlyMethod' } }, {}]; // prettier-ignore
    const documents = [grpc(matches.map((match, at) => rule('b', { name: `m${at}`, matches: [match] })).toReversed())];
    expect(routes(documents).map(({ name }) => name)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5']);
  });

  it('beats every HTTPRoute of the same port', () => {
    const model = modelOf([
      ...SERVICES,
      http([rule('b')], { metadata: aged(0), parents: [parent()] }),
      grpcRoute('g', { parentRefs: [parent({ port: 80 })], rules: [rule('c')] }, aged(9)),
    ]);
    expect([routesAt(model, 'a', 80)[0]?.resource, routesAt(model, 'a', 81)[0]?.resource]).toEqual([
      'GRPCRoute default/g',
      'HTTPRoute default/r',
    ]);
    expect(hostAt(model, 'a', 80)?.why).toContain('HTTPRoute default/r is not used: a GRPCRoute beats an HTTPRoute on the same port');
  });
});
