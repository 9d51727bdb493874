import { describe, expect, it } from 'vitest';
import { MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import { type MeshEvent, silentRoute } from '../observer.ts';
import { fakeClock, type ScriptedAttempt, scriptedTransport, type TestCall, testClusterPolicy, testEndpoint, testExchange, testRuntime } from '../testing/index.ts'; // prettier-ignore
import { UpstreamStats } from '../upstream-stats.ts';
import { transparentRetry } from './transparent-retry.ts';

const refused = new MeshError('REFUSED', 'the server did not begin');

/** Over a cluster that gives attempt n the endpoint `10.0.0.n:80`. */
function scene(play: (attempt: ScriptedAttempt) => void, call: TestCall = {}, attempt = 0) {
  const clock = fakeClock();
  const events: MeshEvent[] = [];
  const stats = new UpstreamStats();
  const transport = scriptedTransport(play);
  let placed = 0;
  const bottom: Handler = (exchange, wire) => {
    const endpoint = testEndpoint(`10.0.0.${placed++}:80`);
    exchange.life.endpoint = endpoint;
    return wire.attempt(exchange, { endpoint, policy: testClusterPolicy(), wires: new Map(), stats, responded: () => {}, ended: () => {} });
  };
  const runtime = testRuntime({ clock, observer: { route: () => silentRoute, event: (event) => void events.push(event) } });
  const handler = transparentRetry.outbound!({ cluster: { name: 'outbound|80||reviews', stats } }, runtime)(bottom);
  const exchange = testExchange({ clock, call: { protocol: 'grpc', ...call }, attempt });
  return { exchange, transport, events, stats, outcome: handler(exchange, transport) };
}

const secondAnswers = (attempt: ScriptedAttempt): void => {
  if (attempt.address === '10.0.0.0:80') attempt.fail(refused);
  else attempt.reply(200);
};

describe('a transparent retry', () => {
  it('places a call that was refused again, at once and elsewhere, as the same attempt', async () => {
    const { outcome, transport, events } = scene(secondAnswers);
    expect(await outcome).toMatchObject({ value: 'answer of 10.0.0.1:80' });
    expect(transport.latest.exchange).toMatchObject({ attempt: 0, tried: [{ address: '10.0.0.0:80' }] });
    expect(events).toEqual([{ type: 'call.retried', cluster: 'outbound|80||reviews', attempt: 0, reason: 'transparent' }]);
  });

  it('is made once: a second refusal is the outcome', async () => {
    const { outcome, transport } = scene((attempt) => attempt.fail(refused));
    await expect(outcome).rejects.toBe(refused);
    expect(transport.attempts).toHaveLength(2);
  });

  it('is not made between the retries of a policy', async () => {
    const { outcome, transport } = scene(secondAnswers, {}, 1);
    await expect(outcome).rejects.toBe(refused);
    expect(transport.attempts).toHaveLength(1);
  });

  it.each([
    ['of HTTP', { protocol: 'http' }, refused],
    ['that cannot be sent again', { replayable: false }, refused],
    ['that may have begun', {}, new MeshError('RESET', 'connection reset')],
    ['whose headers had come', {}, new MeshError('REFUSED', 'odd server', { phase: 'answered' })],
    ['that the mesh could not place', {}, new MeshError('NO_ENDPOINT', 'nobody there')],
  ] as const)('is not for a call %s', async (_, call, error) => {
    const { outcome, transport, events } = scene((attempt) => attempt.fail(error), call);
    await expect(outcome).rejects.toBe(error);
    expect(transport.attempts).toHaveLength(1);
    expect(events).toEqual([]);
  });

  it('is not for a call that ended meanwhile', async () => {
    const { outcome, exchange, transport } = scene((attempt) => attempt.fail(refused));
    exchange.life.cancel(new MeshError('CANCELLED', 'the caller left'));
    await expect(outcome).rejects.toBe(refused);
    expect(transport.attempts).toHaveLength(1);
  });
});
