import { describe, expect, it } from 'vitest';
import { destinationRule, document, meshConfig, problemsOf, resource, virtualService } from './world.ts';

/** What is refused, and what is only remarked on: pkg/config/validation of Istio, the CRD rules of the Gateway API. */

type Severity = 'error' | 'warning' | 'info' | 'ok';
type Row = readonly [statement: string, yaml: string, path: string, severity: Severity];

/** The worst that is said of a path or below it. */
function verdict(yaml: string, path: string): Severity {
  const found = problemsOf(yaml).filter(
    (problem) => problem.path === path || problem.path.startsWith(`${path}.`) || problem.path.startsWith(`${path}[`),
  );
  for (const severity of ['error', 'warning', 'info'] as const) if (found.some((problem) => problem.severity === severity)) return severity;
  return 'ok';
}

const check = (_: string, yaml: string, path: string, severity: Severity): void => {
  const seen = verdict(yaml, path);
  expect(seen, JSON.stringify(problemsOf(yaml), null, 1)).toBe(severity);
  // What is not an error must not keep the document from being used.
  if (severity !== 'error') expect(problemsOf(yaml).filter((problem) => problem.severity === 'error')).toEqual([]);
};

const to = 'route: [{ destination: { host: reviews } }]';
const vs = (rule: string): string => virtualService('v', `hosts: [reviews]\nhttp: [{ ${rule} }]`);
const match = (condition: string): string => vs(`match: [{ ${condition} }], ${to}`);
const M = 'spec.http[0].match[0]';
const R = 'spec.http[0]';

describe('VirtualService', () => {
  it.each<Row>([
    ['a redirect excludes route', vs(`redirect: { uri: / }, ${to}`), `${R}.route`, 'error'],
    [
      'a redirect excludes fault',
      vs('redirect: { uri: / }, fault: { abort: { httpStatus: 500, percentage: { value: 1 } } }'),
      `${R}.fault`,
      'error',
    ],
    ['a redirect excludes rewrite', vs('redirect: { uri: / }, rewrite: { uri: / }'), `${R}.rewrite`, 'error'],
    ['a redirect excludes directResponse', vs('redirect: { uri: / }, directResponse: { status: 200 }'), `${R}.directResponse`, 'error'],
    ['a directResponse excludes route', vs(`directResponse: { status: 200 }, ${to}`), `${R}.route`, 'error'],
    [
      'a directResponse excludes fault',
      vs('directResponse: { status: 200 }, fault: { abort: { httpStatus: 500, percentage: { value: 1 } } }'),
      `${R}.fault`,
      'error',
    ],
    ['a directResponse excludes rewrite', vs('directResponse: { status: 200 }, rewrite: { uri: / }'), `${R}.rewrite`, 'error'],
    ['one of route, redirect, directResponse, delegate', vs('timeout: 1s'), `${R}.route`, 'error'],
    ['a delegate excludes route', vs(`delegate: { name: d }, ${to}`), `${R}.route`, 'error'],
    ['a delegate excludes redirect', vs('delegate: { name: d }, redirect: { uri: / }'), `${R}.redirect`, 'error'],
    ['mirror excludes mirrors', vs(`${to}, mirror: { host: a }, mirrors: [{ destination: { host: b } }]`), `${R}.mirrors`, 'error'],

    ['attempts below 0', vs(`${to}, retries: { attempts: -1 }`), `${R}.retries.attempts`, 'error'],
    ['attempts 0', vs(`${to}, retries: { attempts: 0 }`), `${R}.retries`, 'ok'],
    ['attempts 0 with perTryTimeout', vs(`${to}, retries: { attempts: 0, perTryTimeout: 1s }`), `${R}.retries.perTryTimeout`, 'error'],
    ['attempts 0 with retryOn', vs(`${to}, retries: { attempts: 0, retryOn: 5xx }`), `${R}.retries.retryOn`, 'error'],
    [
      'attempts 0 with retryRemoteLocalities',
      vs(`${to}, retries: { attempts: 0, retryRemoteLocalities: true }`),
      `${R}.retries.retryRemoteLocalities`,
      'error',
    ],
    ['perTryTimeout below 1 ms', vs(`${to}, retries: { attempts: 1, perTryTimeout: 0.5ms }`), `${R}.retries.perTryTimeout`, 'error'],
    ['perTryTimeout of 1 ms', vs(`${to}, retries: { attempts: 1, perTryTimeout: 1ms }`), `${R}.retries.perTryTimeout`, 'ok'],
    ['a word that is no condition', vs(`${to}, retries: { attempts: 1, retryOn: "5xx,sometimes" }`), `${R}.retries.retryOn`, 'error'],
    ['a number that is no status', vs(`${to}, retries: { attempts: 1, retryOn: "999" }`), `${R}.retries.retryOn`, 'error'],
    ...[
      '5xx',
      'gateway-error',
      'reset',
      'reset-before-request',
      'connect-failure',
      'retriable-4xx',
      'refused-stream',
      'retriable-status-codes',
      'retriable-headers',
      'envoy-ratelimited',
      'http3-post-connect-failure',
      'cancelled',
      'deadline-exceeded',
      'internal',
      'resource-exhausted',
      'unavailable',
      '503',
    ].map((word): Row => [`condition ${word}`, vs(`${to}, retries: { attempts: 1, retryOn: "${word}" }`), `${R}.retries`, 'ok']),

    ['directResponse below 200', vs('directResponse: { status: 199 }'), `${R}.directResponse.status`, 'error'],
    ['directResponse above 599', vs('directResponse: { status: 600 }'), `${R}.directResponse.status`, 'error'],
    ['directResponse of 200', vs('directResponse: { status: 200 }'), `${R}.directResponse`, 'ok'],
    ['directResponse of 599', vs('directResponse: { status: 599 }'), `${R}.directResponse`, 'ok'],
    [
      'a body of more than 1 MB',
      vs(`directResponse: { status: 200, body: { string: "${'x'.repeat(1_048_577)}" } }`),
      `${R}.directResponse.body`,
      'error',
    ],
    [
      'a body of more than 100 KB',
      vs(`directResponse: { status: 200, body: { string: "${'x'.repeat(102_401)}" } }`),
      `${R}.directResponse.body`,
      'warning',
    ],
    ['a fault of nothing', vs(`${to}, fault: {}`), `${R}.fault`, 'error'],
    [
      'a delay below 1 ms',
      vs(`${to}, fault: { delay: { fixedDelay: 0.1ms, percentage: { value: 1 } } }`),
      `${R}.fault.delay.fixedDelay`,
      'error',
    ],
    [
      'a percentage above 100',
      vs(`${to}, fault: { abort: { httpStatus: 500, percentage: { value: 101 } } }`),
      `${R}.fault.abort.percentage`,
      'error',
    ],
    [
      'a percentage below 0',
      vs(`${to}, fault: { abort: { httpStatus: 500, percentage: { value: -1 } } }`),
      `${R}.fault.abort.percentage`,
      'error',
    ],
    [
      'a mirror percentage above 100',
      vs(`${to}, mirror: { host: a }, mirrorPercentage: { value: 100.1 }`),
      `${R}.mirrorPercentage`,
      'error',
    ],
    ['a fault without percentage, which injects nothing', vs(`${to}, fault: { abort: { httpStatus: 500 } }`), `${R}.fault`, 'warning'],
    [
      'a gRPC status that is none',
      vs(`${to}, fault: { abort: { grpcStatus: NOPE, percentage: { value: 1 } } }`),
      `${R}.fault.abort.grpcStatus`,
      'error',
    ],

    ['a rewrite of nothing', vs(`${to}, rewrite: {}`), `${R}.rewrite`, 'error'],
    ['uri with uriRegexRewrite', vs(`${to}, rewrite: { uri: /a, uriRegexRewrite: { match: a, rewrite: b } }`), `${R}.rewrite`, 'error'],
    ['redirect: uri with prefixRewrite', vs('redirect: { uri: /a, prefixRewrite: /b }'), `${R}.redirect.prefixRewrite`, 'error'],
    [
      'redirect: port with derivePort',
      vs('redirect: { uri: /a, port: 80, derivePort: FROM_REQUEST_PORT }'),
      `${R}.redirect.derivePort`,
      'error',
    ],
    ['several weights whose total is 0', vs('route: [{ destination: { host: a } }, { destination: { host: b } }]'), `${R}.route`, 'error'],
    ['a negative weight', vs('route: [{ destination: { host: a }, weight: -1 }]'), `${R}.route[0].weight`, 'error'],
    [
      'weights whose sum is not 100',
      vs('route: [{ destination: { host: a }, weight: 1 }, { destination: { host: b }, weight: 2 }]'),
      `${R}.route[0].weight`,
      'ok',
    ],

    ['hosts that are the same', virtualService('v', `hosts: [a.com, a.com]\nhttp: [{ ${to} }]`), 'spec.hosts[1]', 'error'],
    ['hosts that overlap', virtualService('v', `hosts: ["*.a.com", x.a.com]\nhttp: [{ ${to} }]`), 'spec.hosts[1]', 'error'],
    ['host * on the mesh', virtualService('v', `hosts: ["*"]\nhttp: [{ ${to} }]`), 'spec.hosts[0]', 'error'],
    ['host * on a gateway', virtualService('v', `hosts: ["*"]\ngateways: [edge]\nhttp: [{ ${to} }]`), 'spec.hosts[0]', 'ok'],
    ['no hosts, but gateways', virtualService('v', `gateways: [mesh]\nhttp: [{ ${to} }]`), 'spec.gateways', 'error'],
    ['no hosts, but tcp', virtualService('v', `http: [{ ${to} }]\ntcp: [{ ${to} }]`), 'spec.tcp', 'error'],
    ['no hosts, but tls', virtualService('v', `http: [{ ${to} }]\ntls: [{ match: [{ sniHosts: [a.com] }], ${to} }]`), 'spec.tls', 'error'],
    ['no hosts: a delegate', virtualService('v', `http: [{ ${to} }]`), 'spec', 'ok'],
    ['a delegate that delegates', virtualService('v', 'http: [{ delegate: { name: x } }]'), `${R}.delegate`, 'error'],

    ['an empty prefix of a header', match('headers: { x: { prefix: "" } }'), `${M}.headers.x`, 'error'],
    ['of a query parameter', match('queryParams: { x: { prefix: "" } }'), `${M}.queryParams.x`, 'error'],
    ['of the scheme', match('scheme: { prefix: "" }'), `${M}.scheme`, 'error'],
    ['of the method', match('method: { prefix: "" }'), `${M}.method`, 'error'],
    ['of the authority', match('authority: { prefix: "" }'), `${M}.authority`, 'error'],
    ['but of the uri it is valid', match('uri: { prefix: "" }'), `${M}.uri`, 'ok'],
    ['two kinds of one match', match('uri: { prefix: /a, exact: /b }'), `${M}.uri`, 'error'],
    ['look-ahead', match('uri: { regex: "/(?=a)" }'), `${M}.uri`, 'error'],
    ['look-behind', match('headers: { x: { regex: "(?<=a)b" } }'), `${M}.headers.x`, 'error'],
    ['a reference back', match('uri: { regex: "(a)\\\\1" }'), `${M}.uri`, 'error'],
    ['a regex that is none', match('uri: { regex: "(" }'), `${M}.uri`, 'error'],
    ['the regex * is presence', match('headers: { x: { regex: "*" } }'), `${M}.headers.x`, 'ok'],
    ['JWT claims on the mesh', match('headers: { "@request.auth.claims.group": { exact: a } }'), `${M}.headers`, 'error'],
    ['ignoreUriCase on a regex', match('uri: { regex: /a }, ignoreUriCase: true'), `${M}.ignoreUriCase`, 'warning'],
    ['gateways that switch sourceLabels off', match('gateways: [mesh], sourceLabels: { a: b }'), `${M}.sourceLabels`, 'warning'],

    ['tls without match', virtualService('v', `hosts: [a.com]\ntls: [{ ${to} }]`), 'spec.tls[0].match', 'error'],
    [
      'sniHosts that are no host of the resource',
      virtualService('v', `hosts: [a.com]\ntls: [{ match: [{ sniHosts: [b.com] }], ${to} }]`),
      'spec.tls[0].match[0].sniHosts[0]',
      'error',
    ],
    [
      'sniHosts that are covered',
      virtualService('v', `hosts: ["*.a.com"]\ntls: [{ match: [{ sniHosts: [x.a.com] }], ${to} }]`),
      'spec.tls[0].match[0].sniHosts',
      'ok',
    ],
    ['a cors policy', vs(`${to}, corsPolicy: { allowMethods: [GET] }`), `${R}.corsPolicy`, 'ok'],
    ['a statPrefix is listed as not honoured', match('statPrefix: x'), `${M}.statPrefix`, 'info'],
    ['a deprecated mirrorPercent', vs(`${to}, mirror: { host: a }, mirrorPercent: 5`), `${R}.mirrorPercent`, 'warning'],
    [
      'a deprecated percent of a delay',
      vs(`${to}, fault: { delay: { fixedDelay: 1s, percent: 5 } }`),
      `${R}.fault.delay.percent`,
      'warning',
    ],
    ['an unknown field', vs(`${to}, tiemout: 1s`), `${R}.tiemout`, 'error'],
    ['a duration that is none', vs(`${to}, timeout: soon`), `${R}.timeout`, 'error'],
    ['a status that is no redirect', vs('redirect: { uri: /a, redirectCode: 200 }'), `${R}.redirect.redirectCode`, 'error'],
  ])('%s', check);
});

describe('DestinationRule', () => {
  const dr = (policy: string): string => destinationRule('d', `host: a.com\ntrafficPolicy: { ${policy} }`);
  const T = 'spec.trafficPolicy';
  const lb = (fields: string): string => dr(`loadBalancer: { ${fields} }`);
  const locality = (fields: string): string => dr(`outlierDetection: {}, loadBalancer: { localityLbSetting: { ${fields} } }`);
  const L = `${T}.loadBalancer.localityLbSetting`;

  it.each<Row>([
    ['an empty traffic policy', destinationRule('d', 'host: a.com\ntrafficPolicy: {}'), T, 'error'],
    ['no traffic policy', destinationRule('d', 'host: a.com'), T, 'ok'],
    ['no host', destinationRule('d', 'trafficPolicy: { outlierDetection: {} }'), 'spec.host', 'error'],
    [
      'a subset name that is no label',
      destinationRule('d', 'host: a.com\nsubsets: [{ name: V_1, labels: { a: b } }]'),
      'spec.subsets[0].name',
      'error',
    ],
    [
      'two subsets of one name',
      destinationRule('d', 'host: a.com\nsubsets: [{ name: a, labels: { a: b } }, { name: a, labels: { a: c } }]'),
      'spec.subsets[1].name',
      'error',
    ],
    ['exportTo * beside others', destinationRule('d', 'host: a.com\nexportTo: ["*", prod]'), 'spec.exportTo', 'error'],
    ['exportTo ~', destinationRule('d', 'host: a.com\nexportTo: ["~"]'), 'spec.exportTo', 'error'],
    [
      'a workloadSelector exported elsewhere',
      destinationRule('d', 'host: a.com\nworkloadSelector: { matchLabels: { a: b } }\nexportTo: ["*"]'),
      'spec.exportTo',
      'error',
    ],
    [
      'a workloadSelector exported at home',
      destinationRule('d', 'host: a.com\nworkloadSelector: { matchLabels: { a: b } }\nexportTo: ["."]'),
      'spec.exportTo',
      'ok',
    ],
    [
      'more than 4096 ports',
      dr(
        `portLevelSettings: [${Array.from({ length: 4097 }, (_, port) => `{ port: { number: ${port + 1} }, outlierDetection: {} }`).join(', ')}]`,
      ),
      `${T}.portLevelSettings`,
      'error',
    ],
    ['tunnel and proxyProtocol', dr('tunnel: { targetHost: a, targetPort: 1 }, proxyProtocol: { version: V1 }'), T, 'error'],
    ['tunnel is listed as not honoured', dr('tunnel: { targetHost: a, targetPort: 1 }'), `${T}.tunnel`, 'info'],

    ['consistentHash and simple', lb('simple: RANDOM, consistentHash: { httpHeaderName: x }'), `${T}.loadBalancer.simple`, 'error'],
    ['two keys', lb('consistentHash: { httpHeaderName: x, useSourceIp: true }'), `${T}.loadBalancer.consistentHash`, 'error'],
    ['no key', lb('consistentHash: { ringHash: {} }'), `${T}.loadBalancer.consistentHash`, 'error'],
    [
      'a Maglev table that is no prime',
      lb('consistentHash: { httpHeaderName: x, maglev: { tableSize: 1000 } }'),
      `${T}.loadBalancer.consistentHash.maglev.tableSize`,
      'error',
    ],
    [
      'a Maglev table of 5000011',
      lb('consistentHash: { httpHeaderName: x, maglev: { tableSize: 5000011 } }'),
      `${T}.loadBalancer.consistentHash.maglev.tableSize`,
      'error',
    ],
    ['a Maglev table of 65537', lb('consistentHash: { httpHeaderName: x, maglev: { tableSize: 65537 } }'), T, 'ok'],
    ['LEAST_CONN is deprecated', lb('simple: LEAST_CONN'), `${T}.loadBalancer.simple`, 'warning'],
    [
      'a deprecated minimumRingSize',
      lb('consistentHash: { httpHeaderName: x, minimumRingSize: 5 }'),
      `${T}.loadBalancer.consistentHash.minimumRingSize`,
      'warning',
    ],
    [
      'a deprecated warmupDurationSecs',
      lb('simple: ROUND_ROBIN, warmupDurationSecs: 5s'),
      `${T}.loadBalancer.warmupDurationSecs`,
      'warning',
    ],
    ['warmup without duration', lb('simple: ROUND_ROBIN, warmup: { aggression: 1 }'), `${T}.loadBalancer.warmup`, 'error'],
    ['warmup of RANDOM', lb('simple: RANDOM, warmup: { duration: 1s }'), `${T}.loadBalancer.warmup`, 'error'],
    ['warmup of LEAST_REQUEST', lb('simple: LEAST_REQUEST, warmup: { duration: 1s }'), T, 'ok'],

    ['distribute of 90 %', locality('distribute: [{ from: a, to: { b: 90 } }]'), `${L}.distribute`, 'error'],
    ['distribute of 110 %', locality('distribute: [{ from: a, to: { b: 60, c: 50 } }]'), `${L}.distribute`, 'error'],
    ['distribute of exactly 100 %', locality('distribute: [{ from: a, to: { b: 60, c: 40 } }]'), L, 'ok'],
    ['a weight of 0', locality('distribute: [{ from: a, to: { b: 100, c: 0 } }]'), `${L}.distribute`, 'error'],
    ['distribute and failover', locality('distribute: [{ from: a, to: { b: 100 } }], failover: [{ from: a, to: b }]'), L, 'error'],
    ['distribute and failoverPriority', locality('distribute: [{ from: a, to: { b: 100 } }], failoverPriority: [x]'), L, 'error'],
    ['failover to itself', locality('failover: [{ from: a, to: a }]'), `${L}.failover`, 'error'],
    ['failover without outlierDetection is remarked on only', lb('localityLbSetting: { failover: [{ from: a, to: b }] }'), T, 'warning'],
    [
      'failoverPriority of zoneAware may not name a zone',
      lb('zoneAwareLbSetting: { enabled: true, failoverPriority: ["topology.kubernetes.io/zone"] }'),
      `${T}.loadBalancer.zoneAwareLbSetting.failoverPriority`,
      'error',
    ],

    [
      'local failures without split',
      dr('outlierDetection: { consecutiveLocalOriginFailures: 3 }'),
      `${T}.outlierDetection.consecutiveLocalOriginFailures`,
      'error',
    ],
    [
      'local failures with split',
      dr('outlierDetection: { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3 }'),
      T,
      'ok',
    ],
    ['maxEjectionPercent of 101', dr('outlierDetection: { maxEjectionPercent: 101 }'), `${T}.outlierDetection.maxEjectionPercent`, 'error'],
    ['minHealthPercent of -1', dr('outlierDetection: { minHealthPercent: -1 }'), `${T}.outlierDetection.minHealthPercent`, 'error'],
    [
      'codes from 100 to 599',
      dr('outlierDetection: { outlierDetectionHttpErrorCodes: [99] }'),
      `${T}.outlierDetection.outlierDetectionHttpErrorCodes`,
      'error',
    ],
    ['codes up to 599', dr('outlierDetection: { outlierDetectionHttpErrorCodes: [100, 599] }'), T, 'ok'],
    [
      'the deprecated consecutiveErrors',
      dr('outlierDetection: { consecutiveErrors: 3 }'),
      `${T}.outlierDetection.consecutiveErrors`,
      'warning',
    ],
    [
      'http2KeepAlive needs both',
      dr('connectionPool: { http: { http2KeepAlive: { interval: 1s } } }'),
      `${T}.connectionPool.http.http2KeepAlive`,
      'error',
    ],
    [
      'useClientProtocol beside an upgrade',
      dr('connectionPool: { http: { useClientProtocol: true, h2UpgradePolicy: UPGRADE } }'),
      `${T}.connectionPool.http.useClientProtocol`,
      'warning',
    ],
    ['MUTUAL without a certificate', dr('tls: { mode: MUTUAL }'), `${T}.tls`, 'error'],
    ['credentialName is listed as not honoured', dr('tls: { mode: SIMPLE, credentialName: c }'), `${T}.tls`, 'info'],
  ])('%s', check);
});

describe('ServiceEntry', () => {
  const se = (spec: string): string => resource('ServiceEntry', 's', spec);
  const PORT = 'ports: [{ number: 80, name: http, protocol: HTTP }]';
  it.each<Row>([
    ['no hosts', se(PORT), 'spec.hosts', 'error'],
    [
      'more than 256 hosts',
      se(`hosts: [${Array.from({ length: 257 }, (_, index) => `h${index}.com`).join(', ')}]\n${PORT}`),
      'spec.hosts',
      'error',
    ],
    ['host *', se(`hosts: ["*"]\n${PORT}`), 'spec.hosts', 'error'],
    [
      'two ports of one name',
      se('hosts: [a.com]\nports: [{ number: 80, name: http, protocol: HTTP }, { number: 81, name: http, protocol: HTTP }]'),
      'spec.ports',
      'error',
    ],
    [
      'two ports of one number',
      se('hosts: [a.com]\nports: [{ number: 80, name: a, protocol: HTTP }, { number: 80, name: b, protocol: HTTP }]'),
      'spec.ports',
      'error',
    ],
    ['DNS of a wildcard without endpoints', se(`hosts: ["*.a.com"]\nresolution: DNS\n${PORT}`), 'spec.hosts[0]', 'error'],
    [
      'DNS_ROUND_ROBIN of two endpoints',
      se(`hosts: [a.com]\nresolution: DNS_ROUND_ROBIN\n${PORT}\nendpoints: [{ address: x.com }, { address: y.com }]`),
      'spec.endpoints',
      'error',
    ],
    ['NONE with endpoints', se(`hosts: [a.com]\nresolution: NONE\n${PORT}\nendpoints: [{ address: 1.2.3.4 }]`), 'spec.endpoints', 'error'],
    ['DYNAMIC_DNS of a plain host', se(`hosts: [a.com]\nresolution: DYNAMIC_DNS\n${PORT}`), 'spec.hosts[0]', 'error'],
    [
      'DYNAMIC_DNS with endpoints',
      se(`hosts: ["*.a.com"]\nresolution: DYNAMIC_DNS\n${PORT}\nendpoints: [{ address: 1.2.3.4 }]`),
      'spec.endpoints',
      'error',
    ],
    [
      'DYNAMIC_DNS with addresses',
      se(`hosts: ["*.a.com"]\nresolution: DYNAMIC_DNS\n${PORT}\naddresses: [1.2.3.4]`),
      'spec.addresses',
      'error',
    ],
    [
      'DYNAMIC_DNS on a port of another protocol',
      se('hosts: ["*.a.com"]\nresolution: DYNAMIC_DNS\nports: [{ number: 27017, name: m, protocol: MONGO }]'),
      'spec.ports[0]',
      'error',
    ],
    [
      'endpoints and workloadSelector',
      se(`hosts: [a.com]\nresolution: STATIC\n${PORT}\nendpoints: [{ address: 1.2.3.4 }]\nworkloadSelector: { labels: { a: b } }`),
      'spec',
      'error',
    ],
    ['exportTo ~', se(`hosts: [a.com]\nresolution: DNS\n${PORT}\nexportTo: ["~"]`), 'spec.exportTo', 'ok'],
    [
      'STATIC of a name',
      se(`hosts: [a.com]\nresolution: STATIC\n${PORT}\nendpoints: [{ address: x.com }]`),
      'spec.endpoints[0].address',
      'error',
    ],
  ])('%s', check);
});

describe('Sidecar and MeshConfig', () => {
  it.each<Row>([
    ['egress hosts need a namespace', resource('Sidecar', 's', 'egress: [{ hosts: [reviews] }]'), 'spec.egress[0].hosts[0]', 'error'],
    ['~ means nobody: only ~/*', resource('Sidecar', 's', 'egress: [{ hosts: ["~/a.com"] }]'), 'spec.egress[0].hosts[0]', 'error'],
    ['~namespace/host takes away', resource('Sidecar', 's', 'egress: [{ hosts: ["*/*", "~prod/*"] }]'), 'spec.egress', 'ok'],
    [
      'ingress is listed as not honoured',
      resource('Sidecar', 's', 'ingress: [{ port: { number: 80, name: http, protocol: HTTP }, defaultEndpoint: "127.0.0.1:80" }]'),
      'spec.ingress',
      'info',
    ],
    [
      'a mode of outboundTrafficPolicy that is none',
      meshConfig('outboundTrafficPolicy: { mode: MAYBE }'),
      'spec.outboundTrafficPolicy.mode',
      'error',
    ],
    ['ALLOW_ANY_DYNAMIC_DNS is for the mesh', meshConfig('outboundTrafficPolicy: { mode: ALLOW_ANY_DYNAMIC_DNS }'), 'spec', 'ok'],
    [
      'not for a Sidecar',
      resource('Sidecar', 's', 'outboundTrafficPolicy: { mode: ALLOW_ANY_DYNAMIC_DNS }'),
      'spec.outboundTrafficPolicy.mode',
      'error',
    ],
  ])('%s', check);
});

describe('HTTPRoute', () => {
  const P = 'parentRefs: [{ group: "", kind: Service, name: reviews }]';
  const route = (rule: string): string => resource('HTTPRoute', 'r', `${P}\nrules: [{ ${rule} }]`);
  const back = 'backendRefs: [{ name: ratings, port: 80 }]';
  const many = (count: number, item: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => item(index)).join(', ');
  const R1 = 'spec.rules[0]';
  it.each<Row>([
    ['more than 16 rules', resource('HTTPRoute', 'r', `${P}\nrules: [${many(17, () => `{ ${back} }`)}]`), 'spec.rules', 'error'],
    [
      'more than 64 matches of a rule',
      route(`matches: [${many(65, (index) => `{ path: { value: /a${index} } }`)}], ${back}`),
      `${R1}.matches`,
      'error',
    ],
    [
      'more than 128 matches in all',
      resource(
        'HTTPRoute',
        'r',
        `${P}\nrules: [${many(3, () => `{ matches: [${many(43, (index) => `{ path: { value: /a${index} } }`)}], ${back} }`)}]`,
      ),
      'spec.rules',
      'error',
    ],
    [
      'more than 16 headers',
      route(`matches: [{ headers: [${many(17, (index) => `{ name: h${index}, value: x }`)}] }], ${back}`),
      `${R1}.matches[0].headers`,
      'error',
    ],
    [
      'more than 16 parameters',
      route(`matches: [{ queryParams: [${many(17, (index) => `{ name: h${index}, value: x }`)}] }], ${back}`),
      `${R1}.matches[0].queryParams`,
      'error',
    ],
    [
      'more than 16 backends',
      route(`backendRefs: [${many(17, (index) => `{ name: b${index}, port: 80 }`)}]`),
      `${R1}.backendRefs`,
      'error',
    ],
    [
      'more than 16 filters',
      route(`filters: [${many(17, () => '{ type: RequestMirror, requestMirror: { backendRef: { name: a, port: 80 } } }')}], ${back}`),
      `${R1}.filters`,
      'error',
    ],
    [
      'two rules of one name',
      resource('HTTPRoute', 'r', `${P}\nrules: [{ name: a, ${back} }, { name: a, ${back} }]`),
      'spec.rules[1].name',
      'error',
    ],
    ['a weight above a million', route('backendRefs: [{ name: a, port: 80, weight: 1000001 }]'), `${R1}.backendRefs[0].weight`, 'error'],
    [
      'a redirect of another status',
      route('filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 304 } }]'),
      `${R1}.filters[0]`,
      'error',
    ],
    [
      'a redirect with backends',
      route(`filters: [{ type: RequestRedirect, requestRedirect: { hostname: a.com } }], ${back}`),
      `${R1}.backendRefs`,
      'error',
    ],
    ['a filter without its field', route(`filters: [{ type: URLRewrite }], ${back}`), `${R1}.filters[0]`, 'error'],
    [
      "a filter with another's field",
      route(`filters: [{ type: URLRewrite, urlRewrite: { hostname: a.com }, requestRedirect: { hostname: a.com } }], ${back}`),
      `${R1}.filters[0]`,
      'error',
    ],
    ['backendRequest longer than request', route(`timeouts: { request: 1s, backendRequest: 2s }, ${back}`), `${R1}.timeouts`, 'error'],
    ['a duration that is not of GEP-2257', route(`timeouts: { request: 1.5s }, ${back}`), `${R1}.timeouts`, 'error'],
    ['codes below 400', route(`retry: { codes: [399] }, ${back}`), `${R1}.retry`, 'error'],
    ['no attempts', route(`retry: { attempts: 0 }, ${back}`), `${R1}.retry.attempts`, 'error'],
    ['a Service without a port', route('backendRefs: [{ name: a }]'), `${R1}.backendRefs[0].port`, 'error'],
    [
      'percent and fraction',
      route(
        `filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: a, port: 80 }, percent: 1, fraction: { numerator: 1 } } }], ${back}`,
      ),
      `${R1}.filters[0]`,
      'error',
    ],
    [
      'sessionPersistence is listed as not honoured',
      route(`sessionPersistence: { type: Cookie, cookie: { name: a } }, ${back}`),
      `${R1}.sessionPersistence`,
      'info',
    ],
    [
      'sessionPersistence of type Cookie needs cookie',
      route(`sessionPersistence: { type: Cookie }, ${back}`),
      `${R1}.sessionPersistence`,
      'error',
    ],
    ['of type Header needs header', route(`sessionPersistence: { type: Header }, ${back}`), `${R1}.sessionPersistence`, 'error'],
    [
      'in older releases sessionName',
      route(`sessionPersistence: { sessionName: a, type: Header }, ${back}`),
      `${R1}.sessionPersistence`,
      'info',
    ],
    [
      'a permanent cookie needs absoluteTimeout',
      route(`sessionPersistence: { type: Cookie, cookie: { name: a, lifetimeType: Permanent } }, ${back}`),
      `${R1}.sessionPersistence`,
      'error',
    ],
    ['a CORS filter', route(`filters: [{ type: CORS, cors: { allowOrigins: ["https://a.com"] } }], ${back}`), `${R1}.filters[0]`, 'ok'],
    ['look-ahead', route(`matches: [{ path: { type: RegularExpression, value: "/(?=a)" } }], ${back}`), `${R1}.matches[0].path`, 'error'],
    [
      'more than five subjectAltNames',
      resource(
        'BackendTLSPolicy',
        'p',
        `targetRefs: [{ group: "", kind: Service, name: a }]\nvalidation: { hostname: a.com, wellKnownCACertificates: System, subjectAltNames: [${many(6, (index) => `{ type: Hostname, hostname: h${index}.com }`)}] }`,
      ),
      'spec.validation.subjectAltNames',
      'error',
    ],
  ])('%s', check);
});

describe('reports', () => {
  it('lists every problem at once, each with its place', () => {
    const yaml = document(
      virtualService(
        'v',
        'hosts: [reviews]\nhttp:\n- timeout: soon\n  tiemout: 1s\n  retries: { attempts: -1 }\n  route: [{ destination: { host: a }, weight: -5 }]',
      ),
      destinationRule('d', 'host: a.com\ntrafficPolicy: { loadBalancer: { simple: FASTEST } }'),
    );
    const found = problemsOf(yaml).filter(({ severity }) => severity === 'error');
    expect(found.map(({ path }) => path).toSorted()).toEqual([
      'spec.http[0].retries.attempts',
      'spec.http[0].route[0].weight',
      'spec.http[0].tiemout',
      'spec.http[0].timeout',
      'spec.trafficPolicy.loadBalancer.simple',
    ]);
    const lines = yaml.split('\n');
    for (const { line, column, path, file, resource: at } of found) {
      const key = path.replace(/.*\./, '').replace(/\[\d+\]$/, '');
      expect(lines[line - 1]?.slice(column - 1)).toMatch(new RegExp(key === 'weight' ? 'weight|-5' : `${key}|soon|1s|-1|FASTEST`));
      expect([file, at.startsWith('VirtualService default/v') || at.startsWith('DestinationRule default/d')]).toEqual(['test.yaml', true]);
    }
  });
});
