/**
 * Four servers in a process of their own: the upstream of every scenario. `plain`, `grpc`, or `mutual` with the folder of a
 * development CA: servers of the mesh that take mutual TLS only. Prints their ports, ends with its parent.
 */
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { createServer, type RequestListener, type Server } from 'node:http';

const body = 'x'.repeat(100);
const [kind, ca] = process.argv.slice(2);
const create = ca === undefined ? (handler: RequestListener): Server => createServer(handler) : await mutual(ca);
const ports: number[] = [];
for (let i = 0; i < 4; i += 1) {
  if (kind === 'grpc') {
    ports.push(await grpcServer());
    continue;
  }
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

async function grpcServer(): Promise<number> {
  const { Server: GrpcServer, ServerCredentials } = await import('@grpc/grpc-js');
  const { ECHO } = await import('./echo.ts');
  const server = new GrpcServer();
  const answer = Buffer.from(body);
  server.addService(ECHO, {
    Say: (_: unknown, callback: (error: null, answer: Buffer) => void) => callback(null, answer),
    Repeat: (call: ServerWritableStream<Buffer, Buffer>) => {
      let left = Number(call.request.toString());
      const write = (): void => {
        while (left > 0) {
          left -= 1;
          if (!call.write(answer)) return void call.once('drain', write);
        }
        call.end();
      };
      write();
    },
    Chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', () => call.write(answer));
      call.on('end', () => call.end());
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
  });
}

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
