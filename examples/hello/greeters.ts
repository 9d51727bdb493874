/** Two tiny servers for hello.ts to call, one a language each. They do not keep the process alive. */
import { once } from 'node:events';
import { createServer } from 'node:http';

for (const [port, greeting] of [
  [18081, 'hello'],
  [18082, 'hola'],
] as const) {
  const server = createServer((_, response) => response.end(greeting))
    .listen(port, '127.0.0.1')
    .unref();
  await once(server, 'listening');
}
