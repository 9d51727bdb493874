import { describe, expect, it } from 'vitest';
import type { CorsRoute, Workload } from '../index.ts';
import { aged, httpRoute, meshConfig, modelOf, service, serviceEntry, to, virtualService } from './trying.ts';

const me: Partial<Workload> = { labels: { app: 'a' } };
const a = service('a', { spec: { selector: { app: 'a' } } });
const b = service('b', { spec: { selector: { app: 'b' } } });
const corsPolicy = { allowOrigins: [{ exact: 'https://x.test' }] };
const FORMS = ['a.default.svc.cluster.local', 'a.default.svc.cluster.local.', 'a', 'a.default', 'a.default.svc'];
const routes = (documents: readonly string[], who: Partial<Workload> = me): readonly CorsRoute[] => modelOf(documents, who).inbound.cors;
/** `path ✓` or `path ✗`: which calls have cross-origin rules. */
const briefly = (documents: readonly string[], who?: Partial<Workload>): readonly string[] =>
  routes(documents, who).map(({ match, cors }) => `${match.path?.value ?? '*'} ${cors === null ? '✗' : '✓'}`);
const prefix = (value: string): object => ({ match: [{ uri: { prefix: value } }] });
const rule = (http: readonly object[], more: object = {}, metadata: object = {}): string =>
  virtualService('v', { hosts: ['a'], http, ...more }, metadata);

describe('cross-origin rules where calls arrive', () => {
  it('are those of the VirtualService of the service the workload is a member of', () => {
    expect(routes([a, rule([{ ...to('a'), corsPolicy }])])).toEqual([
      {
        resource: 'VirtualService default/v',
        domains: FORMS,
        match: { path: null, method: null, scheme: null, authority: null, headers: [], query: [] },
        cors: {
          allowOrigins: [{ kind: 'exact', value: 'https://x.test' }],
          allowMethods: [],
          allowHeaders: [],
          exposeHeaders: [],
          maxAgeSeconds: null,
          allowCredentials: false,
          unmatchedPreflights: 'FORWARD',
        },
      },
    ]);
  });

  it('are not for members of other services', () => {
    const documents = [a, b, rule([{ ...to('a'), corsPolicy }])];
    expect(routes(documents, { labels: { app: 'b' } })).toEqual([]);
    expect(routes(documents, { ...me, namespace: 'far' })).toEqual([]);
    expect(routes([service('a'), rule([{ ...to('a'), corsPolicy }])])).toEqual([]);
  });

  it('keep the routes without in their places, and hosts without any out', () => {
    const http = [{ ...prefix('/open'), ...to('a'), corsPolicy }, { ...prefix('/shut'), ...to('a') }, { ...to('a'), corsPolicy }, to('a')];
    expect(briefly([a, rule(http)])).toEqual(['/open ✓', '/shut ✗', '* ✓']);
    expect(routes([a, rule([{ ...prefix('/x'), ...to('a') }, to('a')])])).toEqual([]);
  });

  it('hold for destinations under the hosts of others', () => {
    const split = virtualService('v', { hosts: ['b', 'shop.test'], http: [{ ...to('a'), corsPolicy }] });
    expect(routes([a, b, split]).map(({ domains }) => domains[0])).toEqual(['b.default.svc.cluster.local', 'shop.test']);
    expect(routes([a, b, split], { labels: { app: 'b' } }).map(({ domains }) => domains[0])).toEqual(['b.default.svc.cluster.local']);
  });

  it('are of one governor: the oldest, bound to the mesh and seen here', () => {
    const other = { allowOrigins: [{ exact: 'https://y.test' }] };
    const younger = virtualService('w', { hosts: ['a'], http: [{ ...to('a'), corsPolicy: other }] }, aged(2));
    const origins = (documents: readonly string[]): unknown => routes(documents)[0]?.cors?.allowOrigins[0];
    expect(origins([a, younger, rule([{ ...to('a'), corsPolicy }], {}, aged(1))])).toEqual({ kind: 'exact', value: 'https://x.test' });
    expect(origins([a, younger, rule([{ ...to('a'), corsPolicy }], { gateways: ['edge'] }, aged(1))])).toEqual({
      kind: 'exact',
      value: 'https://y.test',
    });
    expect(routes([a, rule([{ ...to('a'), corsPolicy }], { exportTo: ['far'] })])).toEqual([]);
    expect(briefly([a, younger, rule([to('a')], {}, aged(1))])).toEqual([]);
  });

  it('leave blocks out that are for the callers of some workloads', () => {
    const http = [
      { match: [{ uri: { prefix: '/l' }, sourceLabels: { app: 'x' } }, { uri: { prefix: '/n' }, sourceNamespace: 'x' }, { uri: { prefix: '/p' }, port: 80 }], ...to('a'), corsPolicy },
      { match: [{ uri: { prefix: '/e' }, gateways: ['edge'] }], ...to('a'), corsPolicy },
    ]; // prettier-ignore
    expect(briefly([a, rule(http)])).toEqual(['/p ✓']);
  });

  it('come from delegates too', () => {
    const delegate = virtualService('part', { http: [{ ...prefix('/p/q'), ...to('a'), corsPolicy }] });
    expect(briefly([a, delegate, rule([{ ...prefix('/p'), delegate: { name: 'part' } }, to('a')])])).toEqual(['/p/q ✓', '* ✗']);
  });

  it('hold for the hosts of a ServiceEntry that lists the workload by its labels', () => {
    const entry = (spec: object): string =>
      serviceEntry('e', { hosts: ['A.test'], resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], ...spec });
    const governing = virtualService('v', { hosts: ['*.test'], http: [{ ...to('a.test'), corsPolicy }] });
    const hosts = (spec: object): readonly string[] => routes([entry(spec), governing]).map(({ domains }) => domains[0]!);
    expect(hosts({ workloadSelector: { labels: { app: 'a' } } })).toEqual(['*.test', 'a.test']);
    expect(hosts({ endpoints: [{ address: '1.1.1.1', labels: { app: 'a' } }] })).toEqual(['*.test', 'a.test']);
    expect(hosts({ endpoints: [{ address: '1.1.1.1', labels: { app: 'b' } }, { address: '1.1.1.2' }] })).toEqual([]);
  });

  it('are read with all their fields, also those of old', () => {
    const full = {
      allowOrigins: [{ exact: '*' }, { prefix: 'https://a' }, { regex: '.*b' }],
      allowMethods: ['GET', 'PUT'],
      allowHeaders: ['x-a'],
      exposeHeaders: ['x-b'],
      maxAge: '24h',
      allowCredentials: true,
      unmatchedPreflights: 'IGNORE',
    };
    expect(routes([a, rule([{ ...to('a'), corsPolicy: full }])])[0]?.cors).toEqual({
      allowOrigins: [{ kind: 'present' }, { kind: 'prefix', value: 'https://a' }, { kind: 'regex', value: '.*b' }],
      allowMethods: ['GET', 'PUT'],
      allowHeaders: ['x-a'],
      exposeHeaders: ['x-b'],
      maxAgeSeconds: 86_400,
      allowCredentials: true,
      unmatchedPreflights: 'IGNORE',
    });
    expect(routes([a, rule([{ ...to('a'), corsPolicy: { allowOrigin: ['https://a', '*'] } }])])[0]?.cors?.allowOrigins).toEqual([
      { kind: 'exact', value: 'https://a' },
      { kind: 'present' },
    ]);
  });
});

describe('the CORS filter of an HTTPRoute where calls arrive', () => {
  const cors = { allowOrigins: ['https://x.test'] };
  const parentRefs = [{ group: '', kind: 'Service', name: 'a', port: 80 }];
  const filters = [{ type: 'CORS', cors }];
  const path = (value: string, more: object = {}): object => ({ matches: [{ path: { type: 'Exact', value } }], ...more });
  const backendRefs = [{ name: 'a', port: 80 }];

  it('holds for the members of its parent, in the order of precedence', () => {
    const route = httpRoute('r', {
      parentRefs,
      rules: [{ filters, backendRefs }, path('/shut', { backendRefs }), path('/open/', { filters, backendRefs })],
    });
    expect(briefly([a, route])).toEqual(['/open/ ✓', '/shut ✗', ' ✓']);
    expect(routes([a, route])[0]).toMatchObject({
      resource: 'HTTPRoute default/r',
      domains: FORMS,
      cors: { allowOrigins: [{ kind: 'exact', value: 'https://x.test' }], maxAgeSeconds: 5, unmatchedPreflights: 'IGNORE' },
    });
    expect(routes([a, b, route], { labels: { app: 'b' } })).toEqual([]);
  });

  it('holds for backends under the host of their parent', () => {
    const route = httpRoute('r', { parentRefs: [{ group: '', kind: 'Service', name: 'b' }], rules: [{ filters, backendRefs }] });
    expect(routes([a, b, route]).map(({ domains }) => domains[0])).toEqual(['b.default.svc.cluster.local']);
  });

  it('of another namespace is for clients there, not for us', () => {
    const route = httpRoute(
      'r',
      { parentRefs: [{ ...parentRefs[0], namespace: 'default' }], rules: [{ filters, backendRefs }] },
      { namespace: 'far' },
    );
    expect(routes([a, route])).toEqual([]);
  });

  it('stands back behind an older VirtualService', () => {
    const route = httpRoute('r', { parentRefs, rules: [{ filters, backendRefs }] }, aged(2));
    expect(routes([a, route, rule([to('a')], {}, aged(1))])).toEqual([]);
    expect(briefly([a, route, rule([to('a')], {}, aged(3))])).toEqual([' ✓']);
  });

  it.each<readonly [origin: string, expected: object]>([
    ['*', { kind: 'present' }],
    ['https://*', { kind: 'regex', value: 'https://[^/]+' }],
    ['https://*.a.test:8443', { kind: 'regex', value: String.raw`https://[^/]+\.a\.test:8443` }],
    ['https://a.test', { kind: 'exact', value: 'https://a.test' }],
  ])('takes origin %s', (origin, expected) => {
    const route = httpRoute('r', { parentRefs, rules: [{ filters: [{ type: 'CORS', cors: { allowOrigins: [origin] } }], backendRefs }] });
    expect(routes([a, route])[0]?.cors?.allowOrigins).toEqual([expected]);
  });
});

describe('proxies in front of a workload', () => {
  it('are none unless the mesh says how many', () => {
    expect(modelOf([]).inbound.trustedHops).toBe(0);
    expect(modelOf([meshConfig({ defaultConfig: { gatewayTopology: { numTrustedProxies: 2 } } })]).inbound.trustedHops).toBe(2);
    expect(modelOf([meshConfig({ defaultConfig: {} })]).inbound.trustedHops).toBe(0);
  });
});
