import type { IdentityState } from '@inmesh/core';
import { systemClock } from '@inmesh/core';
import { connectCertificates, consul } from '@inmesh/discovery/consul';
import type { InboundMesh } from 'inmesh';
import type { IncomingMessage, RequestListener } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { consulAgent, noConsul, REAL_CONSUL, type TestConsul } from '../support/consul.ts';
import { fakeConsul } from '../support/fake-consul.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/traffic.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});
const keep = <T extends AsyncDisposable>(one: T): T => {
  left.push(one);
  return one;
};

function watched(options: Parameters<typeof connectCertificates>[0]) {
  const states: IdentityState[] = [];
  const watch = connectCertificates(options).watch((state) => states.push(state), { clock: systemClock, random: Math.random });
  left.push({ [Symbol.asyncDispose]: () => Promise.resolve(watch.close()) });
  const words = () => states.map((state) => (state.state === 'ready' ? state.identity.principal.uri : `failed: ${state.reason}`));
  return { states, words };
}

describe.skipIf(noConsul)(`certificates of ${REAL_CONSUL} Connect`, () => {
  let agent: TestConsul;
  let trustDomain: string;
  beforeAll(async () => {
    agent = await consulAgent();
    ({ TrustDomain: trustDomain } = (await agent.call('GET', '/connect/ca/roots')) as { TrustDomain: string });
  });
  afterAll(async () => agent?.[Symbol.asyncDispose]());

  const whoami: RequestListener = (request: IncomingMessage & { mesh?: InboundMesh }, response) =>
    response.end(request.mesh?.principal?.uri ?? 'nobody');
  const policy = (more = '') => `apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: default }
spec: { trustDomain: ${trustDomain} }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
${more}`;
  const member = async (
    name: string,
    more = '',
    register?: { service: string; port: number; meta: Record<string, string> },
  ): Promise<TestMesh> =>
    keep(
      await meshOf(policy(more), {
        workload: { name, serviceAccount: name },
        identity: connectCertificates({ address: agent.url, service: name }),
        registries: [
          consul({ address: agent.url, ...(register === undefined ? {} : { register: { ...register, address: '127.0.0.1' } }) }),
        ],
      }),
    );

  it('prove services to each other by mutual TLS', async () => {
    const port = await freePort();
    const rule = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: only-web, namespace: default }
spec: { rules: [{ from: [{ source: { principals: ["${trustDomain}/ns/default/dc/dc1/svc/web"] } }] }] }
`;
    const api = await member('api', rule, { service: 'api', port, meta: { tls_mode: 'istio' } });
    await api.listen(whoami, port);
    expect(api.status().identity).toMatchObject({ principal: `spiffe://${trustDomain}/ns/default/dc/dc1/svc/api`, trouble: '' });
    const [web, other] = [await member('web'), await member('other')];
    const url = 'http://api.service.consul/';
    await until(() => Promise.resolve(web.explain({ url }).service !== null && other.explain({ url }).service !== null));
    const answered = await web.fetch(url);
    expect([answered.status, await answered.text()]).toEqual([200, `spiffe://${trustDomain}/ns/default/dc/dc1/svc/web`]);
    expect((await other.fetch(url)).status).toBe(403);
    // Secure naming: who is registered as running as somebody else is not called.
    await agent.register({
      ID: 'liar',
      Name: 'bank',
      Address: '127.0.0.1',
      Port: port,
      Meta: { tls_mode: 'istio', service_account: 'bank' },
    });
    await until(() => Promise.resolve(web.explain({ url: 'http://bank.service.consul/' }).service !== null));
    const refused = await web.fetch('http://bank.service.consul/');
    expect([refused.status, refused.headers.get('x-inmesh-flags')]).toEqual([503, 'UF,URX']);
  });

  it('follow the roots: after an exchange old and new are believed', async () => {
    const { states, words } = watched({ address: agent.url, service: 'rotating' });
    await until(() => Promise.resolve(states.length > 0));
    expect(words()).toEqual([`spiffe://${trustDomain}/ns/default/dc/dc1/svc/rotating`]);
    const first = states[0]!.state === 'ready' ? states[0]!.identity : undefined;
    const { generateKeyPairSync } = await import('node:crypto');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const config = (await agent.call('GET', '/connect/ca/configuration')) as { Config: object };
    await agent.call('PUT', '/connect/ca/configuration', {
      Provider: 'consul',
      Config: { ...config.Config, PrivateKey: privateKey.export({ type: 'sec1', format: 'pem' }), RootCert: '' },
    });
    await until(() => Promise.resolve(states.some((state) => state.state === 'ready' && rootsOf(state) === 2)), 50, 20_000);
    // The agent asks for its new certificate within half a minute, so that not all ask the CA at once.
    await until(
      () => Promise.resolve(states.some((state) => state.state === 'ready' && state.identity.certificate !== first!.certificate)),
      50,
      45_000,
    );
  }, 90_000);

  const rootsOf = (state: Extract<IdentityState, { state: 'ready' }>): number =>
    (state.identity.bundles.get(trustDomain) ?? '').split('BEGIN CERTIFICATE').length - 1;
});

describe('certificates of a Connect that is broken', () => {
  it.each([
    ['[]', 'something that is no'],
    ['{}', 'something that is no certificate'],
    ['{"CertPEM": "x", "PrivateKeyPEM": "y"}', 'PEM'],
    ['{"TrustDomain": "a.consul", "Roots": []}', 'something that is no certificate'],
  ])('%s is told and is no identity', async (body, reason) => {
    const agent = keep(await fakeConsul());
    agent.misbehave((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'x-consul-index': '1' }).end(body),
    );
    const { words } = watched({ address: `127.0.0.1:${agent.server.port}`, service: 'web' });
    await until(() => Promise.resolve(words().some((text) => text.includes(reason))));
    expect(words().filter((text) => !text.startsWith('failed: '))).toEqual([]);
  });
});
