import { describe, expect, it } from 'vitest';
import type { InboundMtls, Workload } from '../index.ts';
import { aged, meshConfig, modelOf, peerAuthentication, service, serviceEntry, workloadEntry } from './trying.ts';

const root = { namespace: 'istio-system' };
const mode = (word: string): object => ({ mtls: { mode: word } });
const forApp = (app: string, spec: object = {}): object => ({ selector: { matchLabels: { app } }, ...spec });
const me: Partial<Workload> = { labels: { app: 'a', version: 'v1' } };
const demanded = (documents: readonly string[], who: Partial<Workload> = me): InboundMtls => modelOf(documents, who).inbound.mtls;
const modeOf = (documents: readonly string[], who: Partial<Workload> = me): string => demanded(documents, who).mode;

describe('PeerAuthentication', () => {
  it('demands nothing where there is none', () => {
    expect(demanded([])).toEqual({ mode: 'PERMISSIVE', ports: {}, resources: [] });
  });

  it('of the workload beats that of the namespace, which beats that of the mesh', () => {
    const mesh = peerAuthentication('m', mode('STRICT'), root);
    const namespace = peerAuthentication('n', mode('PERMISSIVE'));
    const workload = peerAuthentication('w', forApp('a', mode('DISABLE')));
    expect(demanded([mesh])).toEqual({ mode: 'STRICT', ports: {}, resources: ['PeerAuthentication istio-system/m'] });
    expect(demanded([mesh, namespace])).toEqual({ mode: 'PERMISSIVE', ports: {}, resources: ['PeerAuthentication default/n'] });
    expect(demanded([mesh, namespace, workload])).toEqual({ mode: 'DISABLE', ports: {}, resources: ['PeerAuthentication default/w'] });
    expect(modeOf([mesh, namespace, workload], { labels: { app: 'b' } })).toBe('PERMISSIVE');
    expect(modeOf([mesh, namespace, workload], { namespace: 'far', labels: { app: 'a' } })).toBe('STRICT');
  });

  it.each(['UNSET', undefined])('with mode %s inherits', (word) => {
    const unset = word === undefined ? {} : mode(word);
    const mesh = peerAuthentication('m', mode('STRICT'), root);
    const documents = [mesh, peerAuthentication('n', unset), peerAuthentication('w', forApp('a', unset))];
    expect(demanded(documents)).toEqual({
      mode: 'STRICT',
      ports: {},
      resources: ['PeerAuthentication default/w', 'PeerAuthentication istio-system/m'],
    });
    expect(modeOf([peerAuthentication('n', unset)])).toBe('PERMISSIVE');
  });

  it('holds as a whole if it is the oldest of its level', () => {
    const older = peerAuthentication('z', mode('STRICT'), aged(1));
    const younger = peerAuthentication('a', mode('DISABLE'), aged(2));
    expect(modeOf([younger, older])).toBe('STRICT');
    // The oldest says nothing, and nobody else of the level is asked.
    expect(modeOf([peerAuthentication('z', {}, aged(1)), younger, peerAuthentication('m', mode('STRICT'), root)])).toBe('STRICT');
    expect(modeOf([peerAuthentication('b', mode('DISABLE'), aged(1)), peerAuthentication('a', mode('STRICT'), aged(1))])).toBe('STRICT');
    const selecting = [
      peerAuthentication('z', forApp('a', mode('STRICT')), aged(1)),
      peerAuthentication('y', forApp('a', mode('DISABLE')), aged(2)),
    ];
    expect(modeOf(selecting)).toBe('STRICT');
  });

  it('has ports of its own, which inherit by UNSET, and no others', () => {
    const ports = { portLevelMtls: { 8080: { mode: 'DISABLE' }, 9090: {}, 9091: { mode: 'STRICT' } } };
    const documents = [peerAuthentication('n', mode('STRICT')), peerAuthentication('w', forApp('a', ports))];
    expect(demanded(documents)).toEqual({
      mode: 'STRICT',
      ports: { 8080: 'DISABLE', 9090: 'STRICT', 9091: 'STRICT' },
      resources: ['PeerAuthentication default/w', 'PeerAuthentication default/n'],
    });
    expect(demanded(documents, { labels: { app: 'b' } }).ports).toEqual({});
  });

  it('selects by all of its labels, and by an empty selector everybody', () => {
    const both = peerAuthentication('w', { selector: { matchLabels: { app: 'a', version: 'v2' } }, ...mode('STRICT') });
    expect(modeOf([both])).toBe('PERMISSIVE');
    expect(modeOf([both], { labels: { app: 'a', version: 'v2', more: 'x' } })).toBe('STRICT');
    expect(modeOf([peerAuthentication('n', { selector: {}, ...mode('STRICT') })])).toBe('STRICT');
  });

  it('with a selector in the root namespace selects nobody, there or elsewhere', () => {
    const selecting = peerAuthentication('m', forApp('a', mode('STRICT')), root);
    expect(modeOf([selecting])).toBe('PERMISSIVE');
    expect(modeOf([selecting], { ...me, ...root })).toBe('PERMISSIVE');
    expect(modeOf([selecting, peerAuthentication('all', mode('DISABLE'), root)], { ...me, ...root })).toBe('DISABLE');
  });

  it('of the mesh stands in the root namespace of the mesh', () => {
    const documents = [meshConfig({ rootNamespace: 'top' }), peerAuthentication('m', mode('STRICT'), { namespace: 'top' })];
    expect(modeOf(documents)).toBe('STRICT');
    expect(modeOf([...documents, peerAuthentication('n', mode('DISABLE'), root)])).toBe('STRICT');
  });
});

/** A service of one pod that says of itself that it takes mutual TLS, and listens on 8080 and 9090. */
const pod = (labels: object): string[] => [
  service('a', { ports: ['http:80', 'http-admin:81'] }),
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a-1', namespace: 'default', labels },
    spec: { serviceAccountName: 'sa' },
  }),
  JSON.stringify({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'a-x', namespace: 'default', labels: { 'kubernetes.io/service-name': 'a' } },
    endpoints: [{ addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'a-1' } }],
    ports: [
      { name: 'http', port: 8080 },
      { name: 'http-admin', port: 9090 },
    ],
  }),
];
const istio = { app: 'a', 'security.istio.io/tlsMode': 'istio' };
const takesMutual = (documents: readonly string[]): boolean => modelOf(documents).services[0]!.endpoints[0]!.mtls;

describe('an endpoint can take mutual TLS', () => {
  it('if its pod says so by label', () => {
    expect(takesMutual(pod(istio))).toBe(true);
    expect(takesMutual(pod({ app: 'a' }))).toBe(false);
    expect(takesMutual(pod({ ...istio, 'security.istio.io/tlsMode': 'disabled' }))).toBe(false);
  });

  it('as a member of a ServiceEntry if it has a service account, or says so by label', () => {
    const entry = (endpoint: object, location = 'MESH_INTERNAL'): string[] => [
      serviceEntry('e', {
        hosts: ['a.test'],
        location,
        resolution: 'STATIC',
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        endpoints: [{ address: '1.1.1.1', ...endpoint }],
      }),
    ];
    expect(takesMutual(entry({}))).toBe(false);
    expect(takesMutual(entry({ serviceAccount: 'sa' }))).toBe(true);
    expect(takesMutual(entry({ labels: istio }))).toBe(true);
    expect(takesMutual(entry({ serviceAccount: 'sa', labels: { 'security.istio.io/tlsMode': 'disabled' } }))).toBe(false);
    expect(takesMutual(entry({ serviceAccount: 'sa', labels: istio }, 'MESH_EXTERNAL'))).toBe(false);
  });

  it('as a machine that a ServiceEntry selects', () => {
    const selecting = serviceEntry('e', {
      hosts: ['a.test'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      workloadSelector: { labels: { app: 'a' } },
    });
    expect(takesMutual([selecting, workloadEntry('vm', { address: '1.1.1.1', labels: { app: 'a' }, serviceAccount: 'sa' })])).toBe(true);
    expect(takesMutual([selecting, workloadEntry('vm', { address: '1.1.1.1', labels: { app: 'a' } })])).toBe(false);
  });
});

describe('callers are told', () => {
  /** `default app=a DISABLE 80:STRICT`, in order of precedence. */
  const told = (documents: readonly string[], who: Partial<Workload> = {}): string[] =>
    modelOf(documents, who).peers.map(({ namespace, labels, mtls }) =>
      [
        namespace ?? 'anywhere',
        ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
        mtls.mode,
        ...Object.entries(mtls.ports).map(([port, own]) => `${port}:${own}`),
      ].join(' '),
    );
  const mesh = (word: string): string => peerAuthentication('m', mode(word), root);
  const namespace = (word: string): string => peerAuthentication('n', mode(word));

  it('nothing while every workload takes mutual TLS', () => {
    expect(told([])).toEqual([]);
    expect(told([mesh('STRICT'), namespace('PERMISSIVE'), peerAuthentication('w', forApp('a', mode('UNSET')))])).toEqual([]);
  });

  it('where it is off, and what takes that back for some: the most specific first, of equals the oldest', () => {
    const workload = (name: string, app: string, word: string, days: number): string =>
      peerAuthentication(name, forApp(app, mode(word)), aged(days));
    const documents = [mesh('DISABLE'), namespace('STRICT'), workload('x', 'b', 'UNSET', 2), workload('y', 'a', 'PERMISSIVE', 1)];
    const expected = ['default app=a PERMISSIVE', 'default app=b STRICT', 'default STRICT', 'anywhere DISABLE'];
    expect(told(documents)).toEqual(expected);
    expect(told(documents.toReversed())).toEqual(expected);
  });

  it('of a port that is off alone, wherever they are', () => {
    const ports = { portLevelMtls: { 9090: { mode: 'DISABLE' }, 9091: { mode: 'UNSET' } } };
    const documents = [mesh('STRICT'), peerAuthentication('w', forApp('a', ports))];
    expect(told(documents, { namespace: 'far' })).toEqual(['default app=a STRICT 9090:DISABLE 9091:STRICT']);
  });

  it('only of namespaces where it is off', () => {
    expect(told([mesh('STRICT'), namespace('DISABLE'), peerAuthentication('n', mode('STRICT'), { namespace: 'far' })])).toEqual([
      'default DISABLE',
    ]);
  });
});
