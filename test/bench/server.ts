/**
 * Four servers in a process of their own: the upstream of every scenario. Plain ones; with a folder of a development CA, servers of the
 * mesh that take mutual TLS only. Prints their ports, ends with its parent.
 */
import { createServer, type RequestListener, type Server } from 'node:http';

const body = 'x'.repeat(100);
const [ca] = process.argv.slice(2);
const create = ca === undefined ? (handler: RequestListener): Server => createServer(handler) : await mutual(ca);
const ports: number[] = [];
for (let i = 0; i < 4; i += 1) {
  const server = create((request, response) => {
    request.resume();
    response.setHeader('content-type', 'text/plain');
    response.end(body);
  });
  // Idle connections must not end in the middle of a scenario.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ports.push((server.address() as { port: number }).port);
}
console.log(JSON.stringify(ports));
process.stdin.resume().on('end', () => process.exit(0));

async function mutual(folder: string): Promise<(handler: RequestListener) => Server> {
  const { createMesh } = await import('inmesh');
  const { memorySource } = await import('@inmesh/policy/source');
  const { devCertificates, loadDevCa } = await import('@inmesh/identity/dev');
  const { STRICT } = await import('./inbound-policy.ts');
  const mesh = await createMesh({
    policy: memorySource([{ file: 'bench.yaml', text: STRICT }]),
    workload: { name: 'echo', namespace: 'default' },
    identity: devCertificates(await loadDevCa(folder), { namespace: 'default', serviceAccount: 'echo' }),
  });
  return mesh.createServer;
}
