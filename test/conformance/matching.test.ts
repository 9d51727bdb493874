import type { Workload } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { ask, document, fate, kube, rules, virtualService, WORLD } from './world.ts';

/**
 * How rules of a VirtualService are matched: istio/api networking/v1alpha3 HTTPMatchRequest, and what
 * pilot/pkg/networking/core/route/route.go makes of it for Envoy.
 */

const v1 = 'route: [{ destination: { host: reviews, subset: v1 } }]';
const v2 = 'route: [{ destination: { host: reviews, subset: v2 } }]';
const v3 = 'route: [{ destination: { host: reviews, subset: v3 } }]';
const V1 = '80|v1|reviews';
const V2 = '80|v2|reviews';
const V3 = '80|v3|reviews';
const PLAIN = '80||reviews';
const NR = 'refuse 404 NR';

/** Rules, a request, and where it goes. */
type Row = readonly [statement: string, rules: string, request: string, headers: Record<string, string>, expected: string];

const play = (http: string, request: string, headers: Record<string, string>, who: Partial<Workload> = {}): string =>
  fate(document(WORLD, rules(http)), request, headers, who);

describe('order and structure', () => {
  it.each<Row>([
    [
      'the first match wins, however much more specific a later one is',
      `- { match: [{ uri: { prefix: /a } }], ${v1} }\n- { match: [{ uri: { exact: /a/b } }], ${v2} }`,
      '/a/b',
      {},
      V1,
    ],
    [
      'without the earlier one the later one is found',
      `- { match: [{ uri: { exact: /a/b } }], ${v2} }\n- { match: [{ uri: { prefix: /a } }], ${v1} }`,
      '/a/b',
      {},
      V2,
    ],
    ['blocks of a list are alternatives: the first', `- { match: [{ uri: { exact: /a } }, { uri: { exact: /b } }], ${v1} }`, '/a', {}, V1],
    ['blocks of a list are alternatives: the second', `- { match: [{ uri: { exact: /a } }, { uri: { exact: /b } }], ${v1} }`, '/b', {}, V1],
    [
      'conditions of a block must all hold',
      `- { match: [{ uri: { exact: /a }, headers: { x: { exact: "1" } } }], ${v1} }\n- { ${v2} }`,
      '/a',
      {},
      V2,
    ],
    [
      'conditions of a block that all hold',
      `- { match: [{ uri: { exact: /a }, headers: { x: { exact: "1" } } }], ${v1} }\n- { ${v2} }`,
      '/a',
      { x: '1' },
      V1,
    ],
    ['no match at all is everything', `- { ${v1} }`, '/any', {}, V1],
    ['an empty block is everything', `- { match: [{}], ${v1} }\n- { ${v2} }`, '/any', {}, V1],
    ['behind a rule without match all is dropped', `- { ${v1} }\n- { match: [{ uri: { exact: /a } }], ${v2} }`, '/a', {}, V1],
    [
      'behind prefix / all is dropped',
      `- { match: [{ uri: { prefix: / } }], ${v1} }\n- { match: [{ uri: { exact: /a } }], ${v2} }`,
      '/a',
      {},
      V1,
    ],
    [
      'behind regex .* all is dropped',
      `- { match: [{ uri: { regex: ".*" } }], ${v1} }\n- { match: [{ uri: { exact: /a } }], ${v2} }`,
      '/a',
      {},
      V1,
    ],
    [
      'prefix / with a header is no catch-all',
      `- { match: [{ uri: { prefix: / }, headers: { x: {} } }], ${v1} }\n- { match: [{ uri: { exact: /a } }], ${v2} }`,
      '/a',
      {},
      V2,
    ],
    [
      'prefix / with a query parameter is no catch-all',
      `- { match: [{ uri: { prefix: / }, queryParams: { x: {} } }], ${v1} }\n- { ${v2} }`,
      '/a',
      {},
      V2,
    ],
    ['rules of which none matches at run time are 404 NR', `- { match: [{ uri: { exact: /a } }], ${v1} }`, '/b', {}, NR],
    [
      'a catch-all block drops the blocks behind it, not those before',
      `- { match: [{ uri: { exact: /a } }, { uri: { prefix: / } }, { uri: { exact: /b } }], ${v1} }\n- { ${v2} }`,
      '/b',
      {},
      V1,
    ],
  ])('%s', (_, http, request, headers, expected) => {
    expect(play(http, request, headers)).toBe(expected);
  });
});

describe('static conditions are decided for the workload', () => {
  const web: Partial<Workload> = { labels: { app: 'web', tier: 'front' } };
  it.each<readonly [statement: string, block: string, who: Partial<Workload>, expected: string]>([
    ['port that is addressed', 'port: 80', {}, V1],
    ['port that is not: the block does not exist', 'port: 81', {}, V2],
    ['sourceLabels, a subset of the labels', 'sourceLabels: { app: web }', web, V1],
    ['sourceLabels with another value', 'sourceLabels: { app: api }', web, V2],
    ['sourceLabels with a label the workload lacks', 'sourceLabels: { app: web, zone: a }', web, V2],
    ['sourceNamespace of the workload', 'sourceNamespace: default', {}, V1],
    ['sourceNamespace of another', 'sourceNamespace: prod', {}, V2],
    ['both must hold', 'sourceLabels: { app: web }, sourceNamespace: prod', web, V2],
    ['gateways that name mesh', 'gateways: [mesh]', {}, V1],
    ['gateways that do not', 'gateways: [edge]', {}, V2],
    ['gateways switch wrong sourceLabels off', 'gateways: [mesh], sourceLabels: { app: api }', web, V1],
    ['gateways switch a wrong sourceNamespace off', 'gateways: [edge, mesh], sourceNamespace: prod', {}, V1],
    ['gateways do not switch the port off', 'gateways: [mesh], port: 81', {}, V2],
  ])('%s', (_, block, who, expected) => {
    expect(play(`- { match: [{ uri: { prefix: / }, ${block} }], ${v1} }\n- { ${v2} }`, '/a', {}, who)).toBe(expected);
  });

  it.each<readonly [statement: string, block: string]>([
    ['sourceNamespace', 'sourceNamespace: prod'],
    ['port', 'port: 81'],
    ['gateways', 'gateways: [edge]'],
  ])('if no block is left the host behaves as without a VirtualService: %s', (_, block) => {
    expect(play(`- { match: [{ uri: { prefix: /a }, ${block} }], ${v1} }`, '/zzz', {})).toBe(PLAIN);
  });

  it('and on another port of the service, where a block is left, the rules hold', () => {
    const yaml = document(
      WORLD,
      virtualService(
        'multi',
        `
      hosts: [multi]
      http:
      - match: [{ port: 81, uri: { exact: /a } }]
        route: [{ destination: { host: ratings } }]`,
      ),
    );
    expect([fate(yaml, 'http://multi:81/a'), fate(yaml, 'http://multi:81/b'), fate(yaml, 'http://multi/b')]).toEqual([
      '80||ratings',
      NR,
      '80||multi',
    ]);
  });

  it("a block's gateways override the list of the resource", () => {
    const yaml = document(
      WORLD,
      virtualService(
        'reviews',
        `
      hosts: [reviews]
      gateways: [edge, mesh]
      http:
      - match: [{ gateways: [edge] }]
        ${v1}
      - ${v2}`,
      ),
    );
    expect(fate(yaml, '/')).toBe(V2);
  });
});

describe('uri', () => {
  it.each<readonly [statement: string, match: string, path: string, hit: boolean]>([
    ['exact is the whole path', 'uri: { exact: /foo }', '/foo', true],
    ['exact is not its children', 'uri: { exact: /foo }', '/foo/', false],
    ['the query is not looked at', 'uri: { exact: /foo }', '/foo?a=b', true],
    ['nor by a regex', 'uri: { regex: "/foo" }', '/foo?a=b', true],
    ['a prefix is plain text: children', 'uri: { prefix: /foo }', '/foo/bar', true],
    ['a prefix is plain text: no segments', 'uri: { prefix: /foo }', '/foobar', true],
    ['a prefix begins at the beginning', 'uri: { prefix: /foo }', '/a/foo', false],
    ['an empty prefix is everything', 'uri: { prefix: "" }', '/a', true],
    ['a regex matches the entire path', 'uri: { regex: "/foo" }', '/foo/bar', false],
    ['also at its beginning', 'uri: { regex: "foo" }', '/foo', false],
    ['RE2 syntax: alternatives are inside the anchors', 'uri: { regex: "/a|/b" }', '/bc', false],
    ['RE2 syntax: inline flags', 'uri: { regex: "(?i)/FOO" }', '/foo', true],
    ['RE2 syntax: POSIX classes', 'uri: { regex: "/[[:digit:]]+" }', '/123', true],
    ['case counts', 'uri: { exact: /Foo }', '/foo', false],
    ['ignoreUriCase: exact', 'uri: { exact: /Foo }, ignoreUriCase: true', '/fOO', true],
    ['ignoreUriCase: prefix', 'uri: { prefix: /Foo }, ignoreUriCase: true', '/fOO/b', true],
    ['ignoreUriCase: no effect on a regex', 'uri: { regex: "/Foo" }, ignoreUriCase: true', '/foo', false],
  ])('%s', (_, match, path, hit) => {
    expect(play(`- { match: [{ ${match} }], ${v1} }\n- { ${v2} }`, path, {})).toBe(hit ? V1 : V2);
  });
});

describe('headers, query, method, scheme and authority', () => {
  it.each<readonly [statement: string, match: string, request: string, headers: Record<string, string>, hit: boolean]>([
    ['exact', 'headers: { x: { exact: a } }', '/', { x: 'a' }, true],
    ['values are case-sensitive', 'headers: { x: { exact: a } }', '/', { x: 'A' }, false],
    ['names are not', 'headers: { X-User: { exact: a } }', '/', { 'x-uSER': 'a' }, true],
    ['prefix', 'headers: { x: { prefix: ab } }', '/', { x: 'abc' }, true],
    ['regex over the whole value', 'headers: { x: { regex: "a" } }', '/', { x: 'ab' }, false],
    ['regex', 'headers: { x: { regex: "a.*" } }', '/', { x: 'ab' }, true],
    ['all of several', 'headers: { x: { exact: a }, y: { exact: b } }', '/', { x: 'a' }, false],
    ['{} asks for presence', 'headers: { x: {} }', '/', { x: 'whatever' }, true],
    ['{} is not there', 'headers: { x: {} }', '/', {}, false],
    ['the regex * asks for presence too', 'headers: { x: { regex: "*" } }', '/', { x: 'whatever' }, true],
    ['the regex * is not there', 'headers: { x: { regex: "*" } }', '/', {}, false],
    ['a missing header does not match .*', 'headers: { x: { regex: ".*" } }', '/', {}, false],
    ['pseudo headers: :method', 'headers: { ":method": { exact: POST } }', 'POST http://reviews/', {}, true],
    ['pseudo headers: :authority', 'headers: { ":authority": { prefix: rev } }', '/', {}, true],
    ['pseudo headers: :scheme', 'headers: { ":scheme": { exact: https } }', '/', {}, false],

    ['withoutHeaders: a value that is not there', 'withoutHeaders: { x: { exact: foo } }', '/', {}, true],
    ['withoutHeaders: the value', 'withoutHeaders: { x: { exact: foo } }', '/', { x: 'foo' }, false],
    ['withoutHeaders: another value', 'withoutHeaders: { x: { exact: foo } }', '/', { x: 'bar' }, true],
    ['withoutHeaders: .* matches even a missing header, read as empty', 'withoutHeaders: { x: { regex: ".*" } }', '/', {}, false],
    ['withoutHeaders: .+ does not', 'withoutHeaders: { x: { regex: ".+" } }', '/', {}, true],
    ['withoutHeaders: {} must be absent', 'withoutHeaders: { x: {} }', '/', { x: '' }, false],
    ['withoutHeaders: {} is absent', 'withoutHeaders: { x: {} }', '/', {}, true],
    ['withoutHeaders: the regex * must be absent', 'withoutHeaders: { x: { regex: "*" } }', '/', { x: 'a' }, false],

    ['query: exact', 'queryParams: { q: { exact: a } }', '/?q=a', {}, true],
    ['query: case-sensitive', 'queryParams: { q: { exact: a } }', '/?q=A', {}, false],
    ['query: only the first occurrence counts', 'queryParams: { q: { exact: b } }', '/?q=a&q=b', {}, false],
    ['query: not URL-decoded', 'queryParams: { q: { exact: "a b" } }', '/?q=a%20b', {}, false],
    ['query: as written', 'queryParams: { q: { exact: "a%20b" } }', '/?q=a%20b', {}, true],
    ['query: {} asks for presence', 'queryParams: { q: {} }', '/?q', {}, true],
    ['query: {} is not there', 'queryParams: { q: {} }', '/?r=1', {}, false],
    ['query: the regex * asks for presence', 'queryParams: { q: { regex: "*" } }', '/?q=', {}, true],
    ['query: prefix', 'queryParams: { q: { prefix: a } }', '/?q=abc', {}, true],
    ['query: regex over the whole value', 'queryParams: { q: { regex: "[0-9]+" } }', '/?q=12a', {}, false],

    ['method: exact', 'method: { exact: POST }', 'POST http://reviews/', {}, true],
    ['method: case-sensitive', 'method: { exact: post }', 'POST http://reviews/', {}, false],
    ['method: prefix', 'method: { prefix: P }', 'PUT http://reviews/', {}, true],
    ['method: regex', 'method: { regex: "PUT|POST" }', 'GET http://reviews/', {}, false],
    ['scheme: exact', 'scheme: { exact: http }', '/', {}, true],
    ['scheme: regex', 'scheme: { regex: "https" }', '/', {}, false],
    ['authority: as sent', 'authority: { exact: reviews }', '/', {}, true],
    ['authority: with its port, which virtual hosts ignore', 'authority: { exact: "reviews:80" }', '/', { host: 'reviews:80' }, true],
    ['authority: the port makes a difference', 'authority: { exact: reviews }', '/', { host: 'reviews:80' }, false],
    ['authority: case-sensitive, though virtual hosts are not', 'authority: { exact: reviews }', '/', { host: 'Reviews' }, false],
    ['authority: prefix', 'authority: { prefix: reviews.default }', 'http://reviews.default/', {}, true],
  ])('%s', (_, match, request, headers, hit) => {
    expect(play(`- { match: [{ ${match} }], ${v1} }\n- { ${v2} }`, request, headers)).toBe(hit ? V1 : V2);
  });

  it('repeated headers are joined with a comma before they are compared', () => {
    const yaml = document(WORLD, rules(`- { match: [{ headers: { x: { exact: "a,b" } } }], ${v1} }\n- { ${v2} }`));
    expect(
      fate(yaml, '/', [
        ['x', 'a'],
        ['X', 'b'],
      ]),
    ).toBe(V1);
    expect(
      fate(yaml, '/', [
        ['x', 'b'],
        ['x', 'a'],
      ]),
    ).toBe(V2);
  });
});

describe('names of routes', () => {
  it('a block adds its name to that of the rule', () => {
    const yaml = document(
      WORLD,
      rules(`- { name: canary, match: [{ name: users, uri: { prefix: /a } }], ${v1} }\n- { name: rest, ${v3} }`),
    );
    expect([ask(yaml, '/a').route, ask(yaml, '/b').route]).toEqual(['canary.users', 'rest']);
    expect([fate(yaml, '/a'), fate(yaml, '/b')]).toEqual([V1, V3]);
  });
});

describe('rules that do not govern clients in the mesh', () => {
  it.each([
    ['bound to gateways only', 'gateways: [edge]', PLAIN],
    ['bound to gateways and mesh', 'gateways: [edge, mesh]', V1],
    ['bound to mesh by default', '', V1],
  ])('%s', (_, gateways, expected) => {
    expect(fate(document(WORLD, virtualService('reviews', `hosts: [reviews]\n${gateways}\nhttp: [{ ${v1} }]`)), '/')).toBe(expected);
  });

  it('tls and tcp rules do not govern HTTP', () => {
    const yaml = document(
      kube('db', { ports: ['tcp:5432', 'http:80'] }),
      WORLD,
      virtualService(
        'db',
        `
      hosts: [db]
      tcp: [{ route: [{ destination: { host: reviews } }] }]`,
      ),
    );
    expect(fate(yaml, 'http://db/')).toBe('80||db');
  });
});
