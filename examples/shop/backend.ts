/**
 * One process of the shop: `node backend.ts ROLE VERSION POLICY CA`. Listens on a free port of loopback and tells its parent
 * which, then how many requests have reached it. Obeys `{ delayMs }` and leaves when its parent does.
 */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { openService, type Role } from './services.ts';

/** What a backend tells its parent. */
export type Report = { readonly port: number } | { readonly arrived: number };

/** What the parent tells a backend: how long each answer shall be held back from now on. */
export interface Order {
  readonly delayMs: number;
}

const [role, version, policy, ca] = process.argv.slice(2) as [Role, string, string, string];
// A parent that is gone already is found out by the disconnect, not here.
const report = (news: Report): void => void (process.connected && process.send?.(news, () => {}));

let arrived = 0;
let delayMs = 0;
const service = await openService(role, version, policy, ca);
// Warm before it says that it is ready, as a service with a readiness probe is.
for (let call = 0; call < 20; call += 1) await service.answer();

const handle: RequestListener = (request, response) => {
  arrived += 1;
  request.resume();
  void reply().then(({ status, body }) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  });
};
// The one line that protects a service. What is somebody else's has no mesh.
const server = service.mesh?.createServer(handle) ?? createServer(handle);

async function reply(): ReturnType<typeof service.answer> {
  if (delayMs > 0) await sleep(delayMs);
  return service.answer().catch((error: unknown) => ({ status: 500, body: { error: String(error) } }));
}

process.on('message', (order: Order) => {
  delayMs = order.delayMs;
});
// Ctrl-C reaches the whole group of processes; the parent decides when to stop.
process.on('SIGINT', () => {});
process.on('disconnect', () => {
  server.close();
  server.closeAllConnections();
  // What is delayed at this moment would keep us.
  void service.close().finally(() => process.exit(0));
});

setInterval(() => report({ arrived }), 250).unref();
server.listen(0, '127.0.0.1', () => report({ port: (server.address() as AddressInfo).port }));
