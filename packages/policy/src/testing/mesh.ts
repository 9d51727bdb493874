/** For tests: a sound mesh in which every kind is used with most of its fields. Plain data, to be mutated freely. */
export const mesh = (): unknown[] => structuredClone(resources);

const istio = (kind: string, name: string, spec: object, namespace = 'shop'): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind,
  metadata: { name, namespace },
  spec,
});
const security = (kind: string, name: string, spec: object, annotations = {}): object => ({
  apiVersion: 'security.istio.io/v1',
  kind,
  metadata: { name, namespace: 'shop', annotations },
  spec,
});
const gatewayApi = (kind: string, name: string, spec: object): object => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind,
  metadata: { name, namespace: 'shop' },
  spec,
});
const core = (kind: string, name: string, body: object, labels = {}): object => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: 'shop', labels },
  ...body,
});

const destination = (subset?: string): object => ({ host: 'reviews', ...(subset !== undefined && { subset }), port: { number: 80 } });

const resources: unknown[] = [
  istio('VirtualService', 'reviews', {
    hosts: ['reviews'],
    gateways: ['mesh'],
    exportTo: ['*'],
    http: [
      {
        name: 'canary',
        match: [
          {
            name: 'a',
            uri: { prefix: '/api' },
            headers: { 'x-user': { exact: 'jason' }, 'x-any': {} },
            withoutHeaders: { 'x-not': { regex: 'a+' } },
            queryParams: { v: { exact: '2' } },
          },
          {
            name: 'b',
            method: { exact: 'GET' },
            authority: { prefix: 'rev' },
            scheme: { exact: 'http' },
            ignoreUriCase: true,
            port: 80,
            sourceLabels: { app: 'front' },
            sourceNamespace: 'shop',
          },
        ],
        route: [
          { destination: destination('v1'), weight: 90, headers: { request: { set: { 'x-v': '1' }, remove: ['x-old'] } } },
          { destination: destination('v2'), weight: 10 },
        ],
        timeout: '5s',
        retries: { attempts: 2, perTryTimeout: '1s', retryOn: '5xx,503', backoff: '25ms', retryRemoteLocalities: true },
        fault: { delay: { fixedDelay: '100ms', percentage: { value: 0.1 } }, abort: { httpStatus: 503, percentage: { value: 1 } } },
        mirrors: [{ destination: destination('v2'), percentage: { value: 5 } }],
        rewrite: { uriRegexRewrite: { match: '^/api/(.*)', rewrite: '/\\1' }, authority: 'reviews' },
        headers: { response: { add: { 'x-by': 'mesh' } } },
        corsPolicy: { allowOrigins: [{ exact: 'https://a.b' }], allowMethods: ['GET'], maxAge: '10s' },
      },
      { match: [{ uri: { exact: '/old' } }], redirect: { uri: '/new', authority: 'reviews', redirectCode: 308 } },
      { match: [{ uri: { exact: '/ping' } }], directResponse: { status: 200, body: { string: 'pong' } } },
      { match: [{ uri: { prefix: '/part' } }], delegate: { name: 'part', namespace: 'shop' } },
      { route: [{ destination: destination('v1') }] },
    ],
    tls: [{ match: [{ sniHosts: ['reviews'], port: 443, destinationSubnets: ['10.0.0.0/8'] }], route: [{ destination: destination() }] }],
    tcp: [{ match: [{ port: 9000 }], route: [{ destination: destination(), weight: 100 }] }],
  }),
  istio('VirtualService', 'part', { http: [{ route: [{ destination: destination('v2') }] }] }),
  istio('DestinationRule', 'reviews', {
    host: 'reviews.shop.svc.cluster.local',
    trafficPolicy: {
      loadBalancer: {
        simple: 'ROUND_ROBIN',
        warmup: { duration: '10s', minimumPercent: 20, aggression: 2 },
        localityLbSetting: { failover: [{ from: 'eu', to: 'us' }] },
      },
      connectionPool: {
        tcp: { maxConnections: 100, connectTimeout: '1s', tcpKeepalive: { probes: 3, time: '60s', interval: '10s' } },
        http: { http2MaxRequests: 50, maxRetries: 3, idleTimeout: '4s' },
      },
      outlierDetection: {
        consecutive5xxErrors: 5,
        interval: '5s',
        baseEjectionTime: '30s',
        maxEjectionPercent: 50,
        splitExternalLocalOriginErrors: true,
        consecutiveLocalOriginFailures: 3,
      },
      tls: { mode: 'SIMPLE', caCertificates: '/etc/ca.pem', sni: 'reviews', subjectAltNames: ['reviews'] },
      retryBudget: { percent: 20, minRetryConcurrency: 3 },
    },
    subsets: [
      { name: 'v1', labels: { version: 'v1' } },
      {
        name: 'v2',
        labels: { version: 'v2' },
        trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: 'sid', ttl: '0s' }, maglev: { tableSize: 251 } } } },
      },
    ],
    exportTo: ['.'],
  }),
  istio('ServiceEntry', 'ext', {
    hosts: ['api.example.com'],
    ports: [{ number: 443, name: 'https', protocol: 'HTTPS', targetPort: 8443 }],
    location: 'MESH_EXTERNAL',
    resolution: 'STATIC',
    endpoints: [
      {
        address: '10.1.0.1',
        ports: { https: 8443 },
        labels: { version: 'v1' },
        locality: 'eu/a',
        weight: 2,
        network: 'n',
        serviceAccount: 's',
      },
    ],
    subjectAltNames: ['api.example.com'],
  }),
  istio('WorkloadEntry', 'vm', { address: '10.2.0.1', labels: { app: 'vm' }, weight: 1 }),
  istio('WorkloadGroup', 'vms', { template: { ports: { http: 80 } }, probe: { httpGet: { port: 80, path: '/' } } }),
  istio('Sidecar', 'default', { egress: [{ hosts: ['./*', 'istio-system/*'] }], outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } }),
  istio('Gateway', 'door', {
    selector: { istio: 'gateway' },
    servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
  }),
  gatewayApi('HTTPRoute', 'reviews', {
    parentRefs: [{ group: '', kind: 'Service', name: 'reviews', port: 80 }],
    rules: [
      {
        name: 'one',
        matches: [
          {
            path: { type: 'Exact', value: '/a' },
            headers: [{ name: 'x', value: '1' }],
            queryParams: [{ type: 'RegularExpression', name: 'q', value: 'a+' }],
            method: 'GET',
          },
        ],
        filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x', value: '1' }] } }],
        backendRefs: [{ name: 'reviews', port: 80, weight: 3 }],
        timeouts: { request: '10s', backendRequest: '2s' },
        retry: { codes: [503], attempts: 2, backoff: '50ms' },
      },
    ],
  }),
  gatewayApi('GRPCRoute', 'ratings', {
    parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
    rules: [{ matches: [{ method: { service: 'shop.Ratings', method: 'Get' } }], backendRefs: [{ name: 'reviews', port: 80 }] }],
  }),
  gatewayApi('BackendTLSPolicy', 'tls', {
    targetRefs: [{ kind: 'Service', name: 'reviews' }],
    validation: {
      caCertificateRefs: [{ kind: 'ConfigMap', name: 'ca' }],
      hostname: 'reviews.shop',
      subjectAltNames: [{ type: 'URI', uri: 'spiffe://a/b' }],
    },
  }),
  gatewayApi('ReferenceGrant', 'grant', {
    from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'a' }],
    to: [{ kind: 'Service' }],
  }),
  gatewayApi('TCPRoute', 'tcp', {
    parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
    rules: [{ backendRefs: [{ name: 'reviews', port: 80 }] }],
  }),
  gatewayApi('TLSRoute', 'tls', {
    parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
    rules: [{ backendRefs: [{ name: 'reviews', port: 80 }] }],
  }),
  security('PeerAuthentication', 'reviews', {
    selector: { matchLabels: { app: 'reviews' } },
    mtls: { mode: 'STRICT' },
    portLevelMtls: { 8080: { mode: 'PERMISSIVE' } },
  }),
  security('RequestAuthentication', 'reviews', {
    selector: { matchLabels: { app: 'reviews' } },
    jwtRules: [
      {
        issuer: 'https://issuer.example.com',
        audiences: ['shop'],
        jwksUri: 'https://issuer.example.com/keys',
        fromHeaders: [{ name: 'x-token', prefix: 'Bearer ' }],
        fromParams: ['token'],
        fromCookies: ['session'],
        outputPayloadToHeader: 'x-payload',
        outputClaimToHeaders: [{ header: 'x-group', claim: 'user.group' }],
        forwardOriginalToken: true,
        timeout: '2s',
        spaceDelimitedClaims: ['roles'],
      },
      { issuer: 'other', jwks: '{"keys":[]}' },
    ],
  }),
  security('AuthorizationPolicy', 'reviews', {
    selector: { matchLabels: { app: 'reviews' } },
    action: 'ALLOW',
    rules: [
      {
        from: [
          { source: { principals: ['cluster.local/ns/shop/sa/front'], notNamespaces: ['bad'], ipBlocks: ['10.0.0.0/8'] } },
          { source: { serviceAccounts: ['front', 'other/back'], requestPrincipals: ['*'], trustDomains: ['cluster.*'] } },
        ],
        to: [
          {
            operation: {
              hosts: ['reviews', 'reviews:*'],
              ports: ['8080'],
              methods: ['GET'],
              paths: ['/a/*', '/b/{*}/c/{**}'],
              notPaths: ['/a/x'],
            },
          },
        ],
        when: [
          { key: 'request.headers[x-user]', values: ['jason'], notValues: ['root'] },
          { key: 'request.auth.claims[realm][roles]', values: ['admin'] },
          { key: 'remote.ip', notValues: ['192.0.2.1'] },
        ],
      },
      {},
    ],
  }),
  security('AuthorizationPolicy', 'no-secrets', {
    action: 'DENY',
    rules: [{ to: [{ operation: { ports: ['8080'], paths: ['/secret*'] } }] }],
  }),
  security('AuthorizationPolicy', 'try', { rules: [{ from: [{ source: { namespaces: ['shop'] } }] }] }, { 'istio.io/dry-run': 'true' }),
  security('AuthorizationPolicy', 'audit', { action: 'AUDIT', targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }], rules: [{}] }),
  {
    apiVersion: 'inmesh.dev/v1',
    kind: 'MeshConfig',
    metadata: { name: 'mesh' },
    spec: {
      trustDomainAliases: ['old.local'],
      defaultConfig: {
        gatewayTopology: { numTrustedProxies: 1 },
        tracing: { sampling: 10, customTags: { team: { literal: { value: 'shop' } } } },
      },
      extensionProviders: [
        {
          name: 'json',
          envoyFileAccessLog: {
            path: '/dev/stderr',
            logFormat: { labels: { code: '%RESPONSE_CODE%', by: { user: '%REQ(USER-AGENT)%' } } },
          },
        },
        {
          name: 'records',
          envoyOtelAls: { service: 'otel.shop', port: 4317, logFormat: { text: '%PROTOCOL%', labels: { a: '%DURATION%' } } },
        },
        { name: 'spans', opentelemetry: { service: 'otel.shop', port: 4317, http: { path: '/v1/traces', timeout: '1s' } } },
        { name: 'zip', zipkin: { service: 'zipkin.shop', port: 9411 } },
        { name: 'als', envoyHttpAls: { service: 'als.shop', port: 80 } },
      ],
      defaultProviders: { metrics: ['prometheus'], tracing: ['spans'], accessLogging: ['json'] },
      accessLogFile: '/dev/stdout',
      accessLogEncoding: 'JSON',
      accessLogFormat: '{"code": "%RESPONSE_CODE%"}',
      defaultHttpRetryPolicy: { attempts: 1, retryOn: 'reset' },
      connectTimeout: '2s',
      alwaysEjectOne: false,
    },
  },
  {
    apiVersion: 'inmesh.dev/v1',
    kind: 'HedgePolicy',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: { host: 'reviews', idempotent: ['/shop.Reviews/Get', '/shop.Reviews/List*'], delay: '50ms', maxAttempts: 3 },
  },
  {
    apiVersion: 'inmesh.dev/v1',
    kind: 'ServiceLevelObjective',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: {
      service: 'reviews',
      indicator: { latency: { threshold: '250ms' } },
      objective: 99.9,
      window: '4w2d',
      enforcement: { when: 'ticket', actions: ['tightenRetries', 'freezeWeights'] },
    },
  },
  {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      metrics: [
        {
          providers: [{ name: 'prometheus' }],
          overrides: [
            { match: { metric: 'ALL_METRICS', mode: 'CLIENT' }, disabled: true },
            {
              match: { metric: 'REQUEST_COUNT', mode: 'CLIENT_AND_SERVER' },
              disabled: false,
              tagOverrides: { request_host: { value: 'request.host' }, response_flags: { operation: 'REMOVE' } },
            },
            { match: { customMetric: 'mine' }, tagOverrides: { a: { operation: 'UPSERT', value: "'b'" } } },
          ],
          reportingInterval: '10s',
        },
      ],
      tracing: [
        {
          match: { mode: 'SERVER' },
          providers: [{ name: 'zip' }],
          randomSamplingPercentage: 12.5,
          disableSpanReporting: false,
          customTags: {
            a: { literal: { value: 'b' } },
            b: { environment: { name: 'POD', defaultValue: 'none' } },
            c: { header: { name: 'x-user' } },
            d: { formatter: { value: '%RESPONSE_FLAGS%' } },
          },
          useRequestIdForTraceSampling: true,
          enableIstioTags: false,
          disableContextPropagation: true,
        },
      ],
      accessLogging: [
        { match: { mode: 'CLIENT' }, providers: [{ name: 'json' }, { name: 'records' }], filter: { expression: 'response.code >= 400' } },
        { match: { mode: 'SERVER' }, disabled: true },
      ],
    },
  },
  core('Service', 'reviews', {
    spec: { selector: { app: 'reviews' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }], clusterIP: '10.0.0.10' },
  }),
  core(
    'Pod',
    'reviews-1',
    { spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x', ports: [{ name: 'http', containerPort: 8080 }] }] } },
    { app: 'reviews', version: 'v1' },
  ),
  core('Pod', 'reviews-2', { spec: { nodeName: 'n1', serviceAccountName: 's' } }, { app: 'reviews', version: 'v2' }),
  core('Node', 'n1', { spec: {} }, { 'topology.kubernetes.io/zone': 'a' }),
  core('ConfigMap', 'ca', { data: { 'ca.crt': 'PEM' } }),
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'reviews-x', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'reviews' } },
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['10.3.0.1'], conditions: { ready: true }, nodeName: 'n1', zone: 'a', targetRef: { kind: 'Pod', name: 'reviews-1' } },
    ],
    ports: [{ name: 'http', port: 8080 }],
  },
];
