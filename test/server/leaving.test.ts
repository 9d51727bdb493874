import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import type { Listening } from 'inmesh';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const services = (ports: readonly number[]) => `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: vault, namespace: default }
spec:
  hosts: [vault.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [${ports.map((port) => `{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: vault }`).join(', ')}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vault, namespace: default }
spec:
  hosts: [vault.example.com]
  http: [{ retries: { attempts: 0 }, route: [{ destination: { host: vault.example.com } }] }]
`;

/** Asks at a steady rate until it is stopped, and tells what became of every call. */
function asking(mesh: TestMesh) {
  const statuses: number[] = [];
  const failures: string[] = [];
  const under = new Set<Promise<void>>();
  const ask = async (): Promise<void> => {
    const response = await mesh.fetch('http://vault.example.com/');
    const text = await response.text();
    if (response.status !== 200) failures.push(text.trim());
    statuses.push(response.status);
  };
  const timer = setInterval(() => {
    const call = ask().catch(() => void failures.push('rejected'));
    under.add(call);
    void call.finally(() => under.delete(call));
  }, 5);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(under);
      return { asked: statuses.length, failures };
    },
  };
}

describe('without a lost call, and without a retry of the caller', () => {
  it('each of three backends restarts in turn', async () => {
    const ca = createDevCa();
    const identity = (serviceAccount: string) => devCertificates(ca, { namespace: 'default', serviceAccount });
    const server = await meshOf(services([]), { identity: identity('vault'), workload: { name: 'vault' } });
    const client = await meshOf(services([]), { identity: identity('client') });
    left.push(server, client);
    const start = () => server.listen((_, response) => void sleep(10).then(() => response.end('ok')), { port: 0, host: '127.0.0.1' });
    const backends: Listening[] = [await start(), await start(), await start()];
    const told = () => client.set(services(backends.map(({ port }) => port)));
    told();
    const traffic = asking(client);
    await sleep(200);
    for (const index of [0, 1, 2]) {
      const leaving = backends[index]!;
      backends[index] = await start();
      told();
      // Callers learn of it while it still serves.
      await leaving.close({ delayMs: 150, graceMs: 5000 });
      await sleep(150);
    }
    const { asked, failures } = await traffic.stop();
    left.push(...backends);
    expect(asked).toBeGreaterThan(100);
    expect(failures).toEqual([]);
  });

  it('certificates rotate every second and a half, and the root is exchanged meanwhile', async () => {
    const ca = createDevCa();
    const identity = (serviceAccount: string) => devCertificates(ca, { namespace: 'default', serviceAccount, ttlMs: 3000 });
    const server = await meshOf(services([]), { identity: identity('vault'), workload: { name: 'vault' } });
    const client = await meshOf(services([]), { identity: identity('client') });
    left.push(server, client);
    const backend = await server.listen((_, response) => response.end('ok'), { port: 0, host: '127.0.0.1' });
    left.push(backend);
    client.set(services([backend.port]));
    const traffic = asking(client);
    const serials = new Set<number>();
    for (let step = 0; step < 26; step += 1) {
      await sleep(250);
      serials.add(client.status().identity!.expiresAt);
      // Announced, signing, done: everyone renews in between.
      if (step === 6 || step === 13 || step === 20) ca.rotateRoot();
    }
    const { asked, failures } = await traffic.stop();
    expect(serials.size).toBeGreaterThan(3);
    expect(asked).toBeGreaterThan(100);
    expect(failures).toEqual([]);
  });

  it('what outlasts its grace is cut', async () => {
    const server = await meshOf('', { identity: false });
    left.push(server);
    const backend = await server.listen(() => {}, { port: 0, host: '127.0.0.1' });
    const cut = fetch(`http://127.0.0.1:${backend.port}/`).then(() => 'answered', () => 'cut'); // prettier-ignore
    await sleep(50);
    const began = performance.now();
    await backend.close({ graceMs: 200 });
    expect(performance.now() - began).toBeLessThan(1500);
    expect(await cut).toBe('cut');
  });
});
