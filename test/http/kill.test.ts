import { describe, expect, it } from 'vitest';
import { request } from 'undici';
import { meshOf, serviceEntry, virtualService } from '../support/mesh.ts';
import { rawUpstream, type Upstream } from '../support/upstream.ts';

const HOST = 'shop.example.com';
const IN_FLIGHT = 32;
const ROUNDS = 20;

/** A server that takes a few milliseconds per call and counts by id what it began to execute. */
async function worker(executed: Map<string, number>): Promise<Upstream> {
  return rawUpstream((incoming, response) => {
    const id = incoming.headers['x-id'] as string;
    incoming.resume().on('end', () => {
      executed.set(id, (executed.get(id) ?? 0) + 1);
      setTimeout(() => response.end('done'), 3);
    });
  });
}

/** Keeps 32 calls in flight for `calls` calls and kills one of five servers in the middle. Tells what came of each. */
async function killOneOfFive(method: 'GET' | 'POST', retries: string) {
  const executed = new Map<string, number>();
  const servers = await Promise.all([1, 2, 3, 4, 5].map(() => worker(executed)));
  const mesh = await meshOf(
    serviceEntry(
      HOST,
      servers.map(({ port }) => port),
    ) + virtualService(HOST, `- retries: ${retries}\n  route: [{ destination: { host: ${HOST} } }]`),
  );
  const outcomes: { readonly id: string; readonly status: number; readonly flags: string }[] = [];
  const calls = 600;
  let next = 0;
  const caller = async () => {
    while (next < calls) {
      const id = String(next++);
      if (next === calls / 3) void servers[2]!.kill();
      const response = await request(`http://${HOST}/x`, {
        dispatcher: mesh.dispatcher,
        method,
        headers: { 'x-id': id },
        ...(method === 'POST' ? { body: 'pay' } : {}),
      });
      await response.body.dump();
      outcomes.push({ id, status: response.statusCode, flags: (response.headers['x-inmesh-flags'] as string | undefined) ?? '' });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  const metrics = mesh.metrics();
  const { callsInFlight } = mesh.status();
  await mesh.close();
  for (const server of servers) await server.kill();
  return { outcomes, executed, metrics, callsInFlight };
}

describe('killing one of five endpoints under load', () => {
  it(`loses no GET that may be repeated (${ROUNDS} times)`, { timeout: 120_000 }, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { outcomes, callsInFlight } = await killOneOfFive('GET', '{ attempts: 1, retryOn: "connect-failure,reset" }');
      expect(outcomes).toHaveLength(600);
      expect(outcomes.filter(({ status }) => status !== 200)).toEqual([]);
      expect(callsInFlight).toBe(0);
    }
  });

  it(`executes no POST twice; those cut in flight end as 503 UC and are counted (${ROUNDS} times)`, { timeout: 120_000 }, async () => {
    let cut = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { outcomes, executed, metrics } = await killOneOfFive(
        'POST',
        '{ attempts: 1, retryOn: "connect-failure,refused-stream,reset-before-request" }',
      );
      expect(outcomes).toHaveLength(600);
      expect([...executed].filter(([, times]) => times > 1)).toEqual([]);
      const failed = outcomes.filter(({ status }) => status !== 200);
      cut += failed.length;
      expect(failed.filter(({ status, flags }) => status !== 503 || flags !== 'UC')).toEqual([]);
      const counted = /istio_requests_total\{[^}]*response_code="503"[^}]*response_flags="UC"[^}]*\} (\d+)/.exec(metrics)?.[1] ?? '0';
      expect(Number(counted)).toBe(failed.length);
      // A call that was answered was executed, and one that was not may have been, once.
      for (const { id, status } of outcomes) if (status === 200) expect(executed.get(id)).toBe(1);
    }
    // The kill must have met calls in flight, or this test proves nothing.
    expect(cut).toBeGreaterThan(0);
  });
});
