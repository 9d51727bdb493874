/**
 * One process of the shop: `node backend.ts ROLE VERSION POLICY CA`. Listens on a free port of loopback and tells its parent
 * which, and where its admin port is, then how many requests have reached it. Obeys `{ delayMs }` and leaves when its parent does.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { openService, type Role } from './services.ts';

/** What a backend tells its parent when it is ready. */
export interface Listening {
  readonly port: number;
  /** URL of its admin port; undefined if it has no mesh. */
  readonly admin?: string | undefined;
}

/** What a backend tells its parent. `outcomes`: of calls of gRPC, by status. */
export type Report = Listening | { readonly arrived: number; readonly outcomes: Readonly<Record<string, number>> };

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

async function answer(): ReturnType<typeof service.answer> {
  arrived += 1;
  if (delayMs > 0) await sleep(delayMs);
  return service.answer().catch((error: unknown) => ({ status: 500, body: { error: String(error) } }));
}

process.on('message', (order: Order) => {
  delayMs = order.delayMs;
});
// Ctrl-C reaches the whole group of processes; the parent decides when to stop.
process.on('SIGINT', () => {});
// What is delayed at this moment would keep us.
process.on('disconnect', () => void service.close().finally(() => process.exit(0)));

setInterval(() => report({ arrived, outcomes: service.outcomes?.() ?? {} }), 250).unref();
report({ port: await service.listen(answer), admin: service.admin });
