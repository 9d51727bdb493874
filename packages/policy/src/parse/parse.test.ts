import { describe, expect, it } from 'vitest';
import type { Problem } from '../problem.ts';
import { documentOf, problemsOf, resource } from '../testing/problems.ts';
import { parse } from './index.ts';

const place = ({ code, path, line, column }: Problem): string => `${code} ${path} ${line}:${column}`;

const rule = (name: string, host = name): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { name, namespace: 'shop' },
  spec: { host },
});

describe('texts', () => {
  it('reads several YAML documents, JSON and lists, in order', () => {
    const document = documentOf(
      [
        '---',
        '# nothing here',
        '---',
        JSON.stringify(rule('a')),
        '---',
        'apiVersion: v1',
        'kind: List',
        `items: [${JSON.stringify(rule('b'))}]`,
      ].join('\n'),
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [rule('c'), { apiVersion: 'v1', kind: 'List', items: [rule('d')] }] }),
      JSON.stringify([rule('e')]),
      JSON.stringify({
        apiVersion: 'networking.istio.io/v1',
        kind: 'DestinationRuleList',
        items: [{ metadata: { name: 'f' }, spec: { host: 'f' } }],
      }),
    );
    expect(document.resources.map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(document.resources.at(-1)).toMatchObject({ apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule' });
  });

  it('reads every version of a kind, and an empty text as an empty document', () => {
    for (const version of ['v1', 'v1beta1', 'v1alpha3'])
      expect(documentOf(JSON.stringify({ ...rule('a'), apiVersion: `networking.istio.io/${version}` })).resources).toHaveLength(1);
    expect(documentOf('', '---\n---\n').resources).toEqual([]);
  });

  it('ignores status and what the API server writes', () => {
    const text = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: a
  namespace: shop
  uid: 1
  resourceVersion: "5"
  generation: 3
  creationTimestamp: null
  managedFields: [{manager: kubectl}]
  ownerReferences: []
  finalizers: [a]
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
spec: {host: a}
status: {conditions: [{type: Reconciled}]}`;
    const [only] = documentOf(text).resources;
    expect(only?.metadata).toMatchObject({ name: 'a', namespace: 'shop', createdAt: 0, labels: {} });
    expect(only?.origin).toEqual({ file: 'file-0.yaml', line: 1 });
  });

  it('reads creationTimestamp, and the namespace default', () => {
    const [only] = documentOf(resource('DestinationRule', { host: 'a' }, { creationTimestamp: '2026-01-02T03:04:05Z' })).resources;
    expect(only?.metadata).toMatchObject({ namespace: 'default', createdAt: Date.UTC(2026, 0, 2, 3, 4, 5) });
    const [node] = documentOf(resource('Node', {}, { labels: { 'topology.kubernetes.io/zone': 'a' } })).resources;
    expect(node?.metadata.namespace).toBe('');
  });

  it('keeps words that look like booleans and octals as YAML 1.2 has them', () => {
    const text = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: a}
spec: {address: 10.0.0.1, labels: {norway: no, power: on, mode: 0o17x, yes: yes}}`;
    expect(documentOf(text).resources[0]?.spec).toMatchObject({ labels: { norway: 'no', power: 'on', yes: 'yes' } });
  });

  it('follows anchors, aliases and merge keys', () => {
    const text = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: a
  subsets:
  - name: v1
    trafficPolicy: &policy {outlierDetection: {interval: 5s}}
  - name: v2
    trafficPolicy: {<<: *policy, connectionPool: {tcp: {maxConnections: 5}}}`;
    expect(documentOf(text).resources[0]?.spec).toMatchObject({
      subsets: [{}, { trafficPolicy: { outlierDetection: { interval: 5000 }, connectionPool: { tcp: { maxConnections: 5 } } } }],
    });
  });

  it('has one fingerprint for one meaning', () => {
    const print = (...texts: string[]): string => documentOf(...texts).fingerprint;
    const yaml =
      'apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nspec:\n  host: a # the host\nmetadata: {namespace: shop, name: a}\n';
    expect(print(yaml)).toBe(print(JSON.stringify(rule('a'))));
    expect(print(yaml)).toMatch(/^[0-9a-f]{64}$/);
    expect(print(JSON.stringify(rule('a', 'b')))).not.toBe(print(yaml));
    expect(print(JSON.stringify([rule('a'), rule('b')]))).not.toBe(print(JSON.stringify([rule('b'), rule('a')])));
  });
});

describe('kinds', () => {
  it('counts what is of other groups and says nothing', () => {
    const other = (apiVersion: string, kind: string): string => JSON.stringify({ apiVersion, kind, metadata: { name: 'x' } });
    const document = documentOf(
      other('apps/v1', 'Deployment'),
      other('apps/v1', 'Deployment'),
      other('v1', 'Endpoints'),
      other('v1', 'Secret'),
      other('a/v1', '__proto__'),
    );
    expect(document.skipped).toEqual({ 'apps/Deployment': 2, 'core/Endpoints': 1, 'core/Secret': 1, 'a/__proto__': 1 });
    expect(document.problems).toEqual([]);
  });

  it.each([
    ['networking.istio.io/v1', 'VirtualServices', 'INM0004 warning', /did you mean VirtualService\?/],
    ['security.istio.io/v1', 'AuthorizationPolicies', 'INM0004 error', /its kinds are .*AuthorizationPolicy/],
    ['security.istio.io/v1alpha1', 'AuthorizationPolicy', 'INM0006 error', /security.istio.io\/v1/],
    ['telemetry.istio.io/v1', 'Telemetries', 'INM0004 warning', /its kinds are Telemetry/],
    ['telemetry.istio.io/v1beta1', 'Telemetry', 'INM0006 error', /telemetry.istio.io\/v1/],
    ['gateway.networking.k8s.io/v1', 'Gateway', 'INM0005 warning', /^/],
    ['networking.istio.io/v2', 'VirtualService', 'INM0006 error', /networking.istio.io\/v1/],
    ['inmesh.dev/v1beta1', 'MeshConfig', 'INM0006 error', /inmesh.dev\/v1/],
  ])('%s %s is %s', (apiVersion, kind, expected, hint) => {
    const [problem, ...more] = problemsOf(JSON.stringify({ apiVersion, kind, metadata: { name: 'x' } }));
    expect(`${problem?.code} ${problem?.severity}`).toBe(expected);
    expect(problem?.hint).toMatch(hint);
    expect(more).toEqual([]);
  });

  it('tolerates fields of Kubernetes it does not know, and checks those it reads', () => {
    expect(
      problemsOf(resource('Service', { ports: [{ name: 'http', port: 80 }], sessionAffinity: 'None', whatever: { deep: [1] } })),
    ).toEqual([]);
    expect(problemsOf(resource('Service', { ports: [{ port: 'http' }] })).map(place)).toEqual(['IST0106 spec.ports[0].port 1:87']);
  });

  it('reads an EndpointSlice and a ConfigMap beside metadata', () => {
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'a' },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'] }],
      ports: null,
    };
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { 'ca.crt': 'x' }, binaryData: { a: 'eA==' } };
    const [one, two] = documentOf(JSON.stringify([slice, map])).resources;
    expect(one?.spec).toEqual({ addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'], conditions: {} }], ports: [] });
    expect(two?.spec).toEqual({ data: { 'ca.crt': 'x' } });
  });
});

const yaml = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: Reviews
  labels: {app: 5}
  lables: {}
specs: {}
spec:
  hosts:
  - reviews
  http:
  - match:
    - headers:
        x: {exact: [1]}
    rout: []
    timeout: soon
  - route:
    - destination: {host: reviews, port: {number: "80"}}
      weight: heavy
    redirect:
      uri: /
`;

describe('problems', () => {
  it('are all told at once, each at its place, with a hint', () => {
    const problems = problemsOf(yaml);
    expect(problems.map(place)).toEqual([
      'INM0008 metadata.lables 6:3',
      'IST0106 metadata.name 4:9',
      'IST0106 metadata.labels.app 5:17',
      'INM0008 specs 7:1',
      'INM0008 spec.http[0].rout 15:5',
      'IST0106 spec.http[0].match[0].headers.x.exact 14:13',
      'IST0106 spec.http[0].timeout 16:14',
      'IST0106 spec.http[1].route[0].destination.port.number 18:51',
      'IST0106 spec.http[1].route[0].weight 19:15',
      'IST0106 spec.http[1].route 17:5',
    ]);
    expect(problems.find(({ path }) => path === 'metadata.labels.app')?.hint).toBe('quote it: "5"');
    expect(problems.find(({ path }) => path === 'specs')?.hint).toBe('did you mean spec?');
    expect(problems.find(({ path }) => path === 'spec.http[0].rout')?.hint).toBe('did you mean route?');
    expect(new Set(problems.map(({ resource, file }) => `${resource} ${file}`))).toEqual(
      new Set(['VirtualService default/Reviews file-0.yaml']),
    );
  });

  it('an unknown field that resembles one that is there hides no problem of that one', () => {
    const problems = problemsOf(JSON.stringify({ ...rule('a'), spec: { host: 5, hosst: 'a' } }));
    expect(problems.map(({ path }) => path).toSorted()).toEqual(['spec.hosst', 'spec.host']);
  });

  it('stand at the same lines in JSON', () => {
    const text = JSON.stringify(
      {
        kind: 'List',
        apiVersion: 'v1',
        items: [rule('a'), { ...rule('b'), spec: { hots: 'b', host: 'b', subsets: [{ name: 'v1' }, { name: 5 }] } }],
      },
      null,
      2,
    );
    const lines = text.split('\n');
    const problems = problemsOf(text);
    expect(problems.map(({ path }) => path)).toEqual(['spec.hots', 'spec.subsets[1].name']);
    expect(problems.map(({ line, column }) => lines[line - 1]?.slice(column - 1))).toEqual(['"hots": "b",', '5']);
  });

  it('are none where what a registry says is declared already: it yields', () => {
    const declared = { file: 'policy', text: JSON.stringify(rule('a')) };
    const registry = { file: 'registry', text: JSON.stringify([{ ...rule('a'), spec: { host: 'other' } }, rule('b')]), yields: true };
    const parsed = parse([declared, registry]);
    expect(parsed.ok && parsed.document.resources.map(({ metadata, origin }) => `${metadata.name} ${origin.file}`)).toEqual([
      'a policy',
      'b registry',
    ]);
  });

  it('name the first of two resources of one name', () => {
    const problems = problemsOf(
      JSON.stringify(rule('a')),
      `\n\n${JSON.stringify({ ...rule('a'), apiVersion: 'networking.istio.io/v1beta1' })}`,
    );
    expect(problems).toMatchObject([
      {
        code: 'INM0007',
        resource: 'DestinationRule shop/a',
        file: 'file-1.yaml',
        line: 3,
        hint: 'it stands in file-0.yaml:1 too; rename or remove one',
      },
    ]);
    expect(problemsOf(JSON.stringify(rule('a')), JSON.stringify({ ...rule('a'), metadata: { name: 'a', namespace: 'other' } }))).toEqual(
      [],
    );
  });

  it('never come with a document, nor a document with errors', () => {
    const broken = parse([{ file: 'a', text: JSON.stringify([rule('a'), { ...rule('b'), spec: {} }]) }]);
    expect(broken).not.toHaveProperty('document');
    const sound = parse([
      { file: 'a', text: resource('DestinationRule', { host: 'a', trafficPolicy: { loadBalancer: { simple: 'LEAST_CONN' } } }) },
    ]);
    expect(sound).toMatchObject({ ok: true, document: { problems: [{ code: 'IST0002', severity: 'warning' }] } });
  });

  it.each([
    ['a list where a map belongs', { host: 'a', trafficPolicy: [] }, 'spec.trafficPolicy', /is a list, a map is expected/],
    ['a map where a list belongs', { host: 'a', subsets: {} }, 'spec.subsets', /is a map, a list is expected/],
    ['a text where a map belongs', { host: 'a', trafficPolicy: 'fast' }, 'spec.trafficPolicy', /is "fast", a map is expected/],
    ['an empty entry of a list', { host: 'a', subsets: [null] }, 'spec.subsets[0]', /is empty, a map is expected/],
    ['a spec that is a text', 'x', 'spec', /is "x", a map is expected/],
  ])('tell of %s', (_, spec, path, message) => {
    const problems = problemsOf(resource('DestinationRule', spec));
    expect(problems.map((problem) => problem.path)).toEqual([path]);
    expect(problems[0]?.message).toMatch(message);
  });

  it('are not told of empty fields, which are absent', () => {
    expect(
      problemsOf(
        'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: a\n  labels:\nspec:\n  host: a\n  subsets:\n  trafficPolicy:\n',
      ),
    ).toEqual([]);
  });
});

describe('texts that are no resources', () => {
  it.each([
    ['a tab', 'apiVersion: v1\nkind: Service\nmetadata:\n\tname: a\n', 'INM0001', 4, /tabs/],
    ['a bracket left open', 'a: [1, 2\nb: 3\n', 'INM0001', 2, /./],
    ['a key twice in YAML', 'apiVersion: v1\nkind: Service\nkind: Pod\nmetadata: {name: a}\n', 'INM0010', 3, /keep one/],
    ['a key twice in JSON', '{"apiVersion":"v1","kind":"Service",\n"metadata":{"name":"a","n\\u0061me":"b"}}', 'INM0010', 2, /keep one/],
    ['a list as a key', '? [a]\n: b\n', 'INM0010', 1, /texts/],
    ['a text', 'hello', 'INM0003', 1, /^/],
    ['a number in JSON list', '[\n1]', 'INM0003', 2, /^/],
    ['a map of something', 'replicas: 5\n', 'INM0003', 1, /begins with/],
    ['a kind that is a list', 'apiVersion: v1\nkind: [a]\n', 'INM0003', 2, /begins with/],
    ['items that are no list', '{"apiVersion":"v1","kind":"List",\n"items":{}}', 'INM0003', 2, /^/],
    ['broken JSON', '{"apiVersion": "v1",\n "kind": }}', 'INM0001', 2, /^/],
    ['an unknown tag', 'apiVersion: v1\nkind: !lost Service\nmetadata: {name: a}\n', 'INM0011', 2, /quote/],
    ['an alias of nothing', 'apiVersion: v1\nkind: *lost\n', 'INM0001', 2, /^/],
  ] as const)('%s', (_, text, code, line, hint) => {
    const problems = problemsOf(text);
    expect(problems.map((problem) => `${problem.code} ${problem.line}`)).toContain(`${code} ${line}`);
    expect(problems.some((problem) => hint.test(problem.hint))).toBe(true);
  });

  it('a resource without a name, or with metadata that is none', () => {
    expect(problemsOf(JSON.stringify({ ...rule('a'), metadata: {} })).map(place)).toEqual(['IST0106 metadata.name 1:76']);
    expect(problemsOf(JSON.stringify({ ...rule('a'), metadata: 'a' })).map(({ path }) => path)).toEqual(['metadata']);
    expect(problemsOf(JSON.stringify({ ...rule('a'), metadata: undefined })).map(({ path }) => path)).toEqual(['metadata.name']);
  });
});

describe('hostile texts', () => {
  const deep = 10_000;
  it.each([
    ['deep flow', `${'['.repeat(deep)}${']'.repeat(deep)}`],
    ['deep JSON', `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`],
    ['deep YAML', Array.from({ length: 2000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
    ['deep block lists', `${'- '.repeat(deep)}a`],
    [
      'deep lists of lists',
      JSON.stringify(Array.from({ length: 20 }).reduce((inner) => ({ apiVersion: 'v1', kind: 'List', items: [inner] }), {})),
    ],
    [
      'a bomb of aliases',
      [
        'a: &a [x,x,x,x,x,x,x,x,x]',
        ...'bcdefghi'.split('').map((key, index) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[index]}`).join()}]`),
      ].join('\n'),
    ],
    ['an anchor in itself', 'a: &a [*a]'],
  ])('%s is a problem, not a crash', (_, text) => {
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.every(({ line }) => line >= 1)).toBe(true);
  });

  it('50 MB are refused, or read, in bounded time and never crash', () => {
    expect(problemsOf(`a: ${'x'.repeat(50 * 1024 * 1024)}`)).toMatchObject([{ code: 'INM0002' }]);
    expect(problemsOf(' '.repeat(65 * 1024 * 1024))).toMatchObject([{ code: 'INM0002' }]);
    const many = problemsOf(
      `{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"http":[${'{},'.repeat(5_000_000)}{}]}}`,
    );
    expect(many).toMatchObject([{ code: 'INM0002', path: 'spec' }]);
  });

  it('lists a thousand problems and counts the rest', () => {
    const problems = problemsOf(JSON.stringify(Array.from({ length: 3000 }, (_, index) => ({ ...rule(`r${index}`), extra: 1 }))));
    expect(problems).toHaveLength(1001);
    expect(problems.at(-1)).toMatchObject({ code: 'INM0009', message: '2000 more problems are not listed' });
  });

  it('is not blinded by a thousand warnings before an error', () => {
    const rules = Array.from({ length: 1500 }, () => ({
      route: [{ destination: { host: 'a' } }],
      mirror: { host: 'b' },
      mirrorPercent: 1,
    }));
    const problems = problemsOf(resource('VirtualService', { hosts: ['a'], http: [...rules, { timeout: 'soon' }] }));
    expect(problems.filter(({ severity }) => severity === 'error').map(({ path }) => path)).toEqual([
      'spec.http[1500].timeout',
      'spec.http[1500].route',
      '',
    ]);
    expect(problems.at(-1)?.message).toBe('500 more problems are not listed');
  });

  it('keys of Object.prototype change nothing', () => {
    const text =
      '{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"a"},"spec":{"host":"a","__proto__":{"trafficPolicy":{}},"constructor":{}}}';
    expect(problemsOf(text).map(({ path }) => path)).toEqual(['spec.__proto__', 'spec.constructor']);
    expect(problemsOf('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {__proto__: {polluted: "yes"}}').length).toBeGreaterThan(
      0,
    );
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
