import type { RequestListener } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { CreateMeshOptions, InboundMesh } from 'inmesh';
import { createDevCa, type DevCa, devCertificates } from '@inmesh/identity/dev';
import { meshOf, serviceEntry, type TestMesh } from '../support/mesh.ts';
import { peerAuthentication } from '../support/raw.ts';
import { endpointAt, testRegistry } from '../support/test-registry.ts';

// What a registry says of an endpoint is that it can take mutual TLS; whether it does is the policy's to say.

const HOST = 'vault.example.com';
const CALLER = 'spiffe://cluster.local/ns/default/sa/storefront';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function member(ca: DevCa, serviceAccount: string, yaml: string, options: CreateMeshOptions = {}): Promise<TestMesh> {
  const identity = devCertificates(ca, { namespace: 'default', serviceAccount });
  const mesh = await meshOf(yaml, { identity, workload: { name: serviceAccount, labels: { app: serviceAccount } }, ...options });
  left.push(mesh);
  return mesh;
}

const whoami: RequestListener = (request: Parameters<RequestListener>[0] & { mesh?: InboundMesh }, response) =>
  void response.end(request.mesh?.principal?.uri ?? 'somebody in clear text');

/** A server and a caller that knows it from a registry alone. */
async function setting() {
  const ca = createDevCa();
  const server = await member(ca, 'vault', '');
  const listening = await server.listen(whoami, { port: 0, host: '127.0.0.1' });
  left.push({ [Symbol.asyncDispose]: () => listening.close() });
  const registry = testRegistry('kubernetes', HOST);
  const service = serviceEntry(HOST, []);
  const client = await member(ca, 'storefront', service, { registries: [registry] });
  registry.say(endpointAt(listening.port, { mtls: true, namespace: 'default', serviceAccount: 'vault', labels: { app: 'vault' } }));
  const call = async (): Promise<string> => {
    const response = await client.fetch(`http://${HOST}/`);
    return `${response.status} ${await response.text()}`;
  };
  return {
    server,
    client,
    registry,
    call,
    port: listening.port,
    apply: (...documents: readonly string[]) => {
      server.set(documents.join(''));
      client.set([service, ...documents].join(''));
    },
  };
}

/** A policy for the workload `vault`. */
const own = (spec: string): string => `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: own, namespace: default }
spec: { selector: { matchLabels: { app: vault } }, ${spec} }
`;

describe('PeerAuthentication of endpoints that a registry names', () => {
  it('DISABLE: calls go in clear text from the next one on, and by mutual TLS again once it is taken back', async () => {
    const { call, apply, registry } = await setting();
    expect(await call()).toBe(`200 ${CALLER}`);
    apply(peerAuthentication('DISABLE'));
    expect(await call()).toBe('200 somebody in clear text');
    apply();
    expect(await call()).toBe(`200 ${CALLER}`);
    expect(registry.followers).toBe(1);
  });

  it('DISABLE of a port, or of a workload, is for those alone', async () => {
    const { call, apply, port } = await setting();
    apply(peerAuthentication('STRICT'), own(`portLevelMtls: { ${port}: { mode: DISABLE } }`));
    expect(await call()).toBe('200 somebody in clear text');
    apply(peerAuthentication('DISABLE'), own('mtls: { mode: STRICT }'));
    expect(await call()).toBe(`200 ${CALLER}`);
    apply(peerAuthentication('STRICT'), own('mtls: { mode: DISABLE }'));
    expect(await call()).toBe('200 somebody in clear text');
  });

  it('holds for an endpoint that joins later', async () => {
    const { call, apply, registry, port } = await setting();
    apply(peerAuthentication('DISABLE'));
    registry.say();
    registry.say(endpointAt(port, { mtls: true, namespace: 'default', serviceAccount: 'vault' }));
    expect(await call()).toBe('200 somebody in clear text');
  });
});
