import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { InboundMesh, Listening } from 'inmesh';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const ISSUER = 'https://issuer.example.com';
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let jwks: Server;
let keysServed = 0;
let mesh: TestMesh;
let listening: Listening;
let seen: { url: string; headers: Record<string, unknown>; claims: unknown } | undefined;

const policy = (rule: string) => `---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: jwt, namespace: default }
spec:
  jwtRules:
    - issuer: ${ISSUER}
      audiences: [shop]
      jwksUri: http://127.0.0.1:${(jwks.address() as AddressInfo).port}/keys
      outputClaimToHeaders: [{ header: x-user, claim: sub }]
      ${rule}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: who, namespace: default }
spec:
  action: ALLOW
  rules:
    - { to: [{ operation: { paths: [/open] } }] }
    - { from: [{ source: { requestPrincipals: ["${ISSUER}/jason"] } }] }
    - { to: [{ operation: { paths: [/staff] } }], when: [{ key: "request.auth.claims[groups]", values: [staff] }] }
`;

const token = (claims: Record<string, unknown> = {}, { audience = 'shop', expires = '5m', issuer = ISSUER, subject = 'jason' } = {}) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setIssuer(issuer)
    .setSubject(subject)
    .setAudience(audience)
    .setExpirationTime(expires)
    .sign(keys.privateKey);

beforeAll(async () => {
  keys = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
  jwks = createServer((_, response) => {
    keysServed += 1;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  await new Promise<void>((resolve) => jwks.listen(0, '127.0.0.1', resolve));
  mesh = await meshOf(policy(''), { identity: false });
  listening = await mesh.listen(
    (request, response) => {
      const { url, headers, mesh: told } = request as typeof request & { mesh: InboundMesh };
      seen = { url: url!, headers, claims: told.claims };
      response.end('program');
    },
    { port: 0, host: '127.0.0.1' },
  );
});

afterAll(async () => {
  await listening.close();
  await mesh.close({ graceMs: 100 });
  jwks.close();
});

beforeEach(() => {
  seen = undefined;
});

async function ask(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${listening.port}${path}`, { headers });
  return { status: response.status, text: await response.text(), challenge: response.headers.get('www-authenticate') };
}

it('no token passes, and then authorization asks for one', async () => {
  expect((await ask('/open')).status).toBe(200);
  expect(await ask('/private')).toMatchObject({ status: 403, text: 'RBAC: access denied' });
});

it('a good token passes, is taken away, and its claims come along where no client can forge them', async () => {
  const bearer = { authorization: `Bearer ${await token()}` };
  expect((await ask('/private?a=b', { ...bearer, 'x-user': 'admin' })).status).toBe(200);
  expect(seen).toMatchObject({ url: '/private?a=b', claims: { sub: 'jason' } });
  expect(seen!.headers['x-user']).toBe('jason');
  expect(seen!.headers['authorization']).toBeUndefined();
});

it('forged headers are taken away even without a token', async () => {
  expect((await ask('/open', { 'x-user': 'admin' })).status).toBe(200);
  expect(seen!.headers['x-user']).toBeUndefined();
});

it('a token in the query is taken out of it', async () => {
  expect((await ask(`/private?x=1&access_token=${await token()}&y=2`)).status).toBe(200);
  expect(seen!.url).toBe('/private?x=1&y=2');
});

it('a bad token is 401 with a challenge, even where it was not needed', async () => {
  const good = await token();
  const answer = await ask('/open', { authorization: `Bearer ${good.slice(0, -4)}AAAA` });
  expect(answer).toMatchObject({ status: 401 });
  expect(answer.challenge).toBe(`Bearer realm="http://127.0.0.1:${listening.port}/open", error="invalid_token"`);
  expect((await ask('/open', { authorization: `Bearer ${await token({}, { expires: '-5m' })}` })).status).toBe(401);
  expect((await ask('/open', { authorization: `Bearer ${await token({}, { issuer: 'https://other.example.com' })}` })).status).toBe(401);
  expect((await ask('/open', { authorization: 'Bearer nonsense' })).status).toBe(401);
  const nested = JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`) as unknown;
  expect((await ask('/open', { authorization: `Bearer ${await token({ nested })}` })).status).toBe(401);
  expect(seen).toBeUndefined();
});

it('a token for somebody else is 403', async () => {
  expect(await ask('/open', { authorization: `Bearer ${await token({}, { audience: 'other' })}` })).toMatchObject({
    status: 403,
    text: 'Audiences in Jwt are not allowed',
  });
});

it('two tokens in the query, and a good one beside a bad one, are refused', async () => {
  const good = await token();
  expect((await ask(`/open?access_token=${good}&access_token=${good}`)).status).toBe(401);
  expect((await ask('/open?access_token=bad', { authorization: `Bearer ${good}` })).status).toBe(401);
});

it('claims decide, and keys are fetched once for all of it, across policies too', async () => {
  const staff = { authorization: `Bearer ${await token({ groups: ['staff'] }, { subject: 'anna' })}` };
  expect((await ask('/staff', staff)).status).toBe(200);
  expect((await ask('/private', staff)).status).toBe(403);
  mesh.set(policy('forwardOriginalToken: true'));
  expect((await ask('/staff', staff)).status).toBe(200);
  expect(seen!.headers['authorization']).toBe(staff.authorization);
  expect(keysServed).toBe(1);
});
