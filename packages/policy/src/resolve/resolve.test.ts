import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Document } from '../document.ts';
import type { Model } from '../model.ts';
import { parse } from '../parse/index.ts';
import { resolve } from './resolve.ts';
import { workload } from './workload.ts';

// A few names for everything, so that resources meet: same hosts, wildcards over them, delegates, subsets, namespaces.
const namespace = fc.constantFrom('default', 'shop', 'istio-system');
const shortName = fc.constantFrom('a', 'b', 'c');
const host = fc.oneof(shortName, fc.constantFrom('a.shop.svc.cluster.local', 'api.test', '*.test', '*.svc.cluster.local', 'x.api.test'));
const target = fc.oneof(shortName, fc.constantFrom('a.shop.svc.cluster.local', 'api.test', 'nobody.test'));
const port = fc.constantFrom(80, 81, 443);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const exportTo = maybe(fc.oneof(fc.constant(['.']), fc.constant(['*']), fc.uniqueArray(namespace, { minLength: 1, maxLength: 2 })));
const labels = fc.dictionary(fc.constantFrom('app', 'version'), fc.constantFrom('v1', 'v2'), { maxKeys: 2 });
const metadata = fc.record({
  name: shortName,
  namespace,
  creationTimestamp: maybe(fc.constantFrom('2024-01-01T00:00:00Z', '2025-01-01T00:00:00Z')),
});
const resource = (apiVersion: string, kind: string, spec: fc.Arbitrary<object>): fc.Arbitrary<object> =>
  fc.record({ apiVersion: fc.constant(apiVersion), kind: fc.constant(kind), metadata, spec });

const destination = fc.record({
  host: target,
  subset: maybe(fc.constantFrom('v1', 'v2')),
  port: maybe(port.map((number) => ({ number }))),
});
const matchBlock = fc.record(
  {
    uri: fc.oneof(
      fc.constantFrom('/', '/a', '/a/b').map((prefix) => ({ prefix })),
      fc.constantFrom('/a', '/b').map((exact) => ({ exact })),
      fc.constant({ regex: '.*' }),
    ),
    headers: fc.constant({ x: { exact: '1' } }),
    port,
    sourceLabels: labels,
    sourceNamespace: namespace,
    gateways: fc.subarray(['mesh', 'edge'], { minLength: 1 }),
  },
  { requiredKeys: [] },
);
const httpRule = fc.oneof(
  { weight: 5, arbitrary: fc.record({ name: maybe(shortName), match: maybe(fc.array(matchBlock, { minLength: 1, maxLength: 2 })), route: fc.array(fc.record({ destination, weight: fc.integer({ min: 1, max: 9 }) }), { minLength: 1, maxLength: 3 }), mirror: maybe(destination), corsPolicy: maybe(fc.constant({ allowOrigins: [{ exact: '*' }] })), timeout: maybe(fc.constantFrom('1s', '5s')), retries: maybe(fc.constantFrom({ attempts: 0 }, { attempts: 3, perTryTimeout: '2s', retryOn: '5xx,503' })) }) },
  fc.record({ match: maybe(fc.array(matchBlock, { minLength: 1, maxLength: 2 })), delegate: fc.record({ name: shortName, namespace: maybe(namespace) }) }),
  fc.constant({ redirect: { uri: '/elsewhere' } }),
  fc.constant({ directResponse: { status: 204 } }),
); // prettier-ignore
const backendRefs = fc.array(fc.record({ name: shortName, namespace: maybe(namespace), port, weight: fc.integer({ min: 0, max: 3 }) }), {
  maxLength: 2,
});
const parentRefs = fc.array(
  fc.record({ group: fc.constant(''), kind: fc.constant('Service'), name: shortName, namespace: maybe(namespace), port: maybe(port) }),
  { minLength: 1, maxLength: 1 },
);
const policy = fc.record({
  loadBalancer: fc.constantFrom({ simple: 'RANDOM' }, { consistentHash: { httpHeaderName: 'x' } }),
  outlierDetection: maybe(fc.constant({})),
  portLevelSettings: maybe(fc.constant([{ port: { number: 80 }, loadBalancer: { simple: 'ROUND_ROBIN' } }])),
});

const selector = maybe(labels.map((matchLabels) => ({ matchLabels })));
const someOf = (...words: readonly string[]) => fc.uniqueArray(fc.constantFrom(...words), { minLength: 1, maxLength: 3 });
const mtls = fc.record({ mode: fc.constantFrom('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT') });
const source = fc.record(
  { principals: someOf('*', 'cluster.local/ns/shop/sa/a', '*/sa/b'), notNamespaces: someOf('shop', 'a*'), ipBlocks: someOf('10.0.0.0/8', '::1'), requestPrincipals: someOf('*', 'i/s') },
  { requiredKeys: ['notNamespaces'] },
); // prettier-ignore
const operation = fc.record(
  {
    hosts: someOf('a', 'a:*'),
    ports: someOf('80', '080', '81'),
    paths: someOf('/a', '/b/*', '/{*}/{**}'),
    notMethods: someOf('GET', 'PUT'),
  },
  { requiredKeys: ['ports'] },
);
const condition = fc.record({
  key: fc.constantFrom('source.namespace', 'request.headers[X]', 'request.auth.claims[a][b]'),
  values: someOf('x', 'y*'),
});
const securityRule = fc.record(
  {
    from: fc.array(source.map((one) => ({ source: one })), { minLength: 1, maxLength: 2 }),
    to: fc.array(operation.map((one) => ({ operation: one })), { minLength: 1, maxLength: 2 }),
    when: fc.array(condition, { maxLength: 2 }),
  },
  { requiredKeys: [] },
); // prettier-ignore

const any = fc.oneof(
  resource('v1', 'Service', fc.record({ selector: labels, clusterIP: maybe(fc.constantFrom('None', '10.0.0.1')), ports: fc.uniqueArray(port, { minLength: 1 }).map((all) => all.map((number) => ({ port: number, name: `http-${number}` }))) })),
  resource('networking.istio.io/v1', 'ServiceEntry', fc.record({ hosts: fc.uniqueArray(fc.constantFrom('api.test', 'x.api.test', '*.test'), { minLength: 1 }), ports: fc.constant([{ number: 80, name: 'http', protocol: 'HTTP' }]), resolution: fc.constantFrom('NONE', 'STATIC'), exportTo })),
  resource('networking.istio.io/v1', 'VirtualService', fc.record({ hosts: fc.oneof(fc.constant([]), host.map((one) => [one])), http: fc.array(httpRule, { minLength: 1, maxLength: 4 }), exportTo, gateways: maybe(fc.constantFrom(['mesh'], ['edge'])) })),
  resource('networking.istio.io/v1', 'DestinationRule', fc.record({ host, trafficPolicy: maybe(policy), subsets: maybe(fc.constantFrom([{ name: 'v1', labels: { version: 'v1' } }], [{ name: 'v2', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } }])), exportTo })),
  resource('networking.istio.io/v1', 'Sidecar', fc.record({ egress: maybe(fc.constantFrom([{ hosts: ['./*'] }], [{ hosts: ['*/*', '~shop/*'] }], [{ port: { number: 80, protocol: 'HTTP', name: 'x' }, hosts: ['*/*.test'] }])) })),
  resource('gateway.networking.k8s.io/v1', 'HTTPRoute', fc.record({ parentRefs, rules: fc.array(fc.record({ backendRefs }), { minLength: 1, maxLength: 2 }) })),
  resource('security.istio.io/v1', 'PeerAuthentication', fc.oneof(fc.record({ selector, mtls: maybe(mtls) }), fc.record({ selector: fc.constant({ matchLabels: { app: 'v1' } }), portLevelMtls: fc.dictionary(fc.constantFrom('80', '8080'), mtls, { minKeys: 1 }) }))),
  resource('security.istio.io/v1', 'RequestAuthentication', fc.record({ selector, jwtRules: fc.array(fc.record({ issuer: shortName, jwksUri: fc.constant('http://a.test/keys'), audiences: someOf('x', 'y') }), { maxLength: 2 }) })),
  resource('security.istio.io/v1', 'AuthorizationPolicy', fc.record({ selector, action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT'), rules: fc.array(securityRule, { minLength: 1, maxLength: 2 }) })),
  resource('gateway.networking.k8s.io/v1', 'GRPCRoute', fc.record({ parentRefs, rules: fc.array(fc.record({ backendRefs }), { maxLength: 2 }) })),
); // prettier-ignore

/** Documents of the resources that parse; those that contradict themselves are left out one by one. */
const documents = fc.array(any, { maxLength: 14 }).map((resources): Document | undefined => {
  const unique = [...new Map(resources.map((one) => [key(one), one])).values()];
  const whole = parse([{ file: 'x.json', text: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: unique }) }]);
  if (whole.ok) return whole.document;
  const sound = unique.filter((one) => parse([{ file: 'x.json', text: JSON.stringify(one) }]).ok);
  const rest = parse([{ file: 'x.json', text: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: sound }) }]);
  return rest.ok ? rest.document : undefined;
});
const key = (one: object): string => {
  const { kind, metadata: meta } = one as {
    readonly kind: string;
    readonly metadata: { readonly name: string; readonly namespace: string };
  };
  return `${kind} ${meta.namespace}/${meta.name}`;
};

const who = fc.record({ namespace, labels });

describe('resolve', () => {
  it('has a meaning for every document, and one that holds together', () => {
    let seen = 0;
    fc.assert(
      fc.property(documents, who, (document, given) => {
        if (document === undefined) return;
        seen += document.resources.length;
        holdsTogether(resolve(document, workload(given)));
      }),
      { numRuns: 300 },
    );
    expect(seen).toBeGreaterThan(500);
  });

  it('says the same of the same document, in whatever order its resources stand', () => {
    fc.assert(
      fc.property(documents, who, (document, given) => {
        if (document === undefined) return;
        const model = resolve(document, workload(given));
        expect(JSON.parse(JSON.stringify(model))).toEqual(model); // plain data
        const reversed = { ...document, resources: document.resources.toReversed() };
        expect(resolve(reversed, workload(given))).toEqual(model);
      }),
      { numRuns: 100 },
    );
  });
});

function holdsTogether({ hosts, clusters, services, inbound }: Model): void {
  expect(inbound.jwt.map(({ issuer }) => issuer)).toEqual(inbound.jwt.map(({ issuer }) => issuer).toSorted());
  for (const { locations } of inbound.jwt) expect(locations.length).toBeGreaterThan(0);
  for (const { rules } of inbound.authorization)
    for (const { from, to, when } of rules)
      for (const { values, notValues } of [...from.flat(), ...to.flat(), ...when])
        expect(values.length + notValues.length).toBeGreaterThan(0);
  for (const { domains, match } of inbound.cors) {
    expect(domains.length).toBeGreaterThan(0);
    expect(
      inbound.cors.some((other) => other.domains === domains && other.cors !== null),
      JSON.stringify(match),
    ).toBe(true);
  }
  const clusterNames = new Set(clusters.map(({ name }) => name));
  const serviceHosts = new Set(services.map((one) => one.host));
  const domains = new Set<string>();
  const reached = new Set<string>();
  for (const { domains: own, port: at, routes, name, service } of hosts) {
    expect(own.length).toBeGreaterThan(0);
    expect(routes.length).toBeGreaterThan(0);
    if (service !== null) expect(serviceHosts).toContain(service);
    for (const domain of own) {
      expect(domains).not.toContain(`${domain} ${at}`);
      domains.add(`${domain} ${at}`);
    }
    for (const { action, mirrors } of routes) {
      for (const mirror of mirrors) {
        expect(clusterNames).toContain(mirror.cluster);
        reached.add(mirror.cluster);
      }
      if (action.kind !== 'forward') continue;
      expect(action.destinations.length, name).toBeGreaterThan(0);
      for (const { cluster, missing, weight } of action.destinations) {
        expect(weight).toBeGreaterThanOrEqual(1);
        if (missing === null) {
          expect(clusterNames).toContain(cluster);
          reached.add(cluster);
        }
      }
    }
  }
  for (const one of clusters) expect(serviceHosts).toContain(one.service);
  expect([...clusterNames].filter((name) => !reached.has(name))).toEqual([]);
}
