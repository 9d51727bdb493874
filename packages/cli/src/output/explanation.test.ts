import type { Explanation } from '@inmesh/core';
import { describe, expect, it } from 'vitest';
import { printExplanation } from './explanation.ts';
import { plain } from './paint.ts';

const print = (given: Partial<Explanation>, columns = Number.POSITIVE_INFINITY): string =>
  printExplanation(
    {
      decision: 'route',
      status: null,
      flag: null,
      service: 'reviews.default.svc.cluster.local',
      port: 9080,
      resource: 'VirtualService default/reviews',
      route: 'canary',
      clusters: [],
      timeoutMs: null,
      retries: null,
      fault: null,
      mirrors: [],
      request: null,
      response: null,
      redirect: null,
      directResponse: null,
      why: ['because'],
      ...given,
    },
    plain,
    columns,
  );

const verdictOf = (given: Partial<Explanation>): string | undefined => print(given).split('\n')[0];

const cluster = (subset: string, share: number, endpoints: number, host = 'reviews.default.svc.cluster.local', port = 9080) => ({
  name: `outbound|${port}|${subset}|${host}`,
  weight: 1,
  share,
  loadBalancer: 'LEAST_REQUEST',
  endpoints: Array.from({ length: endpoints }, (_, index) => ({
    address: `10.0.0.${index + 1}:9080`,
    labels: { version: subset },
    locality: 'eu/a',
  })),
});

describe('an explanation in text', () => {
  it('tells everything a rule does to a call', () => {
    expect(
      print({
        clusters: [cluster('v1', 0.9, 2), cluster('v2', 0.1, 1)],
        timeoutMs: 3000,
        retries: {
          attempts: 3,
          retryOn: ['connect-failure', '503'],
          perTryTimeoutMs: 500,
          backoffMs: { base: 25, max: 250 },
          budget: { percent: 20, minConcurrency: 3, intervalMs: 0 },
        },
        fault: { delay: { ms: 2000, percent: 1.5 }, abort: { httpStatus: null, grpcStatus: 14, percent: 10 } },
        mirrors: [{ cluster: 'outbound|9080|v3|reviews.default.svc.cluster.local', percent: 100 }],
        request: { method: 'GET', authority: 'reviews', path: '/v2?x=1', headers: { 'x-canary': 'yes' } },
        response: { set: { a: '1' }, add: { b: '2' }, remove: ['server'] },
        why: ['rule 1 did not match', 'rule 2 matched'],
      }),
    ).toBe(`→ 90 % reviews v1 (2 endpoints), 10 % reviews v2 (1 endpoint); 1.5 % delayed by 2 s; 10 % aborted with gRPC status 14

  route          canary  VirtualService default/reviews
  service        reviews.default.svc.cluster.local:9080
  clusters       90 %  outbound|9080|v1|reviews.default.svc.cluster.local  LEAST_REQUEST
                         10.0.0.1:9080  version=v1  eu/a
                         10.0.0.2:9080  version=v1  eu/a
                 10 %  outbound|9080|v2|reviews.default.svc.cluster.local  LEAST_REQUEST
                         10.0.0.1:9080  version=v2  eu/a
  timeout        3 s
  retries        up to 3 more tries on connect-failure, 503
                 500 ms per try, backoff 25 ms to 250 ms
                 at most 20 % of the calls in flight, 3 always
  faults         1.5 % delayed by 2 s
                 10 % aborted with gRPC status 14
  mirrors        100 % to reviews v3  outbound|9080|v3|reviews.default.svc.cluster.local
  upstream sees  GET /v2?x=1
                 host: reviews
                 x-canary: yes
  response       set a: 1
                 add b: 2
                 remove server

why
  1. rule 1 did not match
  2. rule 2 matched
`);
  });

  it('says so where a call has neither rule, timeout nor retries', () => {
    expect(print({ resource: null, route: 'default', clusters: [cluster('', 1, 0)] })).toBe(`→ reviews (no endpoint known yet)

  route     to the service itself, no rule governs it
  service   reviews.default.svc.cluster.local:9080
  clusters  outbound|9080||reviews.default.svc.cluster.local  LEAST_REQUEST
  timeout   none
  retries   none

why
  1. because
`);
  });

  it('shows the first endpoints of many', () => {
    const lines = print({ clusters: [cluster('', 1, 100)] }).split('\n');
    expect(lines.filter((line) => line.includes('10.0.0.'))).toHaveLength(10);
    expect(lines[0]).toContain('(100 endpoints)');
    expect(lines).toContain('              and 90 more');
  });

  it.each<[string, Partial<Explanation>]>([
    ['↪ 301 redirected to https://a/b', { decision: 'redirect', status: 301, redirect: { status: 301, location: 'https://a/b' } }],
    ['↩ 418 answered by the policy itself', { decision: 'directResponse', status: 418, directResponse: { status: 418, body: 'x' } }],
    ['✖ 404 refused (NR): no rule matches', { decision: 'refuse', status: 404, flag: 'NR' }],
    ['✖ 503 refused (NC): the destination does not exist', { decision: 'refuse', status: 503, flag: 'NC' }],
    ['✖ 503 refused (UH): the destination has no endpoint', { decision: 'refuse', status: 503, flag: 'UH' }],
    ['✖ 500 refused: the rule cannot be carried out', { decision: 'refuse', status: 500 }],
    [
      '✖ 502 refused: the policy knows no such host',
      { decision: 'refuse', status: 502, clusters: [{ ...cluster('', 1, 0), name: 'BlackHoleCluster', loadBalancer: null }] },
    ],
    [
      '→ PassthroughCluster (outside the mesh: sent as it is)',
      { clusters: [{ ...cluster('', 1, 0), name: 'PassthroughCluster', loadBalancer: null }] },
    ],
    [
      '→ 50 % reviews v1 (1 endpoint), 50 % reviews v3 (does not exist)',
      { clusters: [cluster('v1', 0.5, 1), { ...cluster('v3', 0.5, 0), loadBalancer: null }] },
    ],
    [
      '→ 50 % a.x.svc.cluster.local (1 endpoint), 50 % a.y.svc.cluster.local (1 endpoint)',
      { clusters: [cluster('', 0.5, 1, 'a.x.svc.cluster.local'), cluster('', 0.5, 1, 'a.y.svc.cluster.local')] },
    ],
    [
      '→ 50 % reviews:80 (1 endpoint), 50 % reviews:81 (1 endpoint)',
      { clusters: [cluster('', 0.5, 1, undefined, 80), cluster('', 0.5, 1, undefined, 81)] },
    ],
  ])('begins with %s', (verdict, given) => {
    expect(verdictOf(given)).toBe(verdict);
  });

  it('is broken to the width of the terminal', () => {
    const out = print({ clusters: [cluster('', 1, 0)], why: ['a long sentence that takes more than the fifty columns there are'] }, 50);
    expect(out).toContain('  1. a long sentence that takes more than the\n     fifty columns there are\n');
  });

  it('shows the body of an answer below its name, without control characters', () => {
    const out = print({ decision: 'directResponse', status: 200, directResponse: { status: 200, body: 'one\n\u001b[2Jtwo' } });
    expect(out).toContain('  answer   one\n           \\x1b[2Jtwo\n');
  });
});
