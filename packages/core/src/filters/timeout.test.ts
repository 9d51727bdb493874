import { describe, expect, it } from 'vitest';
import { Deadlines } from '../deadlines.ts';
import type { Handler } from '../handler.ts';
import { Life } from '../life.ts';
import { fakeClock, scriptedTransport, testExchange, testRuntime } from '../testing/index.ts';
import { timeout } from './timeout.ts';

const never: Handler = () => new Promise(() => {});

function scene(config: { ms: number; waited: boolean }, protocol: 'http' | 'websocket' = 'http') {
  const clock = fakeClock({ now: 100 });
  const life = new Life(40, new Deadlines(clock));
  const exchange = testExchange({ life, call: { protocol } });
  void timeout.outbound!(config, testRuntime({ clock }))(never)(exchange, scriptedTransport());
  return { clock, life, exchange };
}

describe('a timeout', () => {
  it('counts from the start of the call', () => {
    expect(scene({ ms: 1000, waited: false }).life.deadline).toBe(1040);
  });

  it('counts from now where an injected delay came before', () => {
    expect(scene({ ms: 1000, waited: true }).life.deadline).toBe(1100);
  });

  it('ends the call with 504 UT', async () => {
    const { clock, life } = scene({ ms: 1000, waited: true });
    await clock.pass(1000);
    expect(life.why).toMatchObject({ code: 'DEADLINE_EXCEEDED', status: 504, flag: 'UT' });
  });

  it('bounds only the handshake of a WebSocket', () => {
    const { life, exchange } = scene({ ms: 1000, waited: false }, 'websocket');
    expect(life.deadline).toBe(Infinity);
    expect(exchange.attemptTimeoutMs).toBe(1000);
  });
});
