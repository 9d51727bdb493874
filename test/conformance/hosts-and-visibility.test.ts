import type { Workload } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { ask, destinationRule, document, fate, kube, meshConfig, modelOf, resource, short, virtualService, WORLD } from './world.ts';

/**
 * Which names mean which service, and who sees what: ResolveShortnameToFQDN (pilot/pkg/model/config.go), host names
 * (pkg/config/host/name.go), generateVirtualHostDomains (networking/core/httproute.go), exportTo and Sidecar.
 */

const PASS = 'PassthroughCluster';
const BLACK = 'refuse 502';
const direct = (text: string, status = 200): string => `http: [{ directResponse: { status: ${status}, body: { string: ${text} } } }]`;
/** Answers with its name: shows which rule won. */
const says = (id: string, hosts: string, more = '', day = 0): string =>
  virtualService(id, `hosts: [${hosts}]\n${more}\n${direct(id.replace('/', '.'))}`, { day });
const said = (id: string): string => `direct 200 ${id.replace('/', '.')}`;

describe('short names in rules are of the namespace of the rule', () => {
  const inProd: Partial<Workload> = { namespace: 'prod' };
  const yaml = (hosts: string, id = 'default/vs'): string => document(WORLD, kube('reviews.prod', { net: 9 }), says(id, hosts));

  it.each<readonly [statement: string, hosts: string, id: string, url: string, expected: string]>([
    ['without a dot: name.namespace.svc.domain', 'reviews', 'default/vs', 'http://reviews/', said('default/vs')],
    ['so another namespace is not meant', 'reviews', 'default/vs', 'http://reviews.prod/', '80||reviews.prod'],
    ['a rule elsewhere means its own', 'reviews', 'prod/vs', 'http://reviews.prod/', said('prod/vs')],
    ['and not ours', 'reviews', 'prod/vs', 'http://reviews/', '80||reviews'],
    ['a name with a dot is left as it is', 'reviews.prod', 'default/vs', 'http://reviews.prod.svc.cluster.local/', '80||reviews.prod'],
    ['a full name', 'reviews.prod.svc.cluster.local', 'default/vs', 'http://reviews.prod/', said('default/vs')],
    ['is lower-cased', 'Reviews', 'default/vs', 'http://reviews/', said('default/vs')],
  ])('%s', (_, hosts, id, url, expected) => {
    expect(fate(yaml(hosts, id), url)).toBe(expected);
  });

  it('destinations too', () => {
    const there = document(
      WORLD,
      kube('ratings.prod', { net: 9 }),
      virtualService('prod/vs', 'hosts: [reviews.default.svc.cluster.local]\nhttp: [{ route: [{ destination: { host: ratings } }] }]'),
    );
    expect(fate(there, '/')).toBe('80||ratings.prod');
    expect(
      fate(
        document(
          WORLD,
          kube('x.prod', { net: 9 }),
          virtualService('vs', 'hosts: [reviews]\nhttp: [{ route: [{ destination: { host: x.prod } }] }]'),
        ),
        '/',
      ),
    ).toBe('refuse 503 NC');
  });

  it('hosts of DestinationRules too', () => {
    const there = modelOf(
      document(
        kube('ratings.prod', { net: 9 }),
        destinationRule('prod/dr', 'host: ratings\ntrafficPolicy: { loadBalancer: { simple: RANDOM } }'),
      ),
      inProd,
    );
    expect(there.clusters.map(({ name, loadBalancer }) => [short(name), loadBalancer.kind])).toEqual([['80||ratings.prod', 'random']]);
  });

  it('in the domain of the mesh', () => {
    const yamlOf = document(meshConfig('domain: example.org'), kube('reviews'), says('vs', 'reviews'));
    expect(fate(yamlOf, 'http://reviews.default.svc.example.org/')).toBe(said('vs'));
  });
});

describe('wildcards', () => {
  const entry = (id: string, host: string): string =>
    resource('ServiceEntry', id, `hosts: ["${host}"]\nports: [{ number: 80, name: http, protocol: HTTP }]\nresolution: DNS`);
  const services = document(entry('a', 'a.foo.com'), entry('deep', 'b.a.foo.com'), entry('top', 'foo.com'));

  it.each<readonly [statement: string, rules: readonly string[], url: string, expected: string]>([
    ['*.foo.com covers a.foo.com', [says('w', '"*.foo.com"')], 'http://a.foo.com/', said('w')],
    ['any depth below it', [says('w', '"*.foo.com"')], 'http://b.a.foo.com/', said('w')],
    ['not foo.com', [says('w', '"*.foo.com"')], 'http://foo.com/', '80||foo.com'],
    ['exact before wildcard, though younger', [says('w', '"*.foo.com"'), says('x', 'a.foo.com', '', 5)], 'http://a.foo.com/', said('x')],
    [
      'the longer wildcard, though younger',
      [says('w', '"*.foo.com"'), says('x', '"*.a.foo.com"', '', 5)],
      'http://b.a.foo.com/',
      said('x'),
    ],
    ['the shorter where the longer does not cover', [says('w', '"*.foo.com"'), says('x', '"*.a.foo.com"')], 'http://a.foo.com/', said('w')],
    ['for a host no registry knows', [says('w', '"*.foo.com"')], 'http://c.foo.com/', PASS],
    ['a wildcard that covers no service at all holds by itself', [says('w', '"*.bar.com"')], 'http://c.bar.com/', said('w')],
    ['for it too the longer wins', [says('w', '"*.bar.com"'), says('x', '"*.c.bar.com"')], 'http://d.c.bar.com/', said('x')],
  ])('%s', (_, given, url, expected) => {
    expect(fate(document(services, ...given), url)).toBe(expected);
  });

  it('of DestinationRules the most specific holds', () => {
    const lb = (id: string, host: string, simple: string): string =>
      destinationRule(id, `host: "${host}"\ntrafficPolicy: { loadBalancer: { simple: ${simple} } }`);
    const model = modelOf(
      document(services, lb('w', '*.foo.com', 'RANDOM'), lb('x', '*.a.foo.com', 'ROUND_ROBIN'), lb('y', 'a.foo.com', 'PASSTHROUGH')),
    );
    expect(model.clusters.map(({ service, loadBalancer }) => [service, loadBalancer.kind])).toEqual([
      ['a.foo.com', 'passthrough'],
      ['b.a.foo.com', 'roundRobin'],
      ['foo.com', 'leastRequest'],
    ]);
  });
});

describe('forms of a host a client may write', () => {
  it.each<readonly [form: string, from: string, expected: string]>([
    ['reviews.default.svc.cluster.local', 'default', '80||reviews'],
    ['reviews.default.svc.cluster.local.', 'default', '80||reviews'],
    ['reviews.default.svc', 'default', '80||reviews'],
    ['reviews.default', 'default', '80||reviews'],
    ['reviews', 'default', '80||reviews'],
    ['REVIEWS.Default', 'default', '80||reviews'],
    ['10.96.1.1', 'default', '80||reviews'],
    ['reviews', 'prod', PASS],
    ['reviews.default', 'prod', '80||reviews'],
    ['reviews.default.svc', 'prod', '80||reviews'],
    ['reviews.default.svc.cluster.local', 'prod', '80||reviews'],
    ['reviews.svc', 'default', PASS],
  ])('%s from %s', (form, from, expected) => {
    expect(fate(WORLD, `http://${form}/`, {}, { namespace: from })).toBe(expected);
  });

  it('the port of the Host header is not looked at', () => {
    expect(fate(WORLD, 'http://reviews/', { host: 'reviews:8123' })).toBe('80||reviews');
    expect(fate(WORLD, 'http://10.1.2.3/', { host: 'reviews.default' })).toBe('80||reviews');
  });

  it('pods of a headless service are below its names', () => {
    const yaml = document(kube('db', { spec: { clusterIP: 'None' } }), says('vs', 'db'));
    for (const host of ['db', 'db-0.db', 'db-0.db.default', 'db-0.db.default.svc.cluster.local'])
      expect(fate(yaml, `http://${host}/`)).toBe(said('vs'));
    expect(fate(WORLD, 'http://reviews-0.reviews/')).toBe(PASS);
  });

  it('on a port the service does not have, the host is unknown', () => {
    expect(fate(WORLD, 'http://reviews:81/')).toBe(PASS);
  });
});

describe('several VirtualServices for one host are not merged', () => {
  it.each<readonly [statement: string, rules: readonly string[], expected: string]>([
    ['the oldest wins', [says('young', 'reviews', '', 2), says('old', 'reviews', '', 1)], said('old')],
    ['then the name', [says('b', 'reviews'), says('a', 'reviews')], said('a')],
    [
      'then the namespace; the one of the service has no privilege',
      [says('default/x', 'reviews.default.svc.cluster.local'), says('alpha/x', 'reviews.default.svc.cluster.local')],
      said('alpha/x'),
    ],
    [
      'a younger one of the own namespace loses',
      [says('default/x', 'reviews', '', 2), says('prod/y', 'reviews.default.svc.cluster.local', '', 1)],
      said('prod/y'),
    ],
  ])('%s', (_, given, expected) => {
    expect(fate(document(WORLD, ...given), '/')).toBe(expected);
  });

  it('entirely: what the oldest does not match is 404, whatever the younger says', () => {
    const old = virtualService(
      'old',
      'hosts: [reviews]\nhttp: [{ match: [{ uri: { exact: /a } }], route: [{ destination: { host: reviews } }] }]',
    );
    expect(fate(document(WORLD, old, says('young', 'reviews', '', 3)), '/b')).toBe('refuse 404 NR');
  });

  it('explain says who won and who lost', () => {
    const { why } = ask(document(WORLD, says('young', 'reviews', '', 2), says('old', 'reviews', '', 1)), '/');
    expect(why.join('\n')).toMatch(/VirtualService default\/old governs/);
    expect(why.join('\n')).toMatch(/VirtualService default\/young is not used/);
  });
});

describe('hosts no registry knows', () => {
  it('a VirtualService for one holds on port 80', () => {
    expect(fate(document(WORLD, says('vs', 'nobody.example.com')), 'http://nobody.example.com/')).toBe(said('vs'));
  });

  it('and, unlike behind a sidecar, on any other port; explain says so', () => {
    const { why, clusters } = ask(
      document(WORLD, virtualService('vs', 'hosts: [nobody.example.com]\nhttp: [{ route: [{ destination: { host: reviews } }] }]')),
      'http://nobody.example.com:8123/',
    );
    expect(clusters.map(({ name }) => short(name))).toEqual(['80||reviews']);
    expect(why.join('\n')).toMatch(/port 80 only/);
  });

  it.each<readonly [statement: string, policy: string, expected: string]>([
    ['ALLOW_ANY is the default: it passes', '', PASS],
    ['ALLOW_ANY', meshConfig('outboundTrafficPolicy: { mode: ALLOW_ANY }'), PASS],
    ['ALLOW_ANY_DYNAMIC_DNS passes as well', meshConfig('outboundTrafficPolicy: { mode: ALLOW_ANY_DYNAMIC_DNS }'), PASS],
    ['REGISTRY_ONLY: 502', meshConfig('outboundTrafficPolicy: { mode: REGISTRY_ONLY }'), BLACK],
    ['a Sidecar decides for its workloads', resource('Sidecar', 'sc', 'outboundTrafficPolicy: { mode: REGISTRY_ONLY }'), BLACK],
    [
      'and the other way round',
      document(
        meshConfig('outboundTrafficPolicy: { mode: REGISTRY_ONLY }'),
        resource('Sidecar', 'sc', 'outboundTrafficPolicy: { mode: ALLOW_ANY }'),
      ),
      PASS,
    ],
    [
      'a Sidecar that says nothing about it leaves the mesh',
      document(meshConfig('outboundTrafficPolicy: { mode: REGISTRY_ONLY }'), resource('Sidecar', 'sc', 'egress: [{ hosts: ["./*"] }]')),
      BLACK,
    ],
  ])('%s', (_, policy, expected) => {
    expect(fate(document(WORLD, policy), 'http://unknown.example.com/')).toBe(expected);
  });

  it('passing through means no timeout, no retries and no balancing', () => {
    const found = ask(WORLD, 'http://unknown.example.com/');
    expect(found).toMatchObject({
      decision: 'route',
      timeoutMs: null,
      retries: null,
      service: null,
      clusters: [{ name: PASS, loadBalancer: null }],
    });
    expect(
      ask(document(WORLD, meshConfig('outboundTrafficPolicy: { mode: REGISTRY_ONLY }')), 'http://unknown.example.com/').clusters.map(
        ({ name }) => name,
      ),
    ).toEqual(['BlackHoleCluster']);
  });
});

describe('exportTo', () => {
  const prod: Partial<Workload> = { namespace: 'prod' };
  const FULL = 'reviews.default.svc.cluster.local';

  it.each<readonly [exportTo: string, from: string, seen: boolean]>([
    ['["."]', 'default', true],
    ['["."]', 'prod', false],
    ['["*"]', 'prod', true],
    ['[prod]', 'prod', true],
    ['[prod]', 'default', false],
    ['[".", prod]', 'default', true],
    ['[default, prod]', 'prod', true],
  ])('of a VirtualService: %s from %s', (exportTo, from, seen) => {
    expect(fate(document(WORLD, says('vs', FULL, `exportTo: ${exportTo}`)), `http://${FULL}/`, {}, { namespace: from })).toBe(
      seen ? said('vs') : '80||reviews',
    );
  });

  it.each<readonly [exportTo: string, from: string, expected: string]>([
    ['["."]', 'default', '80||api.example.com'],
    ['["."]', 'prod', PASS],
    ['["~"]', 'default', PASS],
    ['["*"]', 'prod', '80||api.example.com'],
    ['[prod]', 'default', PASS],
  ])('of a ServiceEntry: %s from %s', (exportTo, from, expected) => {
    const entry = resource(
      'ServiceEntry',
      'api',
      `hosts: [api.example.com]\nresolution: DNS\nports: [{ number: 80, name: http, protocol: HTTP }]\nexportTo: ${exportTo}`,
    );
    expect(fate(document(WORLD, entry), 'http://api.example.com/', {}, { namespace: from })).toBe(expected);
  });

  it('of a Kubernetes service: the annotation', () => {
    const yaml = kube('hidden', { annotations: { 'networking.istio.io/exportTo': '.' } });
    expect([fate(yaml, 'http://hidden.default/'), fate(yaml, 'http://hidden.default/', {}, prod)]).toEqual(['80||hidden', PASS]);
  });

  it('a destination that is not exported to the workload does not exist for it: 503 NC', () => {
    const yaml = document(
      WORLD,
      kube('secret.prod', { net: 9, annotations: { 'networking.istio.io/exportTo': '.' } }),
      virtualService('vs', 'hosts: [reviews]\nhttp: [{ route: [{ destination: { host: secret.prod.svc.cluster.local } }] }]'),
    );
    expect(fate(yaml, '/')).toBe('refuse 503 NC');
  });

  it.each<readonly [kind: string, config: string]>([
    ['services', 'defaultServiceExportTo: ["."]'],
    ['VirtualServices', 'defaultVirtualServiceExportTo: ["."]'],
  ])('defaults of the mesh for %s', (kind, config) => {
    const yaml = document(WORLD, meshConfig(config), says('vs', FULL));
    expect(fate(yaml, `http://${FULL}/`)).toBe(said('vs'));
    expect(fate(yaml, `http://${FULL}/`, {}, prod)).toBe(kind === 'services' ? said('vs') : '80||reviews');
  });

  it('the default of the mesh for DestinationRules', () => {
    const dr = destinationRule('dr', 'host: ratings\ntrafficPolicy: { loadBalancer: { simple: RANDOM } }');
    const lb = (config: string, who: Partial<Workload>) =>
      ask(document(WORLD, config, dr), 'http://ratings.default/', {}, who).clusters[0]?.loadBalancer;
    expect([
      lb('', prod),
      lb(meshConfig('defaultDestinationRuleExportTo: ["."]'), prod),
      lb(meshConfig('defaultDestinationRuleExportTo: ["."]'), {}),
    ]).toEqual(['RANDOM', 'LEAST_REQUEST', 'RANDOM']);
  });
});

describe('Sidecar', () => {
  const others = document(kube('payments.prod', { net: 8 }), kube('orders.prod', { net: 9 }));
  const sees = (egress: string, urls: readonly string[], who: Partial<Workload> = {}, more = ''): readonly boolean[] =>
    urls.map((url) => fate(document(WORLD, others, resource('Sidecar', 'sc', egress), more), url, {}, who) !== PASS);
  const urls = ['http://reviews.default/', 'http://payments.prod/', 'http://orders.prod/'];

  it.each<readonly [hosts: string, seen: readonly boolean[]]>([
    ['["*/*"]', [true, true, true]],
    ['["./*"]', [true, false, false]],
    ['["prod/*"]', [false, true, true]],
    ['["prod/payments.prod.svc.cluster.local"]', [false, true, false]],
    ['["*/payments.prod.svc.cluster.local"]', [false, true, false]],
    ['["*/*.prod.svc.cluster.local"]', [false, true, true]],
    ['["./*", "prod/orders.prod.svc.cluster.local"]', [true, false, true]],
    ['["~/*"]', [false, false, false]],
    ['["*/*", "~prod/orders.prod.svc.cluster.local"]', [true, true, false]],
    ['["*/*", "~prod/*"]', [true, false, false]],
  ])('egress hosts %s', (hosts, seen) => {
    expect(sees(`egress: [{ hosts: ${hosts} }]`, urls)).toEqual(seen);
  });

  it('without egress all that is exported is seen', () => {
    expect(sees('outboundTrafficPolicy: { mode: ALLOW_ANY }', urls)).toEqual([true, true, true]);
  });

  it('one that selects the workload before one for the namespace, before that of the root namespace', () => {
    const root = resource('Sidecar', 'istio-system/all', 'egress: [{ hosts: ["~/*"] }]');
    const home = resource('Sidecar', 'home', 'egress: [{ hosts: ["./*"] }]');
    const own = resource('Sidecar', 'own', 'workloadSelector: { labels: { app: web } }\negress: [{ hosts: ["prod/*"] }]');
    const seen = (parts: readonly string[], who: Partial<Workload>): readonly boolean[] =>
      urls.map((url) => fate(document(WORLD, others, ...parts), url, {}, who) !== PASS);
    const web = { labels: { app: 'web' } };
    expect(seen([root, home, own], web)).toEqual([false, true, true]);
    expect(seen([root, home, own], {})).toEqual([true, false, false]);
    expect(seen([root, own], {})).toEqual([false, false, false]);
    expect(seen([root, home, own], { namespace: 'prod', ...web })).toEqual([false, false, false]);
  });

  it('a VirtualService whose hosts are not imported is dropped', () => {
    const vs = says('prod/vs', 'reviews.default.svc.cluster.local');
    expect(fate(document(WORLD, vs, resource('Sidecar', 'sc', 'egress: [{ hosts: ["./*"] }]')), '/')).toBe('80||reviews');
    expect(
      fate(document(WORLD, vs, resource('Sidecar', 'sc', 'egress: [{ hosts: ["./*", "prod/reviews.default.svc.cluster.local"] }]')), '/'),
    ).toBe(said('prod/vs'));
  });

  it('one of several hosts is enough to import it whole', () => {
    const vs = says('vs', 'reviews, elsewhere.example.com');
    expect(
      fate(
        document(WORLD, vs, resource('Sidecar', 'sc', 'egress: [{ hosts: ["./reviews.default.svc.cluster.local"] }]')),
        'http://elsewhere.example.com/',
      ),
    ).toBe(said('vs'));
  });

  it('does not narrow where an imported rule may send calls', () => {
    const vs = virtualService('vs', 'hosts: [reviews]\nhttp: [{ route: [{ destination: { host: payments.prod.svc.cluster.local } }] }]');
    expect(fate(document(WORLD, others, vs, resource('Sidecar', 'sc', 'egress: [{ hosts: ["./*"] }]')), '/')).toBe('80||payments.prod');
  });
});

describe('the port of a destination', () => {
  const to = (destination: string, port = 80): string =>
    fate(
      document(WORLD, virtualService('vs', `hosts: [multi]\nhttp: [{ route: [{ destination: ${destination} }] }]`)),
      `http://multi:${port}/`,
    );
  it.each<readonly [statement: string, destination: string, port: number, expected: string]>([
    ['the one named', '{ host: multi, port: { number: 81 } }', 80, '81||multi'],
    ['else the only one of the service', '{ host: ratings }', 81, '80||ratings'],
    ['else the one addressed', '{ host: multi }', 81, '81||multi'],
    ['one the service does not have: no such cluster', '{ host: multi, port: { number: 99 } }', 80, 'refuse 503 NC'],
  ])('%s', (_, destination, port, expected) => {
    expect(to(destination, port)).toBe(expected);
  });
});

describe('ServiceEntry', () => {
  const entry = (spec: string): string => resource('ServiceEntry', 'se', spec);
  const addresses = (spec: string, url: string, more = ''): readonly string[] =>
    ask(document(entry(spec), more), url).clusters.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));

  it('targetPort is dialled instead of the number; a port of the endpoint beats it', () => {
    const spec = (endpoint: string): string =>
      `hosts: [x.com]\nresolution: STATIC\nports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }]\nendpoints: [${endpoint}]`;
    expect(addresses(spec('{ address: 1.2.3.4 }'), 'http://x.com/')).toEqual(['1.2.3.4:8080']);
    expect(addresses(spec('{ address: 1.2.3.4, ports: { http: 9 } }'), 'http://x.com/')).toEqual(['1.2.3.4:9']);
  });

  it('without targetPort the number is dialled', () => {
    expect(
      addresses(
        'hosts: [x.com]\nresolution: STATIC\nports: [{ number: 80, name: http, protocol: HTTP }]\nendpoints: [{ address: 1.2.3.4 }]',
        'http://x.com/',
      ),
    ).toEqual(['1.2.3.4:80']);
  });

  it('an endpoint may be a unix socket', () => {
    expect(
      addresses(
        'hosts: [x.com]\nresolution: STATIC\nports: [{ number: 80, name: http, protocol: HTTP }]\nendpoints: [{ address: "unix:///run/x.sock" }]',
        'http://x.com/',
      ),
    ).toEqual(['unix:///run/x.sock']);
  });

  it('a workloadSelector takes WorkloadEntries of its namespace', () => {
    const workloads = document(
      resource('WorkloadEntry', 'vm1', 'address: 10.0.0.1\nlabels: { app: x }\nlocality: eu/a/1\nweight: 3'),
      resource('WorkloadEntry', 'vm2', 'address: 10.0.0.2\nlabels: { app: y }'),
      resource('WorkloadEntry', 'prod/vm3', 'address: 10.0.0.3\nlabels: { app: x }'),
    );
    const yaml = document(
      entry(
        'hosts: [x.com]\nresolution: STATIC\nports: [{ number: 80, name: http, protocol: HTTP }]\nworkloadSelector: { labels: { app: x } }',
      ),
      workloads,
    );
    const found = ask(yaml, 'http://x.com/').clusters[0]?.endpoints;
    expect(found).toEqual([{ address: '10.0.0.1:80', labels: { app: 'x' }, locality: 'eu/a/1' }]);
    expect(modelOf(yaml).services[0]?.endpoints[0]?.weight).toBe(3);
  });

  it.each<readonly [resolution: string, expected: string]>([
    ['NONE', 'none'],
    ['STATIC', 'static'],
    ['DNS', 'dns'],
    ['DNS_ROUND_ROBIN', 'dnsRoundRobin'],
  ])('resolution %s', (word, expected) => {
    expect(
      modelOf(entry(`hosts: [x.com]\nresolution: ${word}\nports: [{ number: 80, name: http, protocol: HTTP }]`)).services[0]?.resolution,
    ).toBe(expected);
  });

  it('defaults: outside the mesh, resolution NONE, which passes calls to the address asked for', () => {
    const model = modelOf(entry('hosts: [x.com]\nports: [{ number: 80, name: http, protocol: HTTP }]'));
    expect(model.services[0]).toMatchObject({ location: 'external', resolution: 'none' });
    expect(model.clusters[0]?.loadBalancer).toEqual({ kind: 'passthrough' });
  });

  it('addresses are names of the service', () => {
    expect(
      fate(
        entry('hosts: [x.com]\naddresses: [240.1.2.3]\nresolution: DNS\nports: [{ number: 80, name: http, protocol: HTTP }]'),
        'http://240.1.2.3/',
      ),
    ).toBe('80||x.com');
  });

  it('wildcard hosts are served', () => {
    const wild = entry('hosts: ["*.wild.com"]\nresolution: DYNAMIC_DNS\nports: [{ number: 80, name: http, protocol: HTTP }]');
    expect([fate(wild, 'http://a.b.wild.com/'), fate(wild, 'http://wild.com/')]).toEqual(['80||*.wild.com', PASS]);
  });
});
