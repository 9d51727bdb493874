import {
  type Destination,
  type HeaderMatch,
  type Model,
  OPEN_INBOUND,
  type PathMatch,
  type Route,
  type RouteAction,
  type Service,
  type Settings,
  type VirtualHost,
  DEFAULT_TELEMETRY,
} from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { explain, explainPolicy } from './explain.ts';
import type { Explanation, ExplainRequest } from './explanation.ts';
import { Mesh } from './mesh.ts';
import { testClusterPolicy, testEndpoint, testService, testSettings, testSpec, testWorkload } from './testing/index.ts';

const HOST = 'reviews.default.svc.cluster.local';
const V1 = `outbound|80|v1|${HOST}`;
const V2 = `outbound|80|v2|${HOST}`;
const PLAIN = `outbound|80||${HOST}`;

const settings = testSettings({ connectionsPerEndpoint: 100 });

const service: Service = testService({
  endpoints: [
    testSpec('10.0.0.1', { labels: { version: 'v1' }, locality: { region: 'eu', zone: 'a', subzone: '' } }),
    testSpec('10.0.0.2', { labels: { version: 'v2' } }),
    testSpec('10.0.0.3', { labels: { version: 'v2' } }),
  ],
});

const path = (value: string, kind: 'exact' | 'prefix' = 'prefix'): PathMatch => ({ kind, value, ignoreCase: false });
const user = (value: string): HeaderMatch => ({ name: 'end-user', match: { kind: 'exact', value }, invert: false });
const any: Route['match'] = { path: null, method: null, scheme: null, authority: null, headers: [], query: [] };
const to = (cluster: string, fields: Partial<Destination> = {}): Destination => ({
  cluster,
  weight: 1,
  missing: null,
  requestHeaders: [],
  responseHeaders: [],
  authority: null,
  ...fields,
});
const forward = (...destinations: Destination[]): RouteAction => ({ kind: 'forward', destinations });

interface RouteFields extends Partial<Route> {
  readonly when?: Partial<Route['match']>;
}

function route({ when, ...rest }: RouteFields = {}): Route {
  return {
    name: '',
    resource: 'VirtualService default/reviews',
    match: { ...any, ...when },
    action: forward(to(PLAIN)),
    timeoutMs: null,
    retries: null,
    fault: null,
    mirrors: [],
    rewrite: null,
    responseHeaders: [],
    hash: [],
    ...rest,
  };
}

interface World extends Partial<Settings> {
  readonly routes?: readonly Route[];
  readonly why?: readonly string[];
  readonly host?: Partial<VirtualHost>;
  readonly clusters?: Model['clusters'];
  readonly service?: Service;
}

function model({
  routes = [route({ name: 'default', resource: null })],
  why = [],
  host = {},
  clusters,
  service: known = service,
  ...changes
}: World = {}): Model {
  return {
    workload: testWorkload(),
    inbound: OPEN_INBOUND,
    peers: [],
    telemetry: DEFAULT_TELEMETRY,
    objectives: [],
    settings: { ...settings, ...changes },
    services: [known],
    hosts: [{ name: `${HOST}:80`, domains: ['reviews', HOST], port: 80, service: HOST, routes, why, ...host }],
    clusters: clusters ?? [
      testClusterPolicy({ name: PLAIN }),
      testClusterPolicy({ name: V1, subset: 'v1', labels: { version: 'v1' }, loadBalancer: { kind: 'leastRequest' } }),
      testClusterPolicy({ name: V2, subset: 'v2', labels: { version: 'v2' } }),
    ],
  };
}

const ask = (world: World, request: Partial<ExplainRequest> = {}): Explanation =>
  explainPolicy(model(world), { url: 'http://reviews/ratings/7?full=1', ...request });

it('explains hedging of the paths a policy names', () => {
  const hedging = [{ resource: 'HedgePolicy default/reviews', paths: [{ kind: 'prefix', value: '/ratings/' }], delayMs: 50, maxAttempts: 2 }] as const; // prettier-ignore
  const clusters = [testClusterPolicy({ name: PLAIN, hedging })];
  const told = 'a gRPC call that is not answered within 50 ms goes to another endpoint as well, 2 attempts in all (HedgePolicy default/reviews)'; // prettier-ignore
  expect(ask({ clusters }).why).toContain(told);
  expect(ask({ clusters }, { url: 'http://reviews/other' }).why).not.toContain(told);
});

describe('explain', () => {
  it('tells of the implicit route to a service', () => {
    expect(ask({}, { headers: { 'X-A': '1' } })).toEqual({
      decision: 'route',
      status: null,
      flag: null,
      service: HOST,
      port: 80,
      resource: null,
      route: 'default',
      clusters: [
        {
          name: PLAIN,
          weight: 1,
          share: 1,
          endpoints: [
            { address: '10.0.0.1:8080', labels: { version: 'v1' }, locality: 'eu/a' },
            { address: '10.0.0.2:8080', labels: { version: 'v2' }, locality: null },
            { address: '10.0.0.3:8080', labels: { version: 'v2' }, locality: null },
          ],
          loadBalancer: 'ROUND_ROBIN',
        },
      ],
      timeoutMs: null,
      retries: null,
      fault: null,
      mirrors: [],
      request: { method: 'GET', authority: 'reviews', path: '/ratings/7?full=1', headers: { 'x-a': '1' } },
      response: null,
      redirect: null,
      directResponse: null,
      why: [`"reviews" on port 80 is ${HOST}`, 'no rule governs it: the implicit route to the service applies'],
    });
  });

  it('says which rule matched, why earlier ones did not, and that later ones were not asked', () => {
    const routes = [
      route({ name: 'canary', when: { headers: [user('jason')] } }),
      route({ when: { path: path('/admin'), method: { kind: 'exact', value: 'POST' } } }),
      route({ name: 'ratings', when: { path: path('/ratings') } }),
      route(),
    ];
    const {
      why,
      route: name,
      resource,
    } = ask({ routes, why: ['VirtualService default/reviews won: it is the oldest'] }, { headers: { 'end-user': '' } });
    expect([name, resource]).toEqual(['ratings', 'VirtualService default/reviews']);
    expect(why).toEqual([
      `"reviews" on port 80 is ${HOST}`,
      'VirtualService default/reviews won: it is the oldest',
      'rule 1 "canary" did not match: header end-user is "" but must equal "jason"',
      'rule 2 did not match: path is "/ratings/7" but must start with "/admin" and method is "GET" but must equal "POST"',
      'rule 3 "ratings" of VirtualService default/reviews matched: path is "/ratings/7" (must start with "/ratings")',
      'the first match decides: 1 later rule was not looked at',
    ]);
  });

  it('refuses with 404 NR where rules exist and none matches', () => {
    const answer = ask({ routes: [route({ when: { headers: [user('jason')] } })] });
    expect(answer).toMatchObject({
      decision: 'refuse',
      status: 404,
      flag: 'NR',
      service: HOST,
      resource: 'VirtualService default/reviews',
      route: null,
      clusters: [],
      request: null,
    });
    expect(answer.why).toContain('rule 1 did not match: header end-user is absent but must equal "jason"');
    expect(answer.why.at(-1)).toBe('none of the 1 rules matches: the call is answered with 404 (NR)');
  });

  it('tells of a split and its endpoints', () => {
    const { clusters, why } = ask({ routes: [route({ action: forward(to(V1, { weight: 9 }), to(V2, { weight: 3 })) })] });
    expect(
      clusters.map(({ name, weight, share, loadBalancer, endpoints }) => [
        name,
        weight,
        share,
        loadBalancer,
        endpoints.map(({ address }) => address),
      ]),
    ).toEqual([
      [V1, 9, 0.75, 'LEAST_REQUEST', ['10.0.0.1:8080']],
      [V2, 3, 0.25, 'ROUND_ROBIN', ['10.0.0.2:8080', '10.0.0.3:8080']],
    ]);
    expect(why).toContain(
      `each call is drawn by weight once, before retries, which stay where it was drawn to: 75 % to ${V1}, 25 % to ${V2}`,
    );
  });

  it('tells of timeout, retries, fault and mirrors', () => {
    const retries = { attempts: 3, retryOn: ['5xx', 'retriable-status-codes'], statusCodes: [409], perTryTimeoutMs: 200, backoff: { baseMs: 25, maxMs: 250 }, ignorePreviousHosts: true, remoteLocalities: false } as const; // prettier-ignore
    const fault = { delay: { ms: 5000, percent: 10 }, abort: null };
    const budget = { percent: 20, minConcurrency: 3, intervalMs: 0 };
    const answer = ask({
      routes: [route({ timeoutMs: 1000, retries, fault, mirrors: [{ cluster: V2, percent: 5 }] })],
      clusters: [testClusterPolicy({ name: PLAIN, retryBudget: budget })],
    });
    expect(answer).toMatchObject({
      timeoutMs: 1000,
      retries: {
        attempts: 3,
        retryOn: ['5xx', 'retriable-status-codes', '409'],
        perTryTimeoutMs: 200,
        backoffMs: { base: 25, max: 250 },
        budget,
      },
      fault,
      mirrors: [{ cluster: V2, percent: 5 }],
    });
    expect(answer.why).toContain('the injected fault comes before timeout and retries: it is neither cut short nor retried');
  });

  it('shows the request as upstream will see it, and what is done to the response', () => {
    const destination = to(PLAIN, {
      authority: 'internal.reviews',
      requestHeaders: [{ op: 'remove', name: 'cookie' }, { op: 'set', name: 'x-a', value: '2' }, { op: 'add', name: 'x-b', value: '3' }], // prettier-ignore
      responseHeaders: [{ op: 'set', name: 'x-by', value: 'mesh' }, { op: 'add', name: 'via', value: 'a' }, { op: 'add', name: 'via', value: 'b' }, { op: 'remove', name: 'server' }], // prettier-ignore
    });
    const rewrite = { kind: 'prefix', prefix: '/ratings', value: '/v2', ignoreCase: false } as const;
    const headers: [string, string][] = [['Cookie', 'a=b'], ['X-A', '1'], ['x-b', '1'], ['X-B', '2'], ['Host', 'reviews:80']]; // prettier-ignore
    expect(ask({ routes: [route({ action: forward(destination), rewrite })] }, { method: 'post', headers })).toMatchObject({
      request: { method: 'POST', authority: 'internal.reviews', path: '/v2/7?full=1', headers: { 'x-a': '2', 'x-b': '1,2,3' } },
      response: { set: { 'x-by': 'mesh' }, add: { via: 'a,b' }, remove: ['server'] },
    });
  });

  it('shows the edits of the largest share and says that others differ', () => {
    const other = to(V2, { weight: 90, requestHeaders: [{ op: 'set', name: 'x-version', value: 'v2' }] });
    const { request, why } = ask({ routes: [route({ action: forward(to(V1, { weight: 10 }), other) })] });
    expect(request?.headers).toEqual({ 'x-version': 'v2' });
    expect(why).toContain(`request and response are shown as ${V2} has them; other destinations of the rule change them otherwise`);
    const same = ask({ routes: [route({ action: forward(to(V1), to(V2)) })] });
    expect(same.why.some((sentence) => sentence.includes('otherwise'))).toBe(false);
  });

  it('tells of a redirect', () => {
    const action: RouteAction = {
      kind: 'redirect',
      status: 308,
      scheme: 'https',
      authority: 'new',
      port: null,
      path: { kind: 'full', value: '/x' },
    };
    expect(ask({ routes: [route({ action, responseHeaders: [{ op: 'set', name: 'a', value: '1' }] })] })).toMatchObject({
      decision: 'redirect',
      status: 308,
      flag: null,
      redirect: { status: 308, location: 'https://new/x?full=1' },
      response: { set: { a: '1' }, add: {}, remove: [] },
      request: null,
      clusters: [],
    });
  });

  it('tells of a direct response', () => {
    const action: RouteAction = { kind: 'direct', status: 418, body: 'teapot', bodyEncoding: 'utf8' };
    expect(ask({ routes: [route({ action })] })).toMatchObject({
      decision: 'directResponse',
      status: 418,
      directResponse: { status: 418, body: 'teapot' },
    });
  });

  it('tells of a rule that cannot be carried out', () => {
    const answer = ask({ routes: [route({ action: { kind: 'refuse', status: 500, why: 'every backend has weight 0' } })] });
    expect(answer).toMatchObject({ decision: 'refuse', status: 500, flag: null });
    expect(answer.why.at(-1)).toContain('every backend has weight 0');
  });
});

describe('explain of destinations that cannot answer', () => {
  const missing = (status: number): Destination =>
    to(`outbound|80|v9|${HOST}`, { weight: 1, missing: { status, why: 'no DestinationRule defines subset "v9"' } });

  it('is 503 NC for a subset nobody defines', () => {
    const answer = ask({ routes: [route({ action: forward(missing(503)) })] });
    expect(answer).toMatchObject({
      decision: 'refuse',
      status: 503,
      flag: 'NC',
      clusters: [{ name: `outbound|80|v9|${HOST}`, share: 1, endpoints: [], loadBalancer: null }],
      request: null,
    });
    expect(answer.why).toContain('calls get 503: no DestinationRule defines subset "v9"');
  });

  it('is 500 where an HTTPRoute asks for it', () => {
    expect(ask({ routes: [route({ action: forward(missing(500)) })] })).toMatchObject({ decision: 'refuse', status: 500, flag: null });
  });

  it('is still a route where only a share is lost', () => {
    const answer = ask({ routes: [route({ action: forward(missing(503), to(V1, { weight: 3 })) })] });
    expect(answer).toMatchObject({ decision: 'route', status: null, flag: null });
    expect(ask({ routes: [route({ action: forward({ ...missing(503), weight: 9 }, to(V1)) })] })).toMatchObject({
      decision: 'route',
      status: null,
    });
    expect(answer.why).toContain(`the 25 % drawn to outbound|80|v9|${HOST} get 503: no DestinationRule defines subset "v9"`);
  });

  it('is none where calls go to the address they ask for, whoever is known', () => {
    const clusters = [testClusterPolicy({ name: PLAIN, loadBalancer: { kind: 'passthrough' } })];
    const answer = ask({ clusters, service: testService() });
    expect(answer).toMatchObject({ decision: 'route', clusters: [{ name: PLAIN, endpoints: [], loadBalancer: 'PASSTHROUGH' }] });
  });

  it('is 503 UH where localities distribute calls to places without an endpoint', () => {
    const clusters = [testClusterPolicy({ name: PLAIN, locality: { kind: 'distribute', to: [{ pattern: 'us/*', percent: 100 }] } })];
    const answer = ask({ clusters });
    expect(answer).toMatchObject({ decision: 'refuse', status: 503, flag: 'UH' });
    expect(answer.why).toContain(`calls get 503: localityLbSetting distributes calls to us/*, where ${HOST} has no endpoint (UH)`);
  });

  it('is 503 UH where nobody is ready and panic is off', () => {
    const ill = testService({ endpoints: [testSpec('10.0.0.1', { health: 'unhealthy' })] });
    expect(ask({ service: ill })).toMatchObject({ decision: 'refuse', status: 503, flag: 'UH' });
    expect(ask({ service: ill, clusters: [testClusterPolicy({ name: PLAIN, panicPercent: 50 })] })).toMatchObject({ decision: 'route' });
  });

  it('is told by a running mesh as by the policy: a static service without endpoints has none before the first call', async () => {
    const empty = model({ service: testService() });
    const mesh = await Mesh.create(empty, 'v1');
    const request = { url: 'http://reviews/' };
    expect(mesh.explain(request)).toEqual(explainPolicy(empty, request));
    expect(mesh.explain(request)).toMatchObject({ decision: 'refuse', flag: 'UH' });
    await mesh.close();
  });

  it('is 503 UH for a subset whose labels nobody carries', () => {
    const v9 = testClusterPolicy({ name: 'outbound|80|v9|x', subset: 'v9', labels: { version: 'v9' } });
    const answer = ask({ routes: [route({ action: forward(to(v9.name)) })], clusters: [v9] });
    expect(answer).toMatchObject({ decision: 'refuse', status: 503, flag: 'UH' });
    expect(answer.why).toContain(`calls get 503: ${HOST} has no endpoint with the labels of subset v9 (version=v9) on port 80 (UH)`);
  });

  it('is not foretold where endpoints are still to be looked up', () => {
    const dns = testService({ resolution: 'dns' });
    const clusters = [testClusterPolicy({ name: PLAIN, resolution: 'dns' })];
    expect(ask({ service: dns, clusters })).toMatchObject({ decision: 'route', clusters: [{ endpoints: [] }] });
    expect(explain(model({ service: dns, clusters }), { url: 'http://reviews/' }, () => [])).toMatchObject({ decision: 'route' });
    expect(explain(model(), { url: 'http://reviews/' }, () => undefined)).toMatchObject({
      decision: 'route',
      clusters: [{ endpoints: [] }],
    });
  });
});

describe('explain of hosts outside the mesh', () => {
  const elsewhere = { url: 'https://Example.com:8443/a?b=c', headers: { X: '1' } };

  it('lets them pass under ALLOW_ANY', () => {
    expect(ask({}, elsewhere)).toEqual({
      decision: 'route',
      status: null,
      flag: null,
      service: null,
      port: 8443,
      resource: null,
      route: null,
      clusters: [{ name: 'PassthroughCluster', weight: 1, share: 1, endpoints: [], loadBalancer: null }],
      timeoutMs: null,
      retries: null,
      fault: null,
      mirrors: [],
      request: { method: 'GET', authority: 'example.com:8443', path: '/a?b=c', headers: { x: '1' } },
      response: null,
      redirect: null,
      directResponse: null,
      why: [
        'the policy knows no host "example.com" on port 8443',
        'outboundTrafficPolicy is ALLOW_ANY: the call goes where it is addressed to, without timeout, retries or balancing',
      ],
    });
  });

  it('refuses them under REGISTRY_ONLY', () => {
    const answer = ask({ outboundTrafficPolicy: 'REGISTRY_ONLY' }, elsewhere);
    expect(answer).toMatchObject({
      decision: 'refuse',
      status: 502,
      flag: null,
      clusters: [{ name: 'BlackHoleCluster', share: 1 }],
      request: null,
    });
    expect(answer.why[1]).toContain('REGISTRY_ONLY');
  });

  it('says on which ports a host would be known', () => {
    expect(ask({}, { url: 'http://reviews:9080/' }).why[0]).toBe('the policy knows no host "reviews" on port 9080, only on port 80');
  });

  it('takes a port that is not the URL’s', () => {
    expect(ask({}, { url: 'http://reviews:9080/', port: 80 }).service).toBe(HOST);
  });

  it('refuses what is no URL by name', () => {
    expect(() => ask({}, { url: 'reviews/ratings' })).toThrow('"reviews/ratings"');
  });
});

describe('explain of a host that only a rule names', () => {
  it('knows no service', () => {
    const answer = ask(
      { host: { service: null, port: null, domains: ['api.example.com'] }, routes: [route()] },
      { url: 'http://api.example.com:7000/' },
    );
    expect(answer).toMatchObject({ service: null, port: 7000, decision: 'route' });
    expect(answer.why[0]).toBe('"api.example.com" on port 7000 is no service any registry knows; a rule names the host, on any port');
  });
});

describe('explain of sticky destinations', () => {
  const clusters = [testClusterPolicy({ name: PLAIN, loadBalancer: { kind: 'maglev', tableSize: 65537 } })];
  const sticky = (...hash: Route['hash']): World => ({ routes: [route({ hash })], clusters });
  const cookie = (ttlMs: number | null): Route['hash'][number] => ({ kind: 'cookie', name: 'sid', path: '/', ttlMs, attributes: [] });

  it.each<[Route['hash'][number], Partial<ExplainRequest>, string]>([
    [{ kind: 'header', name: 'x-user' }, { headers: { 'x-user': 'a' } }, 'the endpoint is chosen by a hash of header x-user'],
    [{ kind: 'header', name: 'x-user' }, {}, 'header x-user, by whose hash an endpoint would be chosen, is absent: any endpoint may be'],
    [{ kind: 'query', name: 'full' }, {}, 'the endpoint is chosen by a hash of query parameter full'],
    [cookie(1000), { headers: { cookie: 'sid=1' } }, 'the endpoint is chosen by a hash of cookie sid'],
    [cookie(1000), {}, 'the endpoint is chosen by a hash of cookie sid, which is made up and sent back, for the call has none'],
    [cookie(null), {}, 'cookie sid, by whose hash an endpoint would be chosen, is absent: any endpoint may be'],
    [{ kind: 'sourceIp' }, { sourceIp: '10.1.1.1' }, 'the endpoint is chosen by a hash of the address on whose behalf the call is made'],
  ])('%# names the key', (key, request, sentence) => {
    const answer = ask(sticky(key), request);
    expect(answer.clusters[0]!.loadBalancer).toBe('MAGLEV');
    expect(answer.why.at(-1)).toBe(sentence);
  });
});

describe('explain with a running mesh', () => {
  it('lists the endpoints it is told of', () => {
    const answer = explain(model(), { url: 'http://reviews/' }, (name) =>
      name === PLAIN ? [testEndpoint('10.9.9.9:1', { locality: 'eu/a/b' })] : undefined,
    );
    expect(answer.clusters[0]!.endpoints).toEqual([{ address: '10.9.9.9:1', labels: {}, locality: 'eu/a/b' }]);
  });
});
