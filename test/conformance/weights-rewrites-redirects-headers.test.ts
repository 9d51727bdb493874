import { type Code, MeshError } from '@inmesh/core';
import { describe, expect, it } from 'vitest';
import { ask, document, fate, meshConfig, outcome, rules, run, short, virtualService, WORLD } from './world.ts';

/**
 * Where a rule sends calls and what it makes of them: VirtualService route, rewrite, redirect, directResponse and headers
 * (pilot/pkg/networking/core/route/route.go), as Envoy's route action and header parser carry them out.
 */

const to = 'route: [{ destination: { host: reviews, subset: v1 } }]';
const weighted = (...weights: readonly (number | string)[]): string =>
  `route: [${weights.map((weight, index) => `{ destination: { host: reviews, subset: v${index + 1} }${weight === '' ? '' : `, weight: ${weight}`} }`).join(', ')}]`;
const one = (rule: string): string => document(WORLD, rules(`- ${rule}`));

describe('weights', () => {
  const shares = (list: string) => ask(one(`{ ${list} }`), '/').clusters.map(({ name, share }) => [short(name).slice(3, 5), share]);
  it.each<readonly [statement: string, list: string, shares: readonly unknown[]]>([
    ['of one destination the weight is ignored', weighted(0), [['v1', 1]]],
    ['absent, too', weighted(''), [['v1', 1]]],
    [
      'of several, shares are weight / total',
      weighted(75, 25),
      [
        ['v1', 0.75],
        ['v2', 0.25],
      ],
    ],
    [
      'the sum need not be 100',
      weighted(1, 3),
      [
        ['v1', 0.25],
        ['v2', 0.75],
      ],
    ],
    [
      'nor below it',
      weighted(300, 100),
      [
        ['v1', 0.75],
        ['v2', 0.25],
      ],
    ],
    ['weight 0 is left out', weighted(0, 5), [['v2', 1]]],
    [
      'an absent weight of several is 0',
      weighted('', 5, 5),
      [
        ['v2', 0.5],
        ['v3', 0.5],
      ],
    ],
  ])('%s', (_, list, expected) => {
    expect(shares(list)).toEqual(expected);
  });

  it('each call is drawn once, and the draws come out by weight', async () => {
    const { call, transport } = await run(one(`{ ${weighted(90, 9, 1)} }`));
    for (let count = 0; count < 5000; count += 1) await call('http://reviews/', 0);
    const hits = ['10.0.1.1:80', '10.0.1.2:80', '10.0.1.3:80'].map(
      (address) => transport.addresses.filter((one) => one === address).length / 5000,
    );
    expect(hits[0]).toBeCloseTo(0.9, 1);
    expect(hits[1]).toBeCloseTo(0.09, 1);
    expect(hits[2]).toBeGreaterThan(0.003);
    expect(hits[2]).toBeLessThan(0.02);
  });

  it('retries stay in the cluster that was drawn', async () => {
    const yaml = one(`{ ${weighted(50, 50)}, retries: { attempts: 3, retryOn: 5xx } }`);
    const { call, transport } = await run(yaml, (attempt) => attempt.reply(503));
    for (let count = 0; count < 20; count += 1) {
      const before = transport.addresses.length;
      await call('http://reviews/');
      expect(new Set(transport.addresses.slice(before)).size).toBe(1);
      expect(transport.addresses.length - before).toBe(4);
    }
  });
});

describe('rewrite', () => {
  const sent = (rule: string, line: string) => ask(one(`{ ${to}, ${rule} }`), line).request;
  it.each<readonly [statement: string, match: string, rewrite: string, path: string, sent: string]>([
    ['the matched prefix is replaced', 'uri: { prefix: /foo }', 'uri: /bar', '/foo/x', '/bar/x'],
    ['plainly: no slash is taken care of', 'uri: { prefix: /foo }', 'uri: /', '/foo/bar', '//bar'],
    ['the documented remedy: a prefix that ends with a slash', 'uri: { prefix: /foo/ }', 'uri: /', '/foo/bar', '/bar'],
    ['not by segments either', 'uri: { prefix: /foo }', 'uri: /bar', '/foobar', '/barbar'],
    ['an exact match: the whole path', 'uri: { exact: /foo }', 'uri: /bar', '/foo', '/bar'],
    ['a regex match: the whole path', 'uri: { regex: "/foo/.*" }', 'uri: /bar', '/foo/x', '/bar'],
    ['a prefix whose case is ignored', 'uri: { prefix: /foo }, ignoreUriCase: true', 'uri: /bar', '/FOO/x', '/bar/x'],
    ['the query stays', 'uri: { prefix: /foo }', 'uri: /bar', '/foo/x?a=b&c', '/bar/x?a=b&c'],
    ['of an exact match too', 'uri: { exact: /foo }', 'uri: /bar', '/foo?a=b', '/bar?a=b'],
    ['uriRegexRewrite: every occurrence', 'uri: { prefix: / }', 'uriRegexRewrite: { match: "a", rewrite: b }', '/a/ca', '/b/cb'],
    [
      'uriRegexRewrite: groups',
      'uri: { prefix: / }',
      'uriRegexRewrite: { match: "^/([^/]+)/(.*)", rewrite: "/\\\\2/\\\\1" }',
      '/one/two',
      '/two/one',
    ],
    ['uriRegexRewrite: without a match nothing changes', 'uri: { prefix: / }', 'uriRegexRewrite: { match: "zzz", rewrite: b }', '/a', '/a'],
    [
      'uriRegexRewrite: the query is not looked at',
      'uri: { prefix: / }',
      'uriRegexRewrite: { match: "a", rewrite: b }',
      '/a?a=a',
      '/b?a=a',
    ],
  ])('%s', (_, match, rewrite, path, expected) => {
    expect(sent(`match: [{ ${match} }], rewrite: { ${rewrite} }`, path)?.path).toBe(expected);
  });

  it('without a match a uri replaces the slash every path begins with', () => {
    expect(sent('rewrite: { uri: /x/ }', '/foo')?.path).toBe('/x/foo');
  });

  it('authority', () => {
    expect(sent('rewrite: { authority: other.example.com }', '/')?.authority).toBe('other.example.com');
    expect(
      sent('rewrite: { authority: other.example.com }, headers: { request: { set: { host: set.example.com } } }', '/')?.authority,
    ).toBe('other.example.com');
  });

  it('the very attempt is sent so', async () => {
    const { call, transport } = await run(one(`{ match: [{ uri: { prefix: /foo } }], ${to}, rewrite: { uri: /bar, authority: other } }`));
    await call('http://reviews/foo/x?q=1');
    expect(transport.latest.exchange.edits).toMatchObject({ path: '/bar/x', authority: 'other' });
  });
});

describe('redirect', () => {
  it.each<readonly [statement: string, rule: string, line: string, expected: string]>([
    ['uri replaces the path', 'redirect: { uri: /new }', '/old/x', '301 http://reviews/new'],
    ['the query is kept', 'redirect: { uri: /new }', '/old?a=b', '301 http://reviews/new?a=b'],
    ['unless uri has one', 'redirect: { uri: "/new?c=d" }', '/old?a=b', '301 http://reviews/new?c=d'],
    [
      'prefixRewrite replaces only the matched prefix',
      'match: [{ uri: { prefix: /old } }], redirect: { prefixRewrite: /new }',
      '/old/x',
      '301 http://reviews/new/x',
    ],
    ['authority', 'redirect: { authority: other.com }', '/x', '301 http://other.com/x'],
    ['scheme', 'redirect: { scheme: https }', '/x', '301 https://reviews/x'],
    ['an explicit port', 'redirect: { port: 8080 }', '/x', '301 http://reviews:8080/x'],
    ['80 with http is left out', 'redirect: { port: 80 }', '/x', '301 http://reviews/x'],
    ['443 with https is left out', 'redirect: { scheme: https, port: 443 }', '/x', '301 https://reviews/x'],
    ['80 with https is not', 'redirect: { scheme: https, port: 80 }', '/x', '301 https://reviews:80/x'],
    ['FROM_PROTOCOL_DEFAULT', 'redirect: { scheme: https, derivePort: FROM_PROTOCOL_DEFAULT }', '/x', '301 https://reviews/x'],
    [
      'FROM_REQUEST_PORT is the port addressed',
      'redirect: { scheme: https, derivePort: FROM_REQUEST_PORT }',
      '/x',
      '301 https://reviews:80/x',
    ],
    ['a code', 'redirect: { uri: /new, redirectCode: 302 }', '/x', '302 http://reviews/new'],
    ['303', 'redirect: { uri: /new, redirectCode: 303 }', '/x', '303 http://reviews/new'],
    ['307', 'redirect: { uri: /new, redirectCode: 307 }', '/x', '307 http://reviews/new'],
    ['308', 'redirect: { uri: /new, redirectCode: 308 }', '/x', '308 http://reviews/new'],
    ['a code that is none leaves the route without an action', 'redirect: { uri: /new, redirectCode: 304 }', '/x', 'refuse 500'],
  ])('%s', (_, rule, line, expected) => {
    expect(fate(one(`{ ${rule} }`), line)).toBe(expected);
  });

  it('without port settings the port of the Host header stays', () => {
    const yaml = document(WORLD, rules('- { redirect: { uri: /foo } }'));
    expect(fate(yaml, '/', { host: 'reviews:80' })).toBe('301 http://reviews:80/foo');
    expect(fate(document(WORLD, rules('- { redirect: { authority: other } }')), '/', { host: 'reviews:8123' })).toBe('301 http://other/');
    expect(fate(document(WORLD, rules('- { redirect: { authority: "other:99" } }')), '/')).toBe('301 http://other:99/');
  });

  it('running: status, Location, nothing sent', async () => {
    const { call, transport } = await run(
      one('{ redirect: { uri: /new, redirectCode: 308 }, headers: { response: { set: { x: "1" } } } }'),
    );
    const { status, header } = await call('http://reviews/old?a=b');
    expect([status, header('location'), header('x'), transport.attempts.length]).toEqual([308, 'http://reviews/new?a=b', '1', 0]);
  });
});

describe('directResponse', () => {
  it.each<readonly [statement: string, rule: string, status: number, body: string]>([
    ['status only', 'directResponse: { status: 204 }', 204, ''],
    ['a text', 'directResponse: { status: 503, body: { string: down } }', 503, 'down'],
  ])('%s', async (_, rule, status, body) => {
    const { call, transport } = await run(one(`{ ${rule} }`));
    const ended = await call('http://reviews/');
    expect([ended.status, ended.body, transport.attempts.length]).toEqual([status, body, 0]);
  });
});

describe('header operations', () => {
  const result = (rule: string, headers: Record<string, string> = {}) => ask(one(`{ ${rule} }`), '/', headers);
  const request = (ops: string, headers: Record<string, string> = {}) =>
    result(`${to}, headers: { request: { ${ops} } }`, headers).request?.headers;

  it.each<readonly [statement: string, ops: string, headers: Record<string, string>, expected: Record<string, string>]>([
    ['set overwrites', 'set: { x: new }', { x: 'old' }, { x: 'new' }],
    ['set adds what is not there', 'set: { x: new }', {}, { x: 'new' }],
    ['add appends another value', 'add: { x: new }', { x: 'old' }, { x: 'old,new' }],
    ['remove', 'remove: [x]', { x: 'old', y: '1' }, { y: '1' }],
    ['names in any case', 'remove: [X-Y]', { 'x-y': 'old' }, {}],
    [
      'remove comes first, then set and add',
      'add: { x: added }, set: { y: "2" }, remove: [x, y]',
      { x: 'old', y: 'old' },
      { x: 'added', y: '2' },
    ],
    ['pseudo headers are left alone', 'set: { ":path": /x, ":method": POST }', {}, {}],
  ])('%s', (_, ops, headers, expected) => {
    expect(request(ops, headers)).toEqual(expected);
  });

  it.each(['host', 'authority', ':authority'])('set of %s is a rewrite of the authority', (name) => {
    const sent = result(`${to}, headers: { request: { set: { "${name}": other } } }`).request;
    expect(sent).toMatchObject({ authority: 'other', headers: {} });
  });

  it.each(['host', ':authority'])('remove of %s does nothing', (name) => {
    const sent = result(`${to}, headers: { request: { remove: ["${name}"] } }`).request;
    expect(sent?.authority).toBe('reviews');
  });

  it('response operations', () => {
    expect(result(`${to}, headers: { response: { set: { a: "1" }, add: { b: "2" }, remove: [c] } }`).response).toEqual({
      set: { a: '1' },
      add: { b: '2' },
      remove: ['c'],
    });
  });

  describe('of a route and its destination', () => {
    const ROUTE = 'headers: { request: { set: { x: route } } }';
    const single = 'route: [{ destination: { host: reviews, subset: v1 }, headers: { request: { set: { x: dest } } } }]';
    const several =
      'route: [{ destination: { host: reviews, subset: v1 }, weight: 99, headers: { request: { set: { x: dest, y: dest } } } }, { destination: { host: reviews, subset: v2 }, weight: 1 }]';

    it('one destination: the destination wins', () => {
      expect(result(`${single}, ${ROUTE}`).request?.headers).toEqual({ x: 'dest' });
    });

    it('several destinations: the route wins', () => {
      expect(result(`${several}, ${ROUTE}`).request?.headers).toEqual({ x: 'route', y: 'dest' });
    });

    it('one destination: a host of the route wins over one of the destination', () => {
      const both =
        'route: [{ destination: { host: reviews, subset: v1 }, headers: { request: { set: { host: dest } } } }], headers: { request: { set: { host: route } } }';
      expect(result(both).request?.authority).toBe('route');
    });

    it('one destination: what it removes is removed before the route sets', () => {
      const both =
        'route: [{ destination: { host: reviews, subset: v1 }, headers: { request: { remove: [x] } } }], headers: { request: { set: { x: route } } }';
      expect(result(both, { x: 'old' }).request?.headers).toEqual({ x: 'route' });
    });

    it('several destinations: what the route removes stays removed', () => {
      const both = `${several}, headers: { request: { remove: [y] } }`;
      expect(result(both).request?.headers).toEqual({ x: 'dest' });
    });
  });

  it('each attempt carries its operations', async () => {
    const { call, transport } = await run(
      one(`{ ${to}, headers: { request: { set: { x: "1" } } }, retries: { attempts: 1, retryOn: 5xx } }`),
      (attempt) => attempt.reply(500),
    );
    await call('http://reviews/');
    expect(transport.attempts.map(({ exchange }) => exchange.edits.request)).toEqual([
      [{ op: 'set', name: 'x', value: '1' }],
      [{ op: 'set', name: 'x', value: '1' }],
    ]);
  });
});

describe('flags and codes of refusals', () => {
  it.each<readonly [statement: string, yaml: string, url: string, status: number, flags: string]>([
    ['no route', one('{ match: [{ uri: { exact: /a } }], route: [{ destination: { host: reviews } }] }'), 'http://reviews/b', 404, 'NR'],
    ['no cluster', one('{ route: [{ destination: { host: nobody } }] }'), 'http://reviews/', 503, 'NC'],
    ['no endpoint', one('{ route: [{ destination: { host: reviews, subset: none } }] }'), 'http://reviews/', 503, 'UH'],
    [
      'unknown host, REGISTRY_ONLY',
      document(WORLD, meshConfig('outboundTrafficPolicy: { mode: REGISTRY_ONLY }')),
      'http://unknown/',
      502,
      '-',
    ],
  ])('%s', async (_, yaml, url, status, flags) => {
    const { call, transport } = await run(yaml);
    const ended = await call(url);
    expect([ended.status, ended.flags, ended.header('x-inmesh-flags'), transport.attempts.length]).toEqual([status, flags, flags, 0]);
  });

  /** Envoy's response flags (source/common/stream_info/utility.h) and what the caller gets. */
  it.each<readonly [statement: string, code: Code, status: number, flags: string]>([
    ['a connection that cannot be made', 'CONNECT_FAILED', 503, 'UF'],
    ['a connection that ends in flight', 'RESET', 503, 'UC'],
    ['a stream that is reset', 'STREAM_RESET', 503, 'UR'],
    ['a stream that is refused', 'REFUSED', 503, 'UR'],
    ['a peer that does not speak HTTP', 'PROTOCOL', 502, 'UPE'],
    ['a try that takes too long', 'ATTEMPT_TIMEOUT', 504, 'UT'],
  ])('%s', async (_, code, status, flags) => {
    const { call } = await run(document(WORLD, meshConfig('defaultHttpRetryPolicy: { attempts: 0 }')), (attempt) =>
      attempt.fail(new MeshError(code, code)),
    );
    const ended = await call('http://ratings/');
    expect([ended.status, ended.flags, ended.header('x-inmesh-flags')]).toEqual([status, flags, flags]);
  });

  it('a missing destination of several: only its share fails', async () => {
    const yaml = one(
      '{ route: [{ destination: { host: reviews, subset: v1 }, weight: 50 }, { destination: { host: nobody }, weight: 50 }] }',
    );
    const { call } = await run(yaml);
    const statuses = [];
    for (let count = 0; count < 3000; count += 1) statuses.push((await call('http://reviews/', 0)).status);
    expect(statuses.filter((status) => status === 503).length / 3000).toBeCloseTo(0.5, 1);
    expect(statuses.filter((status) => status === 200).length / 3000).toBeCloseTo(0.5, 1);
  });

  it('rules hold by all names of the service', () => {
    const yaml = document(
      WORLD,
      virtualService('vs', 'hosts: [reviews.default.svc.cluster.local]\nhttp: [{ directResponse: { status: 200 } }]'),
    );
    for (const name of ['reviews', 'reviews.default', 'reviews.default.svc', '10.96.1.1'])
      expect(outcome(ask(yaml, `http://${name}/`))).toBe('direct 200');
  });
});
