import { describe, expect, it } from 'vitest';
import { ask, document, fate, outcome, short, virtualService, WORLD } from './world.ts';

/**
 * A rule that delegates takes in the rules of another VirtualService (pilot/pkg/model/virtualservice.go:
 * mergeHTTPRoutes, hasConflict).
 */

const V1 = '80|v1|reviews';
const ROOT = (rule: string): string =>
  virtualService(
    'root',
    `hosts: [reviews]\nhttp:\n- ${rule}\n- match: [{ uri: { prefix: /rest } }]\n  directResponse: { status: 200, body: { string: rest } }`,
  );
const LEAF = (http: string, id = 'leaf'): string => virtualService(id, `http:\n${http}`);
const to = 'route: [{ destination: { host: reviews.default.svc.cluster.local, subset: v1 } }]';
const NR = 'refuse 404 NR';

const merged = (root: string, leaf: string, line: string, headers: Record<string, string> = {}, who = {}): string =>
  fate(
    document(
      WORLD,
      ROOT(`{ ${root}${root === '' ? '' : ', '}delegate: { name: leaf } }`),
      LEAF(`- { ${leaf}${leaf === '' ? '' : ', '}${to} }`),
    ),
    line,
    headers,
    who,
  );

describe('matches of both sides hold together', () => {
  it.each<readonly [statement: string, root: string, leaf: string, line: string, headers: Record<string, string>, expected: string]>([
    ['neither has a match', '', '', '/', {}, V1],
    ['only the root has one', 'match: [{ uri: { prefix: /a } }]', '', '/a', {}, V1],
    ['only the root has one, and it does not hold', 'match: [{ uri: { prefix: /a } }]', '', '/b', {}, NR],
    ['only the delegate has one', '', 'match: [{ uri: { prefix: /a } }]', '/b', {}, NR],
    ['conditions are added up', 'match: [{ uri: { prefix: /a } }]', 'match: [{ headers: { x: { exact: "1" } } }]', '/a', { x: '1' }, V1],
    [
      'conditions are added up: root fails',
      'match: [{ uri: { prefix: /a } }]',
      'match: [{ headers: { x: { exact: "1" } } }]',
      '/b',
      { x: '1' },
      NR,
    ],
    [
      'conditions are added up: delegate fails',
      'match: [{ uri: { prefix: /a } }]',
      'match: [{ headers: { x: { exact: "1" } } }]',
      '/a',
      {},
      NR,
    ],
    [
      'headers of both',
      'match: [{ headers: { x: { exact: "1" } } }]',
      'match: [{ headers: { y: { exact: "2" } } }]',
      '/',
      { x: '1', y: '2' },
      V1,
    ],
    [
      'headers of both: one missing',
      'match: [{ headers: { x: { exact: "1" } } }]',
      'match: [{ headers: { y: { exact: "2" } } }]',
      '/',
      { y: '2' },
      NR,
    ],
    ['the value of the delegate holds', 'match: [{ uri: { prefix: /a } }]', 'match: [{ uri: { prefix: /a/b } }]', '/a/c', {}, NR],
    [
      'every match of the delegate with every compatible one of the root: first',
      'match: [{ uri: { prefix: /a } }, { uri: { prefix: /b } }]',
      'match: [{ uri: { prefix: /a/x } }, { uri: { prefix: /b/x } }]',
      '/a/x',
      {},
      V1,
    ],
    [
      'every match of the delegate with every compatible one of the root: second',
      'match: [{ uri: { prefix: /a } }, { uri: { prefix: /b } }]',
      'match: [{ uri: { prefix: /a/x } }, { uri: { prefix: /b/x } }]',
      '/b/x',
      {},
      V1,
    ],
    [
      'a match of the delegate that fits no root match drops the whole rule',
      'match: [{ uri: { prefix: /a } }]',
      'match: [{ uri: { prefix: /a/x } }, { uri: { prefix: /c } }]',
      '/a/x',
      {},
      NR,
    ],
  ])('%s', (_, root, leaf, line, headers, expected) => {
    expect(merged(root, leaf, line, headers)).toBe(expected);
  });
});

describe('which matches contradict each other', () => {
  it.each<readonly [statement: string, root: string, leaf: string, line: string, headers: Record<string, string>, kept: boolean]>([
    ['prefix under prefix must extend it', 'uri: { prefix: /a }', 'uri: { prefix: /a/b }', '/a/b', {}, true],
    ['prefix beside prefix', 'uri: { prefix: /a }', 'uri: { prefix: /b }', '/b', {}, false],
    ['prefix above prefix', 'uri: { prefix: /a/b }', 'uri: { prefix: /a }', '/a', {}, false],
    ['exact under prefix', 'uri: { prefix: /a }', 'uri: { exact: /a/b }', '/a/b', {}, true],
    ['exact beside prefix', 'uri: { prefix: /a }', 'uri: { exact: /b }', '/b', {}, false],
    ['exact equal to exact', 'uri: { exact: /a }', 'uri: { exact: /a }', '/a', {}, true],
    ['exact unlike exact', 'uri: { exact: /a }', 'uri: { exact: /b }', '/b', {}, false],
    ['prefix under exact', 'uri: { exact: /a/b }', 'uri: { prefix: /a/b }', '/a/b', {}, false],
    ['a regex of the root with anything', 'uri: { regex: "/a.*" }', 'uri: { exact: /a }', '/a', {}, false],
    ['a regex of the delegate with anything', 'uri: { prefix: /a }', 'uri: { regex: "/a.*" }', '/a', {}, false],
    ['even with itself', 'uri: { regex: "/a" }', 'uri: { regex: "/a" }', '/a', {}, false],
    ['a regex alone on one side', 'uri: { regex: "/a.*" }', 'headers: { x: {} }', '/ab', { x: '1' }, true],
    ['another header value', 'headers: { x: { exact: "1" } }', 'headers: { x: { exact: "2" } }', '/', { x: '2' }, false],
    ['a longer header prefix', 'headers: { x: { prefix: a } }', 'headers: { x: { prefix: ab } }', '/', { x: 'abc' }, true],
    ['another value of withoutHeaders', 'withoutHeaders: { x: { exact: "1" } }', 'withoutHeaders: { x: { exact: "2" } }', '/', {}, false],
    ['another query value', 'queryParams: { q: { exact: "1" } }', 'queryParams: { q: { exact: "2" } }', '/?q=2', {}, false],
    ['another method', 'method: { exact: GET }', 'method: { exact: POST }', 'POST http://reviews/', {}, false],
    ['another scheme', 'scheme: { exact: http }', 'scheme: { exact: https }', '/', {}, false],
    ['another authority', 'authority: { exact: reviews }', 'authority: { exact: ratings }', '/', {}, false],
    ['another ignoreUriCase', 'uri: { prefix: /a }, ignoreUriCase: true', 'uri: { prefix: /a/b }', '/a/b', {}, false],
    ['the same ignoreUriCase', 'uri: { prefix: /a }, ignoreUriCase: true', 'uri: { prefix: /a/b }, ignoreUriCase: true', '/A/B', {}, true],
    ['another port', 'port: 80', 'port: 81', '/', {}, false],
    ['the same port', 'port: 80', 'port: 80', '/', {}, true],
    ['a port on one side only', 'port: 80', 'uri: { prefix: / }', '/', {}, true],
    ['another namespace', 'sourceNamespace: default', 'sourceNamespace: prod', '/', {}, false],
    ['a namespace of the root, and none of the delegate', 'sourceNamespace: default', 'uri: { prefix: / }', '/', {}, false],
    ['a namespace of the delegate only', 'uri: { prefix: / }', 'sourceNamespace: default', '/', {}, true],
    ['another value of a label', 'sourceLabels: { app: web }', 'sourceLabels: { app: api }', '/', {}, false],
    ['another label', 'sourceLabels: { app: web }', 'sourceLabels: { tier: front }', '/', {}, true],
    ['gateways that are a subset', 'gateways: [mesh, edge]', 'gateways: [mesh]', '/', {}, true],
    ['gateways that are none', 'gateways: [mesh]', 'gateways: [mesh, edge]', '/', {}, false],
  ])('%s', (_, root, leaf, line, headers, kept) => {
    const who = { labels: { app: 'web', tier: 'front' } };
    expect(merged(`match: [{ ${root} }]`, `match: [{ ${leaf} }]`, line, headers, who)).toBe(kept ? V1 : NR);
  });
});

describe('who may delegate, and to whom', () => {
  it.each<readonly [statement: string, reference: string, leaf: string, expected: string]>([
    ['in the namespace of the root by default', '{ name: leaf }', 'default/leaf', V1],
    ['or in the one named', '{ name: leaf, namespace: prod }', 'prod/leaf', V1],
    ['not elsewhere', '{ name: leaf }', 'prod/leaf', 'direct 200 rest'],
    ['a missing delegate: its rule is left out, the others stay', '{ name: nobody }', 'default/leaf', 'direct 200 rest'],
  ])('%s', (_, reference, leaf, expected) => {
    expect(fate(document(WORLD, ROOT(`{ delegate: ${reference} }`), LEAF(`- { ${to} }`, leaf)), '/rest')).toBe(expected);
  });

  it('a VirtualService with hosts is no delegate', () => {
    const other = virtualService('leaf', `hosts: [ratings]\nhttp: [{ ${to} }]`);
    expect(fate(document(WORLD, ROOT('{ delegate: { name: leaf } }'), other), '/rest')).toBe('direct 200 rest');
  });

  it('a delegate governs nothing by itself', () => {
    expect(fate(document(WORLD, LEAF(`- { ${to} }`)), '/')).toBe('80||reviews');
  });

  it("short names of a delegate mean its own namespace, those it takes over the root's", () => {
    const found = ask(
      document(
        WORLD,
        ROOT('{ delegate: { name: leaf, namespace: prod }, mirror: { host: ratings } }'),
        LEAF('- { route: [{ destination: { host: reviews } }] }', 'prod/leaf'),
      ),
      '/',
    );
    expect(outcome(found)).toBe('refuse 503 NC');
    expect(found.mirrors.map(({ cluster }) => short(cluster))).toEqual(['80||ratings']);
  });
});

describe("fields: the delegate's block holds whole, the root's fills gaps", () => {
  const found = (root: string, leaf: string) =>
    ask(document(WORLD, ROOT(`{ ${root}, delegate: { name: leaf } }`), LEAF(`- { ${leaf}${leaf === '' ? '' : ', '}${to} }`)), '/a/b');

  it('names are joined', () => {
    expect(found('name: root', 'name: leaf').route).toBe('root-leaf');
    expect(found('name: root', '').route).toBe('root');
    expect(found('timeout: 1s', 'name: leaf').route).toBe('leaf');
  });

  it('timeout', () => {
    expect([found('timeout: 1s', '').timeoutMs, found('timeout: 1s', 'timeout: 2s').timeoutMs]).toEqual([1000, 2000]);
  });

  it('retries', () => {
    expect(found('retries: { attempts: 5, retryOn: 5xx }', '').retries).toMatchObject({ attempts: 5, retryOn: ['5xx'] });
    expect(found('retries: { attempts: 5, retryOn: 5xx }', 'retries: { attempts: 1, retryOn: reset }').retries).toMatchObject({
      attempts: 1,
      retryOn: ['reset'],
    });
  });

  it('fault', () => {
    const delay = 'fault: { delay: { fixedDelay: 1s, percentage: { value: 100 } } }';
    const abort = 'fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }';
    expect(found(delay, '').fault).toEqual({ delay: { ms: 1000, percent: 100 }, abort: null });
    expect(found(delay, abort).fault).toEqual({ delay: null, abort: { httpStatus: 503, grpcStatus: null, percent: 100 } });
  });

  it('rewrite', () => {
    expect(found('rewrite: { uri: /x }', '').request?.path).toBe('/xa/b');
    expect(found('rewrite: { uri: /x }', 'rewrite: { authority: y }').request).toMatchObject({ path: '/a/b', authority: 'y' });
  });

  it('mirrors', () => {
    const [ratings, multi] = ['mirror: { host: ratings }, mirrorPercentage: { value: 50 }', 'mirrors: [{ destination: { host: multi } }]'];
    expect(found(ratings, '').mirrors.map(({ cluster, percent }) => [short(cluster), percent])).toEqual([['80||ratings', 50]]);
    expect(found(multi, '').mirrors.map(({ cluster, percent }) => [short(cluster), percent])).toEqual([['80||multi', 100]]);
  });

  it('headers are not merged', () => {
    expect(found('headers: { request: { set: { x: root } } }', '').request?.headers).toEqual({ x: 'root' });
    expect(found('headers: { request: { set: { x: root } } }', 'headers: { request: { set: { y: leaf } } }').request?.headers).toEqual({
      y: 'leaf',
    });
    expect(found('headers: { request: { set: { x: root } } }', 'headers: { response: { set: { y: leaf } } }').request?.headers).toEqual({});
  });

  it('directResponse of the delegate', () => {
    const yaml = document(
      WORLD,
      ROOT('{ match: [{ uri: { prefix: /a } }], delegate: { name: leaf } }'),
      LEAF('- { directResponse: { status: 201 } }'),
    );
    expect(fate(yaml, '/a')).toBe('direct 201');
  });
});
