import type { InboundExplanation } from '@inmesh/core';
import { describe, expect, it } from 'vitest';
import { memoryIo } from '../test/memory-io.ts';
import { run } from './program.ts';

const POLICY = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ratings, namespace: shop }
spec:
  selector: { matchLabels: { app: ratings } }
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/reviews] } }], to: [{ operation: { methods: [GET] } }] }]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: jwt, namespace: shop }
spec: { jwtRules: [{ issuer: a, jwks: '{"keys":[]}' }] }
`;

async function command(...args: string[]) {
  const { io, out, err } = memoryIo({ input: POLICY });
  const exit = await run(['explain', '-f', '-', ...args], io);
  return { exit, out: out(), err: err() };
}
const inbound = (...args: string[]) => command('--inbound', '--to', 'shop/ratings', '--label', 'app=ratings', '--port', '9080', ...args);
const json = async (...args: string[]) => JSON.parse((await inbound('-o', 'json', ...args)).out) as InboundExplanation;

const REVIEWS = 'cluster.local/ns/shop/sa/reviews';

describe('inmesh explain --inbound', () => {
  it('tells who is let in, by which rule, and what the program sees', async () => {
    expect(await json('--principal', REVIEWS, 'GET', 'http://ratings/a/../7')).toMatchObject({
      decision: 'allow',
      status: null,
      policy: 'ns[shop]-policy[ratings]-rule[0]',
      action: 'ALLOW',
      request: { method: 'GET', path: '/7' },
    });
  });

  it('tells a caller of gRPC in his words', async () => {
    const { out } = await inbound('--principal', REVIEWS, 'POST', 'grpc://ratings/shop.Ratings/Get');
    expect(out).toMatch(/^✖ denied: PERMISSION_DENIED RBAC: access denied\n/);
    const token = await inbound('--principal', REVIEWS, '--token', 'nonsense', 'POST', 'grpc://ratings/shop.Ratings/Get');
    expect(token.out).toMatch(/^✖ denied: UNAUTHENTICATED Jwt /);
  });

  it('tells who is not, and why', async () => {
    const denied = await json('--principal', REVIEWS, 'POST', 'http://ratings/7');
    expect(denied).toMatchObject({ decision: 'deny', status: 403, policy: null, action: 'ALLOW', body: 'RBAC: access denied' });
    expect(denied.why.join('\n')).toContain('method is "POST" (must be "GET")');
    expect(await json('--plaintext', 'GET', 'http://ratings/7')).toMatchObject({
      decision: 'deny',
      status: null,
      resource: 'PeerAuthentication shop/default',
    });
    expect(await json('--principal', REVIEWS, '--token', 'nonsense', 'GET', 'http://ratings/7')).toMatchObject({
      decision: 'deny',
      status: 401,
    });
  });

  it('reads well', async () => {
    const { exit, out } = await inbound('--principal', REVIEWS, 'GET', 'http://ratings/7');
    expect(exit).toBe(0);
    expect(out).toContain(
      'allowed: goes to the program, by ns[shop]-policy[ratings]-rule[0]\n\n  caller        spiffe://cluster.local/ns/shop/sa/reviews\n',
    );
  });

  it.each([
    ['no workload', ['--inbound', '--port', '1', 'GET', '/'], /needs --to NAMESPACE\/WORKLOAD with --inbound/],
    ['no port', ['--inbound', '--to', 'a/b', 'GET', '/'], /needs --port NUMBER with --inbound/],
    [
      'a principal and none',
      ['--inbound', '--to', 'a/b', '--port', '1', '--plaintext', '--principal', REVIEWS, 'GET', '/'],
      /cannot be used with/,
    ],
    ['what is no principal', ['--inbound', '--to', 'a/b', '--port', '1', '--principal', 'x', 'GET', 'http://a/'], /"x" is no principal/],
    ['a token to nobody', ['--from', 'a/b', '--token', 'x', 'GET', 'http://a/'], /--token is about a call to a workload; add --inbound/],
  ])('refuses %s', async (_, args, message) => {
    const { exit, err } = await command(...args);
    expect(exit).toBe(64);
    expect(err).toMatch(message);
  });
});
