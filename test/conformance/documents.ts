import fc from 'fast-check';

/**
 * Made-up policy documents for property tests: few names, so that resources meet each other, and values of which most
 * are right. `mutated` then breaks some.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const pick = <const Value>(...values: readonly Value[]): fc.Arbitrary<Value> => fc.constantFrom(...values);
/** Each field is there or not. */
const some = (fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<object> => fc.record(fields, { requiredKeys: [] });
const few = <Item>(item: fc.Arbitrary<Item>, most = 3): fc.Arbitrary<Item[]> => fc.array(item, { minLength: 1, maxLength: most });
const named = <Value>(name: fc.Arbitrary<string>, value: fc.Arbitrary<Value>): fc.Arbitrary<Record<string, Value>> =>
  fc.dictionary(name, value, { minKeys: 1, maxKeys: 2 });

const namespace = pick('default', 'default', 'prod', 'istio-system');
const host = pick(
  'reviews',
  'reviews',
  'reviews',
  'ratings',
  'multi',
  'reviews.default.svc.cluster.local',
  'ratings.prod.svc.cluster.local',
  'api.example.com',
  'nobody',
  '*.example.com',
);
const plainHost = host.filter((name) => !name.startsWith('*'));
const port = pick(80, 81, 8080);
const subset = pick('v1', 'v2', 'none');
const duration = pick('1s', '250ms', '2m', '0.5s');
const percentage = pick({ value: 0 }, { value: 100 });
const word = pick('a', 'b', 'x-user', 'canary');
const headerName = pick('x', 'x-user', 'X-Mixed', 'host', ':authority');
const path = pick('/', '/a', '/a/b', '/foo', '/foo/', '/A');
const regex = pick('.*', '/a.*', '(a|b)+', '[a-z]{1,3}', '*', '/f(o+)');
const labels = named(pick('version', 'app'), pick('v1', 'v2', 'web'));
const exportTo = pick<readonly string[]>(['*'], ['.'], ['prod'], ['default', 'prod']);

const stringMatch = (value: fc.Arbitrary<string>): fc.Arbitrary<object> =>
  fc.oneof(fc.record({ exact: value }), fc.record({ prefix: value }), fc.record({ regex }), fc.constant({}));
const operations = some({ set: named(headerName, word), add: named(headerName, word), remove: few(pick('x', 'X-Mixed', 'host')) });
const headers = some({ request: operations, response: operations });
const destination = fc.record({ host: plainHost, subset, port: fc.record({ number: port }) }, { requiredKeys: ['host'] });

const match = some({
  uri: fc.oneof(fc.record({ exact: path }), fc.record({ prefix: path }), fc.record({ regex: pick('.*', '/a.*', '/f(o+).*') })),
  method: stringMatch(pick('GET', 'POST')),
  authority: stringMatch(pick('reviews', 'api')),
  headers: named(pick('x', 'x-user', ':method'), stringMatch(word)),
  withoutHeaders: named(pick('x', 'x-user'), stringMatch(word)),
  queryParams: named(pick('q', 'r'), stringMatch(word)),
  ignoreUriCase: fc.boolean(),
  port,
  sourceLabels: labels,
  sourceNamespace: namespace,
  gateways: pick(['mesh'], ['edge'], ['mesh', 'edge']),
});

const retries = fc.record(
  {
    attempts: pick(1, 2, 3),
    retryOn: pick('5xx', 'reset,connect-failure', '503,unavailable', 'gateway-error'),
    perTryTimeout: duration,
    backoff: duration,
    retryRemoteLocalities: fc.boolean(),
  },
  { requiredKeys: ['attempts'] },
);
const fault = fc.oneof(
  fc.record({ delay: fc.record({ fixedDelay: pick('20ms', '50ms'), percentage }) }),
  fc.record({
    abort: fc.oneof(
      fc.record({ httpStatus: pick(418, 503), percentage }),
      fc.record({ grpcStatus: pick('UNAVAILABLE', 'INTERNAL'), percentage }),
    ),
  }),
);
const rewrite = fc.oneof(
  fc.oneof(fc.record({ uri: path }), fc.record({ authority: pick('other.com') })),
  fc.record({ uriRegexRewrite: fc.record({ match: pick('a', '/f(o+)'), rewrite: pick('b', '/\\1') }) }),
);
const redirect = fc.record(
  {
    uri: path,
    authority: pick('other.com', 'other.com:81'),
    scheme: pick('http', 'https'),
    derivePort: pick('FROM_REQUEST_PORT', 'FROM_PROTOCOL_DEFAULT'),
    redirectCode: pick(301, 302, 308),
  },
  { requiredKeys: ['uri'] },
);
const weighted = fc.oneof(
  fc.tuple(fc.record({ destination, headers }, { requiredKeys: ['destination'] })),
  fc.array(fc.record({ destination, weight: pick(1, 1, 5, 90), headers }, { requiredKeys: ['destination', 'weight'] }), {
    minLength: 2,
    maxLength: 3,
  }),
);
const mirror = some({ mirror: destination, mirrorPercentage: percentage });
/** Most blocks ask for one thing or nothing, so that calls do match. */
const block = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.record({ uri: fc.record({ prefix: path }) }) },
  { weight: 2, arbitrary: match },
);
const common = some({ name: word, match: few(block), headers });
const forwarding = fc.record({ route: weighted, rewrite, timeout: duration, retries, fault }, { requiredKeys: ['route'] });
const joined = (...parts: readonly fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.tuple(common, ...parts).map((all) => Object.assign({}, ...all) as object);
const body = fc.oneof(fc.record({ string: word }), fc.record({ bytes: pick('aGk=') }));
const plainRule = fc.oneof(
  { weight: 6, arbitrary: joined(forwarding, mirror) },
  { weight: 2, arbitrary: joined(fc.record({ redirect })) },
  {
    weight: 2,
    arbitrary: joined(fc.record({ directResponse: fc.record({ status: pick(200, 503), body }, { requiredKeys: ['status'] }) })),
  },
);
const delegating = joined(fc.record({ delegate: fc.record({ name: pick('d0', 'd1', 'd2'), namespace }, { requiredKeys: ['name'] }) }));
const rule = fc.oneof({ weight: 9, arbitrary: plainRule }, { weight: 1, arbitrary: delegating });

const virtualService = fc.record(
  {
    hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 2 }),
    gateways: pick(['mesh'], ['edge'], ['mesh', 'edge']),
    http: few(rule, 4),
    exportTo,
  },
  { requiredKeys: ['hosts', 'http'] },
);
const delegate = fc.record({ http: few(plainRule, 2) });

const outlier = some({
  consecutive5xxErrors: pick(0, 1, 5),
  consecutiveGatewayErrors: pick(0, 3),
  interval: duration,
  baseEjectionTime: duration,
  maxEjectionPercent: pick(10, 100),
  minHealthPercent: pick(0, 50),
});
const pool = some({
  tcp: some({ maxConnections: pick(0, 1, 100), connectTimeout: duration, idleTimeout: duration }),
  http: some({
    http1MaxPendingRequests: pick(0, 10),
    http2MaxRequests: pick(0, 100),
    maxRetries: pick(0, 3),
    h2UpgradePolicy: pick('UPGRADE', 'DEFAULT'),
  }),
});
const locality = fc.oneof(
  fc.record({ enabled: fc.boolean() }),
  fc.record({ failover: pick([{ from: 'eu', to: 'us' }]) }),
  fc.record({ failoverPriority: pick(['version', 'topology.kubernetes.io/region']) }),
  fc.record({ distribute: pick([{ from: '*', to: { 'eu/*': 70, us: 30 } }]) }),
);
const balancer = fc.oneof(
  some({ simple: pick('ROUND_ROBIN', 'RANDOM', 'LEAST_REQUEST', 'PASSTHROUGH'), localityLbSetting: locality }),
  fc.record({
    consistentHash: fc.oneof(
      fc.record({ httpHeaderName: headerName }),
      fc.record({
        httpCookie: fc.record({ name: word, ttl: pick('0s', '1h') }, { requiredKeys: ['name'] }),
        ringHash: pick({ minimumRingSize: 16 }),
      }),
      fc.record({ useSourceIp: fc.constant(true), maglev: pick({ tableSize: 7 }) }),
      fc.record({ httpQueryParameterName: pick('q') }),
    ),
  }),
);
const blocks = { connectionPool: pool, outlierDetection: outlier, loadBalancer: balancer };
const trafficPolicy = fc.oneof(
  fc.record({ ...blocks, retryBudget: some({ percent: pick(10, 50) }) }, { requiredKeys: ['loadBalancer'] }),
  fc.record({ portLevelSettings: fc.tuple(fc.record({ port: fc.record({ number: port }), ...blocks }, { requiredKeys: ['port'] })) }),
);
const destinationRule = fc.record(
  {
    host,
    trafficPolicy,
    subsets: fc.uniqueArray(fc.record({ name: subset, labels, trafficPolicy }, { requiredKeys: ['name', 'labels'] }), {
      selector: ({ name }) => name,
      maxLength: 3,
    }),
    exportTo,
  },
  { requiredKeys: ['host'] },
);

const serviceEntry = fc.record(
  {
    hosts: fc.tuple(pick('api.example.com', 'x.example.com', '*.wild.com', 'reviews.default.svc.cluster.local')),
    resolution: pick('STATIC', 'DNS'),
    location: pick('MESH_INTERNAL', 'MESH_EXTERNAL'),
    ports: pick(
      [{ number: 80, name: 'http', protocol: 'HTTP' }],
      [
        { number: 80, name: 'http', protocol: 'HTTP' },
        { number: 8080, name: 'more', protocol: 'HTTP2', targetPort: 9 },
      ],
      [{ number: 81, name: 'tcp', protocol: 'TCP' }],
    ),
    endpoints: fc.array(
      fc.record(
        { address: pick('10.9.0.1', '10.9.0.2'), labels, locality: pick('eu/a', 'us/b'), weight: pick(1, 5) },
        { requiredKeys: ['address'] },
      ),
      { maxLength: 3 },
    ),
    exportTo,
  },
  { requiredKeys: ['hosts', 'resolution', 'ports'] },
);

const parentRefs = fc.tuple(
  fc.oneof(
    fc.record(
      { group: fc.constant(''), kind: fc.constant('Service'), name: pick('reviews', 'ratings', 'multi'), port },
      { requiredKeys: ['group', 'kind', 'name'] },
    ),
    fc.record({ name: pick('edge') }),
  ),
);
const backend = fc.record(
  { name: pick('reviews', 'ratings', 'multi', 'nobody'), port, weight: pick(0, 1, 9) },
  { requiredKeys: ['name', 'port'] },
);
const headerMatch = fc.record(
  { name: pick('x', 'x-user'), value: word, type: pick('Exact', 'RegularExpression') },
  { requiredKeys: ['name', 'value'] },
);
const routeRule = some({
  matches: few(
    some({
      path: fc.record({ type: pick('Exact', 'PathPrefix'), value: path }),
      method: pick('GET', 'POST'),
      headers: few(headerMatch, 2),
      queryParams: few(fc.record({ name: pick('q'), value: word }), 1),
    }),
  ),
  filters: fc.tuple(
    fc.oneof(
      fc.record({
        type: fc.constant('RequestHeaderModifier'),
        requestHeaderModifier: fc.record({ set: fc.tuple(fc.record({ name: pick('x', 'Host'), value: word })) }),
      }),
      fc.record({
        type: fc.constant('URLRewrite'),
        urlRewrite: fc.record({ path: fc.record({ type: fc.constant('ReplaceFullPath'), replaceFullPath: path }) }),
      }),
      fc.record({
        type: fc.constant('RequestMirror'),
        requestMirror: fc.record({ backendRef: fc.record({ name: pick('ratings'), port }) }),
      }),
    ),
  ),
  backendRefs: fc.array(backend, { maxLength: 3 }),
  timeouts: fc.record({ request: pick('1s', '0s') }),
  retry: fc.record({ codes: pick([503], [500, 502]), attempts: pick(1, 2) }),
});
const httpRoute = fc.record({ parentRefs, rules: few(routeRule) }, { requiredKeys: ['parentRefs'] });

const meshConfig = some({
  outboundTrafficPolicy: fc.record({ mode: pick('ALLOW_ANY', 'REGISTRY_ONLY') }),
  defaultHttpRetryPolicy: retries,
  defaultTrafficPolicy: some({ connectionPool: pool, outlierDetection: outlier, loadBalancer: balancer }),
  localityLbSetting: locality,
  defaultVirtualServiceExportTo: exportTo,
  defaultDestinationRuleExportTo: exportTo,
  rootNamespace: pick('istio-system', 'prod'),
  alwaysEjectOne: fc.boolean(),
  connectTimeout: duration,
});
const sidecar = some({
  workloadSelector: fc.record({ labels }),
  egress: few(fc.record({ hosts: few(pick('*/*', './*', 'prod/*', '~/*', '*/api.example.com', '~prod/*')) }), 1),
  outboundTrafficPolicy: fc.record({ mode: pick('ALLOW_ANY', 'REGISTRY_ONLY') }),
});

const selector = fc.record({ matchLabels: labels });
const mtls = fc.record({ mode: pick('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT') });
const peerAuthentication = fc.oneof(some({ selector, mtls }), fc.record({ selector, portLevelMtls: named(pick('80', '8080'), mtls) }));
const jwtRule = fc.record(
  {
    issuer: pick('https://a.example.com', 'b'),
    audiences: few(word),
    jwksUri: pick('https://a.example.com/keys'),
    fromHeaders: few(fc.record({ name: pick('x', 'X-Mixed'), prefix: pick('Bearer ', '') }), 1),
    fromParams: few(word, 1),
    fromCookies: few(word, 1),
    outputPayloadToHeader: pick('x-payload'),
    forwardOriginalToken: fc.boolean(),
    timeout: duration,
  },
  { requiredKeys: ['issuer', 'jwksUri'] },
);
const requestAuthentication = fc.record({ jwtRules: few(jwtRule), selector }, { requiredKeys: ['jwtRules'] });
const identity = pick('*', 'cluster.local/ns/prod/sa/a', '*/sa/a', 'cluster.local/*');
const source = fc.record(
  {
    principals: few(identity),
    notPrincipals: few(identity),
    namespaces: few(namespace),
    notNamespaces: few(namespace),
    requestPrincipals: few(pick('*', 'b/me')),
    ipBlocks: few(pick('10.0.0.0/8', '1.2.3.4', '::1')),
    notRemoteIpBlocks: few(pick('192.0.2.0/24')),
  },
  { requiredKeys: ['notNamespaces'] },
);
const operation = fc.record(
  {
    hosts: few(pick('reviews', 'reviews:*', '*.example.com')),
    methods: few(pick('GET', 'POST', '*')),
    paths: few(pick('/a', '/a/*', '*/b', '/{*}/b/{**}')),
    notPaths: few(pick('/foo')),
    ports: few(pick('80', '8080')),
  },
  { requiredKeys: ['paths'] },
);
const condition = fc.oneof(
  fc.record({ key: pick('request.headers[x-user]', 'source.namespace', 'request.auth.claims[a][b]', 'connection.sni'), values: few(word) }),
  fc.record({ key: pick('remote.ip', 'destination.ip'), notValues: few(pick('10.0.0.1')) }),
);
const securityRule = some({
  from: few(fc.record({ source })),
  to: few(fc.record({ operation })),
  when: few(condition),
});
const authorizationPolicy = fc.record(
  { selector, action: pick('ALLOW', 'DENY', 'AUDIT'), rules: few(securityRule) },
  { requiredKeys: ['action', 'rules'] },
);

const ISTIO = 'networking.istio.io/v1';
const SECURITY = 'security.istio.io/v1';
const KINDS: readonly (readonly [apiVersion: string, kind: string, name: string, spec: fc.Arbitrary<object>])[] = [
  [ISTIO, 'VirtualService', 'v', virtualService],
  [ISTIO, 'VirtualService', 'v', virtualService],
  [ISTIO, 'VirtualService', 'd', delegate],
  [ISTIO, 'DestinationRule', 'r', destinationRule],
  [ISTIO, 'ServiceEntry', 's', serviceEntry],
  [ISTIO, 'Sidecar', 'c', sidecar],
  ['gateway.networking.k8s.io/v1', 'HTTPRoute', 'h', httpRoute],
  [SECURITY, 'PeerAuthentication', 'p', peerAuthentication],
  [SECURITY, 'RequestAuthentication', 'j', requestAuthentication],
  [SECURITY, 'AuthorizationPolicy', 'a', authorizationPolicy],
  ['inmesh.dev/v1', 'MeshConfig', 'm', meshConfig],
];

/** Resources whose names differ and whose ages are random. */
export const resources: fc.Arbitrary<readonly object[]> = fc
  .array(
    fc
      .tuple(fc.integer({ min: 0, max: KINDS.length - 1 }), namespace, fc.integer({ min: 0, max: 3 }))
      .chain(([at, ns, day]) => KINDS[at]![3].map((spec) => ({ at, ns, day, spec }))),
    { minLength: 1, maxLength: 5 },
  )
  .map((given) =>
    given.map(({ at, ns, day, spec }, index) => {
      const [apiVersion, kind, name] = KINDS[at]!;
      const creationTimestamp = new Date(Date.UTC(2024, 0, 1 + day)).toISOString();
      return { apiVersion, kind, metadata: { name: `${name}${index}`, namespace: ns, creationTimestamp }, spec };
    }),
  );

/** The same, with a VirtualService of the own namespace in front that governs calls to reviews and some more. */
export const governed: fc.Arbitrary<readonly object[]> = fc.tuple(resources, few(plainRule, 4), fc.boolean()).map(([given, http, more]) => [
  {
    apiVersion: ISTIO,
    kind: 'VirtualService',
    metadata: { name: 'first', namespace: 'default' },
    spec: { hosts: more ? ['reviews', 'nobody'] : ['reviews'], http },
  },
  ...given,
]);

const STRANGE: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e12,
  '',
  '*',
  '(',
  '0s',
  'x'.repeat(300),
  [],
  {},
  [[]],
  { a: 1 },
  '__proto__',
  '\u0000',
  'ＡＢ',
  '*.',
  'a/b',
];

/** One break: of the n-th place of a document, what. */
export interface Break {
  readonly at: number;
  readonly how: 'replace' | 'remove' | 'add' | 'twice' | 'list';
  readonly value: Json;
}

const breaks: fc.Arbitrary<readonly Break[]> = fc.array(
  fc.record({
    at: fc.nat({ max: 5000 }),
    how: pick('replace', 'replace', 'remove', 'add', 'twice', 'list'),
    value: fc.oneof(pick(...STRANGE), fc.jsonValue() as fc.Arbitrary<Json>),
  }),
  { maxLength: 3 },
);

/** Documents of which some places are broken. */
export const mutated: fc.Arbitrary<readonly unknown[]> = fc.tuple(resources, breaks).map(([given, list]) => {
  const copy = structuredClone(given) as Holder[];
  for (const one of list) apply(copy, one);
  return copy;
});

type Holder = Record<string | number, unknown>;

function apply(document: Holder[], { at, how, value }: Break): void {
  const places: (readonly [holder: Holder, key: string | number])[] = [];
  const visit = (holder: unknown): void => {
    if (holder === null || typeof holder !== 'object') return;
    for (const key of Object.keys(holder)) {
      const name = Array.isArray(holder) ? Number(key) : key;
      places.push([holder as Holder, name]);
      visit((holder as Holder)[name]);
    }
  };
  for (const one of document) visit(one);
  const place = places[at % Math.max(places.length, 1)];
  if (place === undefined) return;
  const [holder, key] = place;
  switch (how) {
    case 'replace':
      holder[key] = value;
      break;
    case 'remove':
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      break;
    case 'add':
      if (Array.isArray(holder)) holder.push(value);
      else Object.defineProperty(holder, `${key}x`, { value, enumerable: true, writable: true, configurable: true });
      break;
    case 'twice':
      if (Array.isArray(holder)) holder.push(holder[Number(key)]);
      break;
    case 'list':
      holder[key] = [holder[key]];
      break;
  }
}

/** A request as a test asks it. */
export interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}

export const asked: fc.Arbitrary<Asked> = fc.record({
  url: fc
    .tuple(
      pick(
        'reviews',
        'reviews',
        'reviews',
        'reviews',
        'reviews',
        'reviews.default',
        'ratings.default.svc.cluster.local',
        'multi',
        'api.example.com',
        'x.example.com',
        'a.wild.com',
        'nobody',
        'unknown.org',
        '10.96.1.1',
      ),
      pick('', '', '', ':80', ':81', ':8080'),
      pick('/', '/a', '/a/b', '/foo', '/foo/bar', '/A', '/zzz'),
      pick('', '?q=a', '?q=b&r=canary', '?r'),
    )
    .map((parts) => `http://${parts.join('')}`),
  method: pick('GET', 'GET', 'POST'),
  headers: fc.dictionary(pick('x', 'x-user', 'cookie'), pick('a', 'b', 'canary', 'a=b'), { maxKeys: 2 }),
});

export const who = fc.record({
  namespace: pick('default', 'default', 'prod'),
  labels: fc.oneof(labels, fc.constant({})),
  locality: pick({ region: 'eu', zone: 'a', subzone: '' }, { region: '', zone: '', subzone: '' }),
});
