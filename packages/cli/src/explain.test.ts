import { join } from 'node:path';
import type { Explanation } from '@inmesh/core';
import { describe, expect, it } from 'vitest';
import { memoryIo } from '../test/memory-io.ts';
import { explain, type ExplainArgs } from './explain.ts';

const BOOKINFO = join(import.meta.dirname, '../test/bookinfo');

type Given = Partial<ExplainArgs> & { readonly input?: string };

const run = async (url: string, { input = '', ...given }: Given = {}) => {
  const { io, out, err } = memoryIo({ input });
  const usual = { files: [BOOKINFO], from: { namespace: 'default', name: 'productpage' }, labels: {}, method: 'GET', headers: [] };
  const exit = await explain({ ...usual, url, output: 'text', ...given }, io);
  return { exit, out: out(), err: err() };
};

/** What is printed as JSON, the sentences apart: how they are worded is their author's business. */
const json = async (url: string, given: Given = {}): Promise<{ readonly facts: Omit<Explanation, 'why'>; readonly why: string }> => {
  const { exit, out, err } = await run(url, { ...given, output: 'json' });
  expect([exit, err]).toEqual([0, '']);
  const { why, ...facts } = JSON.parse(out) as Explanation;
  return { facts, why: why.join('\n') };
};

const REVIEWS = { service: 'reviews.default.svc.cluster.local', port: 9080, resource: 'VirtualService default/reviews' };
const NOTHING = {
  decision: 'refuse',
  status: null,
  flag: null,
  service: null,
  resource: null,
  route: null,
  clusters: [],
  timeoutMs: null,
  retries: null,
  fault: null,
  mirrors: [],
  request: null,
  response: null,
  redirect: null,
  directResponse: null,
};
const DEFAULT_RETRIES = {
  attempts: 2,
  retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'],
  perTryTimeoutMs: null,
  backoffMs: { base: 25, max: 250 },
  budget: null,
};
const v1 = {
  name: 'outbound|9080|v1|reviews.default.svc.cluster.local',
  loadBalancer: 'ROUND_ROBIN',
  endpoints: [
    { address: '10.0.1.1:9080', labels: { app: 'reviews', version: 'v1' }, locality: 'eu-west/eu-west-1a' },
    { address: '10.0.1.2:9080', labels: { app: 'reviews', version: 'v1' }, locality: 'eu-west/eu-west-1b' },
  ],
};
const v2 = {
  name: 'outbound|9080|v2|reviews.default.svc.cluster.local',
  loadBalancer: 'ROUND_ROBIN',
  endpoints: [{ address: '10.0.2.1:9080', labels: { app: 'reviews', version: 'v2' }, locality: 'eu-west/eu-west-1a' }],
};

describe('inmesh explain -o json', () => {
  it('tells all that a canary rule does', async () => {
    const { facts, why } = await json('http://reviews:9080/reviews/7?full=1', { headers: [['Accept', 'text/html']] });
    expect(facts).toEqual({
      ...NOTHING,
      ...REVIEWS,
      decision: 'route',
      route: 'canary',
      clusters: [
        { ...v1, weight: 90, share: 0.9 },
        { ...v2, weight: 10, share: 0.1 },
      ],
      timeoutMs: 3000,
      retries: {
        attempts: 2,
        retryOn: ['connect-failure', 'retriable-status-codes', '503'],
        perTryTimeoutMs: 1000,
        backoffMs: { base: 50, max: 500 },
        budget: null,
      },
      mirrors: [{ cluster: 'outbound|9080||ratings.default.svc.cluster.local', percent: 25 }],
      request: {
        method: 'GET',
        authority: 'reviews:9080',
        path: '/v2/reviews/7?full=1',
        headers: { accept: 'text/html', 'x-canary': 'yes' },
      },
      response: { set: {}, add: { 'x-mesh': 'inmesh' }, remove: ['server'] },
    });
    expect(why).toContain('"testers" did not match');
  });

  it('tells of faults for a tester, found by a header', async () => {
    const { facts } = await json('http://reviews.default:9080/', { headers: [['End-User', 'jason']], method: 'post' });
    expect(facts).toEqual({
      ...NOTHING,
      ...REVIEWS,
      decision: 'route',
      route: 'testers',
      clusters: [{ ...v2, weight: 1, share: 1 }],
      retries: DEFAULT_RETRIES,
      fault: { delay: { ms: 7000, percent: 100 }, abort: { httpStatus: 503, grpcStatus: null, percent: 10 } },
      request: { method: 'POST', authority: 'reviews.default:9080', path: '/', headers: { 'end-user': 'jason' } },
    });
  });

  it('tells where a redirect leads', async () => {
    const { facts } = await json('http://reviews:9080/old/7?full=1');
    const redirect = { status: 308, location: 'http://reviews:9080/reviews?full=1' };
    expect(facts).toEqual({ ...NOTHING, ...REVIEWS, decision: 'redirect', status: 308, route: 'old', redirect });
  });

  it('tells what the policy answers itself', async () => {
    const { facts } = await json('http://reviews:9080/teapot');
    const directResponse = { status: 418, body: 'short and stout' };
    expect(facts).toEqual({ ...NOTHING, ...REVIEWS, decision: 'directResponse', status: 418, route: 'teapot', directResponse });
  });

  it('tells that a subset does not exist', async () => {
    const { facts, why } = await json('http://reviews:9080/beta');
    expect(facts).toEqual({
      ...NOTHING,
      ...REVIEWS,
      status: 503,
      flag: 'NC',
      route: 'beta',
      clusters: [{ name: 'outbound|9080|v3|reviews.default.svc.cluster.local', weight: 1, share: 1, endpoints: [], loadBalancer: null }],
      retries: DEFAULT_RETRIES,
    });
    expect(why).toContain('subset "v3"');
  });

  it('tells that no rule matches', async () => {
    const { facts } = await json('http://reviews:9080/other');
    expect(facts).toEqual({ ...NOTHING, ...REVIEWS, status: 404, flag: 'NR' });
  });

  it('tells that an unknown host is let through', async () => {
    const { facts, why } = await json('https://elsewhere.example/a');
    expect(facts).toEqual({
      ...NOTHING,
      decision: 'route',
      port: 443,
      clusters: [{ name: 'PassthroughCluster', weight: 1, share: 1, endpoints: [], loadBalancer: null }],
      request: { method: 'GET', authority: 'elsewhere.example', path: '/a', headers: {} },
    });
    expect(why).toContain('ALLOW_ANY');
  });

  it('tells that an unknown host is refused under REGISTRY_ONLY', async () => {
    const input = `
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: mesh }
spec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
`;
    const { facts, why } = await json('https://elsewhere.example/a', { files: [BOOKINFO, '-'], input });
    expect(facts).toEqual({
      ...NOTHING,
      status: 502,
      port: 443,
      clusters: [{ name: 'BlackHoleCluster', weight: 1, share: 1, endpoints: [], loadBalancer: null }],
    });
    expect(why).toContain('REGISTRY_ONLY');
  });

  it('asks on the port it is given, and as the workload it is given', async () => {
    const input = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings }
spec:
  hosts: [ratings]
  http:
    - name: page
      match: [{ sourceLabels: { app: page } }]
      route: [{ destination: { host: ratings } }]
    - name: others
      route: [{ destination: { host: ratings } }]
`;
    const files = [BOOKINFO, '-'];
    expect((await json('http://ratings/', { files, input, port: 9080, labels: { app: 'page' } })).facts).toMatchObject({
      port: 9080,
      route: 'page',
    });
    expect((await json('http://ratings/', { files, input, port: 9080 })).facts).toMatchObject({ port: 9080, route: 'others' });
    // A bare name is one of the asking workload's own namespace.
    const stranger = { namespace: 'elsewhere', name: 'productpage' };
    expect((await json('http://ratings:9080/', { files, input, from: stranger })).facts.clusters[0]?.name).toBe('PassthroughCluster');
  });
});

describe('inmesh explain', () => {
  it('begins with the verdict and ends with the reasons', async () => {
    const { exit, out, err } = await run('http://reviews:9080/reviews/7');
    expect([exit, err]).toEqual([0, '']);
    const lines = out.split('\n');
    expect(lines[0]).toBe('→ 90 % reviews v1 (2 endpoints), 10 % reviews v2 (1 endpoint)');
    expect(lines).toContain('  route          canary  VirtualService default/reviews');
    expect(lines[lines.indexOf('why') + 1]).toMatch(/^ {2}1\. /);
  });

  it('ends with 79 and the problems on stderr when the policy has errors', async () => {
    const input = 'apiVersion: networking.istio.io/v1\nkind: VirtualServices\nmetadata: { name: a }\nspec: {}\n---\nkind: [';
    const { exit, out, err } = await run('http://reviews:9080/', { files: ['-'], input, output: 'json' });
    expect([exit, out]).toEqual([79, '']);
    expect(err).toMatch(/^✖ <stdin>:\d+:\d+ {2}INM0001\n/m);
    expect(err).toMatch(/\n\n✖ .* in 1 file\n$/);
  });

  it('ends with 65 when there is no policy', async () => {
    const err = 'inmesh: standard input is empty; a policy has at least one resource\n';
    expect(await run('http://reviews:9080/', { files: ['-'] })).toEqual({ exit: 65, out: '', err });
  });

  it('ends with 64 for a URL that is none', async () => {
    const { exit, out, err } = await run('reviews:9080/ratings');
    expect([exit, out]).toEqual([64, '']);
    expect(err).toMatch(/^inmesh: "reviews:9080\/ratings" is not a URL/);
  });
});
