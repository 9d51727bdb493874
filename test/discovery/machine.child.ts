// A machine: an HTTP server that says its name, and a mesh that registers it. Options as JSON.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createMesh } from 'inmesh';
import { registryServer } from '@inmesh/discovery/registry-server';

const { name, url, leaseSeconds } = JSON.parse(process.argv[2]!) as { name: string; url: string; leaseSeconds: number };
const server = createServer((_, response) => setTimeout(() => response.end(name), 2));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
const register = { service: 'reviews', ports: { http: port }, servicePorts: { http: 80 }, leaseSeconds, labels: { version: name } };
const mesh = await createMesh({
  policy: `apiVersion: inmesh.dev/v1\nkind: MeshConfig\nmetadata: { name: mesh }\n`,
  workload: { name, namespace: 'default' },
  registries: [registryServer({ url, register })],
});
const attached = mesh.attach(server);
process.once('SIGTERM', () => void leave());
process.send!(port);

async function leave(): Promise<void> {
  await mesh.close({ graceMs: 2000 });
  await attached.drain();
  process.exit(0);
}
