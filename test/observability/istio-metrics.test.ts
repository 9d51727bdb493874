import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const entry = (port: number): string => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: vault, namespace: default }
spec:
  hosts: [vault.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: vault, labels: { app: vault, version: v2 } }]
`;

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function samples(mesh: TestMesh, name: string): Sample[] {
  return mesh
    .metrics()
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`))
    .map((line) => ({
      name,
      labels: Object.fromEntries([...line.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!])),
      value: Number(line.slice(line.lastIndexOf(' '))),
    }));
}

const sum = (mesh: TestMesh, name: string): number => samples(mesh, name).reduce((total, { value }) => total + value, 0);
const NO_RULES = 'apiVersion: v1\nkind: List\nitems: []\n';

describe('a call inside the mesh', () => {
  let [client, server] = [undefined as unknown as TestMesh, undefined as unknown as TestMesh];
  let port = 0;

  beforeEach(async () => {
    const ca = createDevCa();
    const certificates = (serviceAccount: string) => devCertificates(ca, { namespace: 'default', serviceAccount });
    server = await meshOf(NO_RULES, {
      identity: certificates('vault'),
      workload: { name: 'vault-v2', labels: { app: 'vault', version: 'v2' }, cluster: 'east', serviceAccount: 'vault' },
    });
    left.push(server);
    const listening = await server.listen(
      (request, response) => {
        request.resume();
        request.on('end', () => response.end(request.url === '/big' ? 'x'.repeat(50_000) : 'ok'));
      },
      { port: 0, host: '127.0.0.1' },
    );
    port = listening.port;
    client = await meshOf(entry(port), {
      identity: certificates('web'),
      workload: { name: 'web-v1', labels: { app: 'web', version: 'v1' }, cluster: 'west', serviceAccount: 'web' },
    });
    left.push(client);
  });

  it('is told by both sides alike: who called whom, secured how', async () => {
    for (let call = 0; call < 3; call += 1) await (await client.fetch('http://vault.example.com/')).text();
    const [source] = samples(client, 'istio_requests_total');
    const [destination] = samples(server, 'istio_requests_total');
    const shared = {
      source_workload: 'web-v1', source_workload_namespace: 'default', source_principal: 'spiffe://cluster.local/ns/default/sa/web', source_app: 'web',
      source_version: 'v1', source_cluster: 'west', source_canonical_service: 'web', source_canonical_revision: 'v1',
      destination_workload_namespace: 'default', destination_principal: 'spiffe://cluster.local/ns/default/sa/vault', destination_app: 'vault',
      destination_version: 'v2', destination_canonical_service: 'vault', destination_canonical_revision: 'v2',
      request_protocol: 'http', response_code: '200', response_flags: '-', connection_security_policy: 'mutual_tls',
    }; // prettier-ignore
    expect(source).toMatchObject({ value: 3, labels: { ...shared, reporter: 'source', destination_service: 'vault.example.com', destination_workload: 'unknown' } }); // prettier-ignore
    expect(destination).toMatchObject({ value: 3, labels: { ...shared, reporter: 'destination', destination_workload: 'vault-v2', destination_cluster: 'east' } }); // prettier-ignore
    expect(Object.keys(source!.labels)).toHaveLength(24);
    expect(Object.keys(destination!.labels)).toHaveLength(24);
  });

  it('weighs as much to the one who sent it as to the one who got it', async () => {
    await client.request('http://vault.example.com/x', { method: 'POST', body: 'y'.repeat(3000) });
    await (await client.fetch('http://vault.example.com/big')).text();
    for (const name of ['istio_request_bytes_sum', 'istio_response_bytes_sum']) {
      const [sent, received] = [sum(client, name), sum(server, name)];
      // undici and Node add some headers of their own that the caller's side does not see.
      expect(Math.abs(sent - received), `${name}: ${sent} and ${received}`).toBeLessThan(300);
      expect(received).toBeGreaterThan(name.startsWith('istio_request') ? 3000 : 50_000);
    }
  });

  it('is known to the server only as far as it was told: a stranger is nobody', async () => {
    const socket = connect(port, '127.0.0.1');
    const request = 'GET / HTTP/1.1\r\nhost: vault.example.com\r\nx-envoy-peer-metadata: !!\r\nconnection: close\r\n\r\n';
    socket.write(request);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    await once(socket, 'close');
    const [{ labels, value }] = samples(server, 'istio_requests_total') as [Sample];
    expect(value).toBe(1);
    expect(labels).toMatchObject({
      source_workload: 'unknown', source_principal: 'unknown', source_workload_namespace: 'unknown', source_cluster: 'unknown', source_canonical_revision: 'latest',
      destination_workload: 'vault-v2', destination_principal: 'unknown', connection_security_policy: 'none',
    }); // prettier-ignore
    expect([sum(server, 'istio_request_bytes_sum'), sum(server, 'istio_response_bytes_sum')]).toEqual([request.length, answer.length]);
  });

  it('of HTTP/2 weighs its bodies and heads too', async () => {
    const plain = createHttp2Server((request, response) => {
      request.resume();
      request.on('end', () => response.end('x'.repeat(50_000)));
    });
    server.attach(plain);
    await once(plain.listen(0, '127.0.0.1'), 'listening');
    const session = connectHttp2(`http://127.0.0.1:${(plain.address() as AddressInfo).port}`);
    const stream = session.request({ ':method': 'POST', ':path': '/big' });
    stream.end('z'.repeat(777));
    stream.resume();
    await once(stream, 'close');
    session.close();
    plain.close();
    expect(sum(server, 'istio_request_bytes_sum')).toBeGreaterThan(777);
    expect(sum(server, 'istio_request_bytes_sum')).toBeLessThan(1000);
    expect(sum(server, 'istio_response_bytes_sum')).toBeGreaterThan(50_000);
    expect(sum(server, 'istio_response_bytes_sum')).toBeLessThan(50_400);
  });
});

it('has the bounds a program asks for, and refuses those that make no histogram', async () => {
  const mesh = await meshOf(NO_RULES, { identity: false, metrics: { buckets: [10, 300] } });
  left.push(mesh);
  const listening = await mesh.listen((_, response) => response.end('ok'), { port: 0, host: '127.0.0.1' });
  await (await fetch(`http://127.0.0.1:${listening.port}/`)).text();
  // Counted when the last byte is through, which the caller may know first.
  await expect
    .poll(() => samples(mesh, 'istio_request_duration_milliseconds_bucket').map(({ labels }) => labels['le']))
    .toEqual(['10', '300', '+Inf']);
  await expect(meshOf(NO_RULES, { identity: false, metrics: { buckets: [300, 10] } })).rejects.toMatchObject({ code: 'MISUSE' });
});
