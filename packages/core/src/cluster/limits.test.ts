import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Exchange, Reply } from '../exchange.ts';
import { Deadlines } from '../deadlines.ts';
import { MeshError } from '../errors.ts';
import { Life } from '../life.ts';
import { fakeClock, testExchange } from '../testing/index.ts';
import { WaitingLine } from './limits.ts';

const answer: Reply<string> = { value: 'ok', status: 200, grpcStatus: -1, header: () => undefined, endpoint: undefined, discard: () => {} };

function setting() {
  const clock = fakeClock();
  const deadlines = new Deadlines(clock);
  const exchange = (): Exchange => testExchange({ life: new Life(clock.now(), deadlines) });
  return { clock, deadlines, exchange, line: new WaitingLine<number>() };
}

test('serves in order of arrival, with what they waited for', async () => {
  const { line, exchange } = setting();
  const seen: string[] = [];
  const calls = ['a', 'b', 'c'].map((name) =>
    line.wait(exchange(), (given) => {
      seen.push(`${name}${given}`);
      return Promise.resolve(answer);
    }),
  );
  for (let given = 1; given <= 3; given += 1) line.shift()!.serve(given);
  await Promise.all(calls);
  expect(seen).toEqual(['a1', 'b2', 'c3']);
  expect(line.size).toBe(0);
  expect(line.shift()).toBeUndefined();
});

test('keeps the process alive for as long as somebody waits', async () => {
  const { clock, exchange } = setting();
  const line = new WaitingLine<number>(() => clock.after(1e9, () => {}));
  const calls = [exchange(), exchange()].map((one) => line.wait(one, () => Promise.resolve(answer)));
  expect(clock.pending).toBe(1);
  line.shift()!.serve(1);
  expect(clock.pending).toBe(1);
  line.shift()!.serve(2);
  expect(clock.pending).toBe(0);
  await Promise.all(calls);
});

test('a caller who leaves is out at once, from the middle too, and the rest keep their order', async () => {
  const { line, exchange } = setting();
  const exchanges = [exchange(), exchange(), exchange()];
  const calls = exchanges.map((one) => line.wait(one, () => Promise.resolve(answer)));
  const gone = new MeshError('CANCELLED', 'bye');
  exchanges[1]!.life.cancel(gone);
  await expect(calls[1]).rejects.toBe(gone);
  expect(line.size).toBe(2);
  expect(line.first!.exchange).toBe(exchanges[0]);
  line.shift();
  expect(line.first!.exchange).toBe(exchanges[2]);
});

test('a call that is cancelled already does not stand in line', async () => {
  const { line, exchange } = setting();
  const one = exchange();
  one.life.cancel(new MeshError('CANCELLED', 'bye'));
  await expect(line.wait(one, () => Promise.resolve(answer))).rejects.toThrow('bye');
  expect(line.size).toBe(0);
});

test('leaves at its deadline, or earlier where it may only wait so long', async () => {
  const { line, exchange, clock, deadlines } = setting();
  const [early, late] = [exchange(), exchange()];
  early.life.limit(50);
  const bound = { at: 100, error: () => new MeshError('NO_ENDPOINT', 'waited 100 ms') };
  const calls = [early, late].map((one) => line.wait(one, () => Promise.resolve(answer), bound));
  const outcomes = Promise.allSettled(calls);
  clock.advance(50);
  expect(line.size).toBe(1);
  clock.advance(50);
  expect(line.size).toBe(0);
  expect((await outcomes).map((one) => (one.status === 'rejected' ? (one.reason as MeshError).code : 'served'))).toEqual([
    'DEADLINE_EXCEEDED',
    'NO_ENDPOINT',
  ]);
  expect(deadlines.size).toBe(0);
});

test('a served call no longer hears of cancellation, nor of the bound it waited under', async () => {
  const { line, exchange, clock, deadlines } = setting();
  const one = exchange();
  const call = line.wait(one, () => Promise.resolve(answer), { at: 10, error: () => new MeshError('NO_ENDPOINT', 'late') });
  line.shift()!.serve(1);
  expect(deadlines.size).toBe(0);
  clock.advance(20);
  one.life.cancel(new MeshError('CANCELLED', 'bye'));
  await expect(call).resolves.toBe(answer);
});

test('a turn that throws is the call that fails', async () => {
  const { line, exchange } = setting();
  const call = line.wait(exchange(), () => { throw new MeshError('OVERFLOW', 'full'); }); // prettier-ignore
  line.shift()!.serve(1);
  await expect(call).rejects.toThrow('full');
});

test('whatever the order of coming, leaving and serving: like a plain queue', () => {
  const commands = fc.array(fc.oneof(fc.constant('join'), fc.constant('serve'), fc.nat({ max: 20 })), { maxLength: 100 });
  fc.assert(
    fc.property(commands, (steps) => {
      const { line, exchange } = setting();
      let model: Exchange[] = [];
      for (const step of steps) {
        if (step === 'join') {
          const one = exchange();
          model.push(one);
          line.wait(one, () => Promise.resolve(answer)).catch(() => {});
        } else if (step === 'serve') {
          const next = line.shift();
          expect(next?.exchange).toBe(model.shift());
          next?.serve(1);
        } else {
          model[step as number]?.life.cancel(new MeshError('CANCELLED', 'bye'));
          model = model.filter((_, index) => index !== step);
        }
        expect(line.size).toBe(model.length);
        expect(line.first?.exchange).toBe(model[0]);
      }
    }),
  );
});
