import { describe, expect, it } from 'vitest';
import { MeshError } from '../errors.ts';
import { fakeClock, testExchange, testProgram, testRuntime, toProgram } from '../testing/index.ts';
import { deadline } from './deadline.ts';

/** Runs a call `waited` ms after it came in. Returns its deadline, in milliseconds from its start. */
function given(headers: Record<string, string>, waited = 0) {
  const clock = fakeClock();
  const program = testProgram();
  const exchange = testExchange({ clock, call: { headers } });
  const handler = deadline.inbound!({}, testRuntime({ clock }))(toProgram);
  const run = async (): Promise<number> => {
    clock.advance(waited);
    await handler(exchange, program);
    return exchange.life.deadline - exchange.life.startedAt;
  };
  return { run, clock, exchange, program };
}

describe('a caller who waits', () => {
  it.each([
    [{}, Infinity],
    [{ 'x-inmesh-deadline': '250' }, 250],
    [{ 'x-inmesh-deadline': '0.5' }, 0.5],
    [{ 'grpc-timeout': '2S' }, 2000],
    [{ 'grpc-timeout': '100m' }, 100],
    [{ 'grpc-timeout': '1M' }, 60_000],
    [{ 'grpc-timeout': '500u' }, 0.5],
    [{ 'grpc-timeout': '1000000n' }, 1],
    [{ 'grpc-timeout': '99999999H' }, 99_999_999 * 3_600_000],
    [{ 'x-inmesh-deadline': '250', 'grpc-timeout': '100m' }, 100],
    [{ 'x-inmesh-deadline': '100', 'grpc-timeout': '1S' }, 100],
    // What cannot be read is as none.
    [{ 'x-inmesh-deadline': '-1' }, Infinity],
    [{ 'x-inmesh-deadline': '1e3' }, Infinity],
    [{ 'x-inmesh-deadline': '' }, Infinity],
    [{ 'x-inmesh-deadline': '9'.repeat(400) }, Infinity],
    [{ 'grpc-timeout': '999999999H' }, Infinity],
    [{ 'grpc-timeout': '1s' }, Infinity],
    [{ 'grpc-timeout': 'S' }, Infinity],
  ] as [Record<string, string>, number][])('says %j: it ends after %d ms', async (headers, ms) => {
    expect(await given(headers).run()).toBe(ms);
  });

  it('is left when his time is over, and not before', async () => {
    const { run, clock, exchange } = given({ 'x-inmesh-deadline': '100' }, 40);
    await run();
    clock.advance(58);
    expect(exchange.life.why).toBeUndefined();
    clock.advance(3);
    expect(exchange.life.why).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });
});

describe('work is not begun', () => {
  it.each([
    ['for a caller without time', { 'x-inmesh-deadline': '0' }, 0],
    ['for a caller whose time went by in the filters above', { 'x-inmesh-deadline': '100' }, 100],
    ['for a gRPC caller without time', { 'grpc-timeout': '0n' }, 0],
  ] as [string, Record<string, string>, number][])('%s', async (_, headers, waited) => {
    const { run, program } = given(headers, waited);
    await expect(run()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', status: 504, grpcStatus: 4, phase: 'unsent' });
    expect(program.received).toEqual([]);
  });

  it('for a caller who went away meanwhile', async () => {
    const { run, program, exchange } = given({});
    exchange.life.cancel(new MeshError('CANCELLED', 'the caller closed the connection'));
    await expect(run()).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(program.received).toEqual([]);
  });
});
