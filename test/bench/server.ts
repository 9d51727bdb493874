/** Four plain HTTP servers in a process of their own: the upstream of every scenario. Prints their ports, ends with its parent. */
import { createServer } from 'node:http';

const body = 'x'.repeat(100);
const ports: number[] = [];
for (let i = 0; i < 4; i += 1) {
  const server = createServer((request, response) => {
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
