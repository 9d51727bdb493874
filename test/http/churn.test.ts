import { describe, expect, it } from 'vitest';
import { destinationRule, meshOf, serviceEntry, virtualService } from '../support/mesh.ts';
import { say, upstream } from '../support/upstream.ts';

const HOST = 'shop.example.com';

describe('a policy that changes a hundred times a second under load', () => {
  it('loses no call and leaks nothing', { timeout: 60_000 }, async () => {
    const servers = await Promise.all(['v1', 'v2', 'v1', 'v2'].map((version) => upstream(say(version))));
    const policy = (turn: number) =>
      serviceEntry(
        HOST,
        // One endpoint comes and goes, too.
        servers.slice(0, turn % 5 === 0 ? 3 : 4).map(({ port }, index) => ({ port, labels: { version: index % 2 === 0 ? 'v1' : 'v2' } })),
      ) +
      destinationRule(
        HOST,
        `trafficPolicy: { outlierDetection: { consecutive5xxErrors: ${3 + (turn % 3)} } }\nsubsets:\n- { name: v1, labels: { version: v1 } }\n- { name: v2, labels: { version: v2 } }`,
      ) +
      virtualService(
        HOST,
        `- timeout: 5s
           headers: { request: { set: { x-turn: "${turn}" } } }
           route:
           - { destination: { host: ${HOST}, subset: v1 }, weight: ${turn % 100} }
           - { destination: { host: ${HOST}, subset: v2 }, weight: ${100 - (turn % 100)} }`,
      );
    const mesh = await meshOf(policy(1));
    const leasesAtStart = mesh.status().leases;
    let done = false;
    let calls = 0;
    const bad: unknown[] = [];
    const caller = async () => {
      while (!done) {
        const response = await mesh.request(`http://${HOST}/`);
        calls += 1;
        if (response.status !== 200) bad.push([response.status, response.text()]);
      }
    };
    const callers = Array.from({ length: 16 }, caller);
    const began = performance.now();
    let turn = 1;
    while (performance.now() - began < 10_000) {
      turn += 1;
      mesh.set(policy(turn));
      await new Promise((resolve) => setTimeout(resolve, 9));
    }
    mesh.set(policy(1));
    done = true;
    await Promise.all(callers);
    expect(bad).toEqual([]);
    expect(calls).toBeGreaterThan(1000);
    expect(turn).toBeGreaterThan(500);
    const applied = mesh.events.filter(({ type }) => type === 'policy.applied').length;
    expect(applied).toBeGreaterThan(500);
    const { leases, callsInFlight, rejected } = mesh.status();
    expect({ leases, callsInFlight, rejected }).toEqual({ leases: leasesAtStart, callsInFlight: 0, rejected: null });
    // Connections of policies gone by are gone too.
    const open = servers.reduce((sum, server) => sum + server.open.size, 0);
    expect(open).toBeLessThanOrEqual(16 * servers.length);
    await mesh.close();
    for (const server of servers) await server.kill();
  });
});
