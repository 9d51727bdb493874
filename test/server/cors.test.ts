import { afterAll, beforeAll, expect, it } from 'vitest';
import { request } from 'undici';
import type { Listening } from 'inmesh';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const ISSUER = 'https://issuer.example.com';
const POLICY = `---
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ port: 80, name: http }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: [shop]
  http:
    - route: [{ destination: { host: shop } }]
      corsPolicy:
        allowOrigins: [{ exact: https://front.example.com }]
        allowMethods: [GET, PUT]
        allowHeaders: [authorization]
        exposeHeaders: [x-total]
        allowCredentials: true
        maxAge: 10m
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: tokens-only, namespace: default }
spec:
  action: DENY
  rules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }], to: [{ operation: { paths: [/private] } }] }]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: jwt, namespace: default }
spec: { jwtRules: [{ issuer: "${ISSUER}", jwks: '{"keys":[]}' }] }
`;
let mesh: TestMesh;
let listening: Listening;
let asked: string[] = [];

beforeAll(async () => {
  mesh = await meshOf(POLICY, { identity: false, workload: { name: 'shop', labels: { app: 'shop' } } });
  listening = await mesh.listen(
    (incoming, response) => {
      asked.push(`${incoming.method} ${incoming.url}`);
      response.writeHead(200, { 'access-control-allow-origin': '*', 'x-total': '7' }).end('yours');
    },
    { port: 0, host: '127.0.0.1' },
  );
});
afterAll(async () => {
  await listening.close();
  await mesh.close({ graceMs: 100 });
});

async function ask(method: 'GET' | 'OPTIONS', path: string, headers: Record<string, string>, host = 'shop') {
  asked = [];
  const answer = await request(`http://127.0.0.1:${listening.port}${path}`, { method, headers: { host, ...headers } });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

const FRONT = { origin: 'https://front.example.com' };
const PREFLIGHT = { ...FRONT, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization' };

it('a browser that asks whether it may is answered before tokens are asked for, and the program is left alone', async () => {
  const answer = await ask('OPTIONS', '/private', PREFLIGHT);
  expect([answer.status, answer.text, asked]).toEqual([200, '', []]);
  expect(answer.headers).toMatchObject({
    'access-control-allow-origin': 'https://front.example.com',
    'access-control-allow-methods': 'GET,PUT',
    'access-control-allow-headers': 'authorization',
    'access-control-allow-credentials': 'true',
    'access-control-max-age': '600',
  });
});

it('its call carries the permission of the policy in place of what the program says', async () => {
  const answer = await ask('GET', '/open', FRONT);
  expect([answer.text, asked]).toEqual(['yours', ['GET /open']]);
  expect(answer.headers).toMatchObject({
    'access-control-allow-origin': 'https://front.example.com',
    'access-control-expose-headers': 'x-total',
    'access-control-allow-credentials': 'true',
  });
});

it('a refusal carries it too, so that the page can read it', async () => {
  const answer = await ask('GET', '/private', FRONT);
  expect([answer.status, asked]).toEqual([403, []]);
  expect(answer.headers['access-control-allow-origin']).toBe('https://front.example.com');
});

it('another origin gets no permission of the policy, whatever it asks', async () => {
  const stranger = { origin: 'https://evil.example.com' };
  const preflight = await ask('OPTIONS', '/open', { ...PREFLIGHT, ...stranger });
  expect(preflight.headers['access-control-allow-methods']).toBeUndefined();
  expect((await ask('GET', '/open', stranger)).headers['access-control-expose-headers']).toBeUndefined();
});

it('calls for hosts without rules, and those that come from no other origin, are as they were', async () => {
  expect((await ask('GET', '/open', FRONT, 'other')).headers['access-control-allow-origin']).toBe('*');
  expect((await ask('GET', '/open', {})).headers['access-control-allow-origin']).toBe('*');
  expect((await ask('OPTIONS', '/open', {})).text).toBe('yours');
});
