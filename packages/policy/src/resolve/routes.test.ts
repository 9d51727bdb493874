import { describe, expect, it } from 'vitest';
import type { Destination, Route, Workload } from '../model.ts';
import { destinationRule, hostAt, modelOf, routesAt, service, targetsOf, to, virtualService } from './trying.ts';

const services = [
  service('a'),
  service('b'),
  service('multi', { ports: ['http:80', 'http-admin:81'] }),
  service('single', { ports: ['http:9080'] }),
];
const http = (rules: readonly object[], who: Partial<Workload> = {}, more: readonly string[] = []): readonly Route[] =>
  routesAt(modelOf([...services, ...more, virtualService('a', { hosts: ['a'], http: rules })], who), 'a');
const one = (rule: object, more: readonly string[] = []): Route => http([rule], {}, more)[0]!;
const destinations = ({ action }: Route): readonly Destination[] => (action.kind === 'forward' ? action.destinations : []);

describe('matching', () => {
  it('every block becomes a route of its own, in list order', () => {
    const routes = http([{ name: 'r', match: [{ name: 'x', uri: { exact: '/x' } }, { uri: { prefix: '/y' } }], ...to('a') }, to('b')]);
    expect(routes.map(({ name, match }) => [name, match.path])).toEqual([
      ['r.x', { kind: 'exact', value: '/x', ignoreCase: false }],
      ['r', { kind: 'prefix', value: '/y', ignoreCase: false }],
      ['', null],
    ]);
  });

  it('translates every condition', () => {
    const { match } = one({
      match: [
        {
          uri: { regex: '/v[12]/.*' },
          ignoreUriCase: true,
          scheme: { exact: 'http' },
          method: { prefix: 'P' },
          authority: { exact: 'a:80' },
          headers: { 'X-User': { exact: 'jason' }, ':method': { exact: 'GET' }, there: {} },
          withoutHeaders: { 'X-Not': { regex: '.*' } },
          queryParams: { Q: { exact: '1' } },
        },
      ],
      ...to('a'),
    });
    expect(match).toEqual({
      path: { kind: 'regex', value: '/v[12]/.*' }, // ignoreUriCase has no effect on a regex
      scheme: { kind: 'exact', value: 'http' },
      method: { kind: 'prefix', value: 'P' },
      authority: { kind: 'exact', value: 'a:80' },
      headers: [
        { name: 'x-user', match: { kind: 'exact', value: 'jason' }, invert: false },
        { name: ':method', match: { kind: 'exact', value: 'GET' }, invert: false },
        { name: 'there', match: { kind: 'present' }, invert: false },
        { name: 'x-not', match: { kind: 'regex', value: '.*' }, invert: true },
      ],
      query: [{ name: 'Q', match: { kind: 'exact', value: '1' }, invert: false }],
    });
    expect(one({ match: [{ uri: { prefix: '/X' }, ignoreUriCase: true }], ...to('a') }).match.path).toEqual({
      kind: 'prefix',
      value: '/X',
      ignoreCase: true,
    });
  });

  it.each([
    ['no match', undefined, 1],
    ['prefix /', { uri: { prefix: '/' } }, 1],
    ['regex .*', { uri: { regex: '.*' } }, 1],
    ['static conditions that hold', { sourceNamespace: 'default' }, 1],
    ['prefix / with a header', { uri: { prefix: '/' }, headers: { x: {} } }, 2],
    ['prefix / with a query parameter', { uri: { prefix: '/' }, queryParams: { x: {} } }, 2],
    ['prefix / with a method', { uri: { prefix: '/' }, method: { exact: 'GET' } }, 2],
    ['prefix / without a header', { uri: { prefix: '/' }, withoutHeaders: { x: {} } }, 2],
    ['prefix /a', { uri: { prefix: '/a' } }, 2],
    ['regex /.*', { uri: { regex: '/.*' } }, 2],
  ])('behind %s the list ends or not', (_, match, length) => {
    expect(http([{ ...(match === undefined ? {} : { match: [match] }), ...to('a') }, to('b')])).toHaveLength(length);
  });

  const reached = (match: object, who: Partial<Workload> = {}): boolean =>
    http([{ match: [{ headers: { x: {} }, ...match }], ...to('b') }, to('a')], who).length === 2;

  it.each([
    ['port addressed', { port: 80 }, {}, true],
    ['another port', { port: 81 }, {}, false],
    ['labels of the caller', { sourceLabels: { app: 'x' } }, { labels: { app: 'x', v: '1' } }, true],
    ['labels of somebody else', { sourceLabels: { app: 'x' } }, { labels: { app: 'y' } }, false],
    ['namespace of the caller', { sourceNamespace: 'default' }, {}, true],
    ['another namespace', { sourceNamespace: 'zoo' }, {}, false],
    ['labels and namespace, one wrong', { sourceLabels: { app: 'x' }, sourceNamespace: 'zoo' }, { labels: { app: 'x' } }, false],
    ['gateway mesh', { gateways: ['mesh'] }, {}, true],
    ['another gateway', { gateways: ['edge'] }, {}, false],
    ['gateway mesh switches wrong labels off', { gateways: ['mesh'], sourceLabels: { app: 'x' }, sourceNamespace: 'zoo' }, {}, true],
    ['another gateway in spite of right labels', { gateways: ['edge'], sourceNamespace: 'default' }, {}, false],
  ])('static: %s', (_, match, who, expected) => {
    expect(reached(match, who)).toBe(expected);
  });
});

describe('destinations', () => {
  it.each([
    ['the port named', 'multi', { port: { number: 81 } }, 'outbound|81||multi.default.svc.cluster.local×1'],
    ['the only port, whatever the client addresses', 'single', {}, 'outbound|9080||single.default.svc.cluster.local×1'],
    ['the port addressed', 'multi', {}, 'outbound|80||multi.default.svc.cluster.local×1'],
    ['a port nobody has', 'b', { port: { number: 99 } }, 'outbound|99||b.default.svc.cluster.local!503'],
    ['nobody', 'nobody', {}, 'outbound|80||nobody.default.svc.cluster.local!503'],
    ['a name with a dot is not expanded', 'b.default', {}, 'outbound|80||b.default!503'],
    ['an unknown subset', 'b', { subset: 'v9' }, 'outbound|80|v9|b.default.svc.cluster.local!503'],
  ])('%s', (_, host, more, target) => {
    expect(targetsOf(one(to(host, more)))).toBe(target);
  });

  it('missing ones say why, once', () => {
    const model = modelOf([
      ...services,
      virtualService('a', {
        hosts: ['a'],
        http: [{ match: [{ uri: { exact: '/1' } }, { uri: { exact: '/2' } }], ...to('b', { subset: 'v9' }) }],
      }),
    ]);
    expect(hostAt(model, 'a', 80)?.why).toEqual([
      'VirtualService default/a governs port 80',
      'VirtualService default/a: no DestinationRule in force defines subset "v9" of "b.default.svc.cluster.local"; calls to it are answered with 503',
    ]);
  });

  it('weights are shares; one of 0 is dropped, and of a single destination it does not matter', () => {
    const split = (...weights: number[]): string =>
      targetsOf(one({ route: weights.map((weight, at) => ({ destination: { host: at === 0 ? 'a' : 'b' }, weight })) }));
    expect(split(1, 2)).toBe('outbound|80||a.default.svc.cluster.local×1 outbound|80||b.default.svc.cluster.local×2');
    expect(split(0, 2)).toBe('outbound|80||b.default.svc.cluster.local×2');
    expect(split(0)).toBe('outbound|80||a.default.svc.cluster.local×1');
    expect(split(7)).toBe('outbound|80||a.default.svc.cluster.local×1');
  });

  it('where one of several is missing only its share fails', () => {
    expect(
      targetsOf(
        one({
          route: [
            { destination: { host: 'a' }, weight: 90 },
            { destination: { host: 'nobody' }, weight: 10 },
          ],
        }),
      ),
    ).toBe('outbound|80||a.default.svc.cluster.local×90 outbound|80||nobody.default.svc.cluster.local!503');
  });

  const set = (scope: string): object => ({ request: { set: { x: scope } }, response: { set: { y: scope } } });
  it('one destination: its headers come last; several: those of the route', () => {
    const values = (rule: object): string[] =>
      destinations(one(rule)).map(({ requestHeaders, responseHeaders }) =>
        [...requestHeaders, ...responseHeaders].map((op) => ('value' in op ? op.value : '')).join(','),
      );
    const to1 = { destination: { host: 'a' }, headers: set('destination') };
    expect(values({ headers: set('route'), route: [to1] })).toEqual(['route,destination,route,destination']);
    expect(
      values({
        headers: set('route'),
        route: [
          { ...to1, weight: 1 },
          { ...to1, weight: 1 },
        ],
      }),
    ).toEqual(['destination,route,destination,route', 'destination,route,destination,route']);
  });

  it('authority: rewrite, then headers of the route, then of the destination', () => {
    const authority = (
      rewrite: string | undefined,
      route: string | undefined,
      destination: string | undefined,
    ): string | null | undefined => {
      const ops = (value: string | undefined): object => (value === undefined ? {} : { headers: { request: { set: { Host: value } } } });
      return destinations(
        one({
          ...(rewrite === undefined ? {} : { rewrite: { authority: rewrite } }),
          ...ops(route),
          route: [{ destination: { host: 'a' }, ...ops(destination) }],
        }),
      )[0]?.authority;
    };
    expect(authority('rewrite', 'route', 'destination')).toBe('rewrite');
    expect(authority(undefined, 'route', 'destination')).toBe('route');
    expect(authority(undefined, undefined, 'destination')).toBe('destination');
    expect(authority(undefined, undefined, undefined)).toBeNull();
  });
});

describe('rewrite', () => {
  it.each([
    ['prefix', { uri: { prefix: '/old' } }, { kind: 'prefix', prefix: '/old', value: '/new', ignoreCase: false }],
    [
      'prefix without case',
      { uri: { prefix: '/old' }, ignoreUriCase: true },
      { kind: 'prefix', prefix: '/old', value: '/new', ignoreCase: true },
    ],
    ['exact', { uri: { exact: '/old' } }, { kind: 'full', value: '/new' }],
    ['regex', { uri: { regex: '/o.*' } }, { kind: 'full', value: '/new' }],
    ['no path', { method: { exact: 'GET' } }, { kind: 'prefix', prefix: '/', value: '/new', ignoreCase: false }],
  ])('uri on a match by %s', (_, match, expected) => {
    expect(one({ match: [match], rewrite: { uri: '/new' }, ...to('a') }).rewrite).toEqual(expected);
  });

  it('by regex, or of the authority only', () => {
    expect(one({ rewrite: { uriRegexRewrite: { match: '/(a)/', rewrite: '/\\1\\1/' } }, ...to('a') }).rewrite).toEqual({
      kind: 'regex',
      pattern: '/(a)/',
      substitution: '/\\1\\1/',
    });
    expect(one({ rewrite: { authority: 'x' }, ...to('a') }).rewrite).toBeNull();
  });
});

describe('answers of the mesh itself', () => {
  it.each([
    [{ uri: '/new' }, { status: 301, scheme: null, authority: null, port: null, path: { kind: 'full', value: '/new' } }],
    [
      { authority: 'b', redirectCode: 308 },
      { status: 308, scheme: null, authority: 'b', port: null, path: null },
    ],
    [
      { scheme: 'https', port: 8443 },
      { status: 301, scheme: 'https', authority: null, port: 8443, path: null },
    ],
    [{ derivePort: 'FROM_PROTOCOL_DEFAULT' }, { status: 301, scheme: null, authority: null, port: 'protocolDefault', path: null }],
    [{ derivePort: 'FROM_REQUEST_PORT' }, { status: 301, scheme: null, authority: null, port: 'requestPort', path: null }],
    [
      { prefixRewrite: '/new' },
      {
        status: 301,
        scheme: null,
        authority: null,
        port: null,
        path: { kind: 'prefix', prefix: '/old', value: '/new', ignoreCase: false },
      },
    ],
  ])('redirect %j', (redirect, expected) => {
    expect(one({ match: [{ uri: { prefix: '/old' } }], redirect }).action).toEqual({ kind: 'redirect', ...expected });
  });

  it('a direct answer has text or bytes, and the response headers of the route', () => {
    const route = one({
      directResponse: { status: 418, body: { string: 'short and stout' } },
      headers: { response: { set: { 'x-a': '1' } } },
    });
    expect(route.action).toEqual({ kind: 'direct', status: 418, body: 'short and stout', bodyEncoding: 'utf8' });
    expect(route.responseHeaders).toEqual([{ op: 'set', name: 'x-a', value: '1' }]);
    expect([route.retries, route.timeoutMs]).toEqual([null, null]);
    expect(one({ directResponse: { status: 200, body: { bytes: 'aGk=' } } }).action).toMatchObject({
      body: 'aGk=',
      bodyEncoding: 'base64',
    });
    expect(one({ directResponse: { status: 204 } }).action).toMatchObject({ body: '', bodyEncoding: 'utf8' });
  });
});

describe('around a call', () => {
  it('timeout: none unless given, and 0s is none', () => {
    expect([one(to('a')).timeoutMs, one({ ...to('a'), timeout: '0s' }).timeoutMs, one({ ...to('a'), timeout: '1.5s' }).timeoutMs]).toEqual([
      null,
      null,
      1500,
    ]);
  });

  it('fault: an absent percentage is 0', () => {
    expect(one({ ...to('a'), fault: { delay: { fixedDelay: '2s' }, abort: { httpStatus: 500 } } }).fault).toEqual({
      delay: { ms: 2000, percent: 0 },
      abort: { httpStatus: 500, grpcStatus: null, percent: 0 },
    });
    expect(one({ ...to('a'), fault: { delay: { fixedDelay: '2s', percent: 5 } } }).fault).toEqual({
      delay: { ms: 2000, percent: 5 },
      abort: null,
    });
    expect(one({ ...to('a'), fault: { abort: { grpcStatus: 'UNAVAILABLE', percentage: { value: 0.1 } } } }).fault).toEqual({
      delay: null,
      abort: { httpStatus: null, grpcStatus: 14, percent: 0.1 },
    });
  });

  it('mirrors: an absent percentage is 100, 0 is none, and nobody gets no copy', () => {
    const mirrors = (rule: object): readonly unknown[] => one({ ...to('a'), ...rule }).mirrors;
    const cluster = 'outbound|80||b.default.svc.cluster.local';
    expect(mirrors({ mirror: { host: 'b' } })).toEqual([{ cluster, percent: 100 }]);
    expect(mirrors({ mirror: { host: 'b' }, mirrorPercentage: { value: 12.5 } })).toEqual([{ cluster, percent: 12.5 }]);
    expect(mirrors({ mirror: { host: 'b' }, mirrorPercentage: { value: 0 } })).toEqual([]);
    expect(mirrors({ mirror: { host: 'b' }, mirrorPercent: 30 })).toEqual([{ cluster, percent: 30 }]);
    expect(
      mirrors({
        mirrors: [{ destination: { host: 'b' } }, { destination: { host: 'multi', port: { number: 81 } }, percentage: { value: 1 } }],
      }),
    ).toEqual([
      { cluster, percent: 100 },
      { cluster: 'outbound|81||multi.default.svc.cluster.local', percent: 1 },
    ]);
    expect(mirrors({ mirror: { host: 'nobody' } })).toEqual([]);
  });
});

describe('hash keys', () => {
  const hashed = (consistentHash: object): string =>
    destinationRule('a', { host: 'a', trafficPolicy: { loadBalancer: { consistentHash } }, subsets: [{ name: 'v1' }, { name: 'v2' }] });

  it('a single destination with a key keeps its endpoint on retries', () => {
    const route = one(to('a'), [hashed({ httpHeaderName: 'X-User' })]);
    expect(route.hash).toEqual([{ kind: 'header', name: 'x-user' }]);
    expect(route.retries?.ignorePreviousHosts).toBe(false);
  });

  it('every destination that has a key adds it, even twice the same', () => {
    const split = { route: ['v1', 'v2'].map((subset) => ({ destination: { host: 'a', subset }, weight: 1 })) };
    const route = one(split, [hashed({ httpQueryParameterName: 'q' })]);
    expect(route.hash).toEqual([{ kind: 'query', name: 'q' }, { kind: 'query', name: 'q' }]); // prettier-ignore
    expect(route.retries?.ignorePreviousHosts).toBe(true);
  });
});
