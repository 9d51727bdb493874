import type { Fault } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '../deadlines.ts';
import { flagBit, MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import { Life } from '../life.ts';
import { fakeClock, scriptedTransport, seededRandom, testExchange, testRuntime } from '../testing/index.ts';
import { fault } from './fault.ts';

const abort = (percent: number): Fault['abort'] => ({ httpStatus: 418, grpcStatus: null, percent });
const delay = (percent: number): Fault['delay'] => ({ ms: 5000, percent });

function scene(config: Partial<Fault>, random: () => number = seededRandom(1)) {
  const clock = fakeClock();
  const transport = scriptedTransport();
  let passed = 0;
  const next: Handler = (exchange, wire) => {
    passed += 1;
    return Promise.resolve(wire.answer(exchange, { status: 200, grpcStatus: 0, headers: [], body: 'ok', message: '' }));
  };
  const handler = fault.outbound!({ delay: null, abort: null, ...config }, testRuntime({ clock, random }))(next);
  const life = new Life(0, new Deadlines(clock));
  return { clock, transport, life, run: () => handler(testExchange({ life }), transport), passed: () => passed };
}

describe('a fault', () => {
  it('aborts with the status and words of Envoy', async () => {
    const { run, life, passed, transport } = scene({ abort: abort(100) });
    const reply = await run();
    expect(reply).toMatchObject({ status: 418, value: 'fault filter abort' });
    expect(transport.answers[0]!.headers).toEqual([['content-type', 'text/plain']]);
    expect(life.flags).toBe(flagBit.FI);
    expect(passed()).toBe(0);
  });

  it('aborts with a gRPC status as trailers-only', async () => {
    const { run, transport } = scene({ abort: { httpStatus: null, grpcStatus: 14, percent: 100 } });
    await run();
    expect(transport.answers[0]).toEqual({ status: 200, grpcStatus: 14, headers: [['grpc-status', '14'], ['grpc-message', 'fault filter abort']], body: '', message: 'fault filter abort' }); // prettier-ignore
  });

  it('delays, then goes on', async () => {
    const { run, clock, life, passed } = scene({ delay: delay(100) });
    const reply = run();
    await clock.pass(4999);
    expect(passed()).toBe(0);
    await clock.pass(1);
    expect((await reply).status).toBe(200);
    expect(life.flags).toBe(flagBit.DI);
  });

  it('delays first and aborts then', async () => {
    const { run, clock, life } = scene({ delay: delay(100), abort: abort(100) });
    const reply = run();
    await clock.pass(5000);
    expect((await reply).status).toBe(418);
    expect(life.flags).toBe(flagBit.DI | flagBit.FI);
  });

  it('draws delay and abort each on its own', async () => {
    const draws = [0.4, 0.9];
    const { run, clock, life } = scene({ delay: delay(50), abort: abort(50) }, () => draws.shift()!);
    const reply = run();
    await clock.pass(5000);
    expect((await reply).status).toBe(200);
    expect(life.flags).toBe(flagBit.DI);
    expect(draws).toEqual([]);
  });

  it('of 0 percent never strikes', async () => {
    const { run, life } = scene({ delay: delay(0), abort: abort(0) }, () => 0);
    expect((await run()).status).toBe(200);
    expect(life.flags).toBe(0);
  });

  it.each([
    [0.0001, 0, true],
    [0.0001, 0.000001, false],
    [0.29, 0.0028999, true],
    [0.29, 0.0029, false],
    [0.0003, 0.0000025, true],
    [0.00009, 0, false],
    [100, 1 - 2 ** -53, true],
  ])('of %d percent drawn at %d: %s', async (percent, draw, struck) => {
    expect((await scene({ abort: abort(percent) }, () => draw).run()).status).toBe(struck ? 418 : 200);
  });

  it('strikes its share of calls', async () => {
    const { run } = scene({ abort: abort(10) });
    let struck = 0;
    for (let call = 0; call < 10_000; call += 1) if ((await run()).status === 418) struck += 1;
    expect(struck).toBeGreaterThan(900);
    expect(struck).toBeLessThan(1100);
  });

  it('stops waiting when the caller gives up', async () => {
    const { run, clock, life, passed } = scene({ delay: delay(100) });
    const reply = run();
    await clock.pass(10);
    const gone = new MeshError('CANCELLED', 'the caller went away');
    life.cancel(gone);
    await expect(reply).rejects.toBe(gone);
    expect(clock.pending).toBe(0);
    expect(passed()).toBe(0);
  });

  it('stops waiting at a deadline the caller brought', async () => {
    const { run, clock, life } = scene({ delay: delay(100) });
    life.limit(1000);
    const reply = run();
    void reply.catch(() => {});
    await clock.pass(1000);
    await expect(reply).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(clock.pending).toBe(0);
  });
});
