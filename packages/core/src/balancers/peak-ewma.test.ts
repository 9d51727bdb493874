import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EndpointState } from '../endpoint/state.ts';
import type { Picker } from '../kind.ts';
import { fakeClock, seededRandom, testExchange, testRuntime, testState } from '../testing/index.ts';
import { PeakEwma, peakEwma } from './peak-ewma.ts';

const exchange = testExchange();

const settings = { decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 };
const config = { kind: 'peakEwma', ...settings, slowStart: null, weightOf: ({ endpoint }: EndpointState) => endpoint.weight } as const;

function shares(picker: Picker, list: readonly EndpointState[], calls = 4000): number[] {
  const counts = list.map(() => 0);
  for (let call = 0; call < calls; call += 1) counts[list.indexOf(picker.pick(exchange)!)]! += 1;
  return counts.map((count) => count / calls);
}

test('a slower answer counts at once, faster ones with time', () => {
  const record = new PeakEwma(settings, 0);
  record.record(10, false, 0);
  record.record(200, false, 1000);
  expect(record.cost(1000)).toBe(200);
  record.record(10, false, 11_000);
  expect(record.cost(11_000)).toBeCloseTo(200 / Math.E + 10 * (1 - 1 / Math.E));
});

test('begins with the default, which the first answer replaces', () => {
  const record = new PeakEwma(settings, 0);
  expect(record.cost(0)).toBe(30);
  record.record(2, false, 1);
  expect(record.cost(1)).toBe(2);
});

test('a failure counts as its penalty, or as its time if that was longer', () => {
  const record = new PeakEwma(settings, 0);
  record.record(1, true, 0);
  expect(record.cost(0)).toBe(5000);
  record.record(9000, true, 0);
  expect(record.cost(0)).toBe(9000);
});

test('reading projects the decay and changes nothing', () => {
  const record = new PeakEwma(settings, 0);
  record.record(100, false, 0);
  expect(record.cost(10_000)).toBeCloseTo(100 / Math.E);
  expect(record.cost(10_000)).toBeCloseTo(100 / Math.E);
  expect(record.cost(0)).toBe(100);
});

test('levels order endpoints as their costs do, at any later moment', () => {
  const event = fc.record({
    rtt: fc.double({ min: 0.01, max: 10_000, noNaN: true }),
    failed: fc.boolean(),
    wait: fc.double({ min: 0, max: 5000, noNaN: true }),
  });
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 10 }),
      fc.array(event, { maxLength: 10 }),
      fc.double({ min: 0, max: 30_000, noNaN: true }),
      (left, right, later) => {
        let end = 0;
        const [one, two] = [left, right].map((events) => {
          const record = new PeakEwma(settings, 0);
          let now = 0;
          for (const { rtt, failed, wait } of events) record.record(rtt, failed, (now += wait));
          end = Math.max(end, now);
          return record;
        });
        const ratio = one!.cost(end + later) / two!.cost(end + later);
        expect(one!.level - two!.level).toBeCloseTo(Math.log(ratio), 6);
      },
    ),
  );
});

test('picks the cheaper of two different endpoints', () => {
  const list = [testState('10.0.0.1:80'), testState('10.0.0.2:80')];
  const picker = peakEwma.picker(config, list, testRuntime()) as Picker;
  list[0]!.latency!.record(100, false, 0);
  list[1]!.latency!.record(10, false, 0);
  expect(shares(picker, list)).toEqual([0, 1]);
  // 100 × (0 + 1) against 10 × (10 + 1).
  list[1]!.active = 10;
  expect(shares(picker, list)).toEqual([1, 0]);
});

test('a failing endpoint is left alone for a while, then tried again', () => {
  const clock = fakeClock();
  const list = Array.from({ length: 5 }, (_, index) => testState(`10.0.0.${index + 1}:80`));
  const picker = peakEwma.picker(config, list, testRuntime({ clock, random: seededRandom(2) })) as Picker;
  const settle = (): void => {
    for (const state of list.slice(1)) state.latency!.record(20, false, clock.now());
  };
  list[0]!.latency!.record(1, true, clock.now());
  settle();
  expect(shares(picker, list)[0]).toBe(0);
  clock.advance(40_000);
  settle();
  expect(shares(picker, list)[0]).toBe(0);
  clock.advance(20_000);
  settle();
  expect(shares(picker, list)[0]).toBeGreaterThan(0.2);
});

test('what was learned stays when the picker is rebuilt, new settings hold', () => {
  const state = testState('10.0.0.1:80');
  peakEwma.picker(config, [state], testRuntime());
  const { latency } = state;
  latency!.record(100, false, 0);
  peakEwma.picker({ ...config, decayMs: 1000 }, [state], testRuntime());
  expect(state.latency).toBe(latency);
  expect((latency as PeakEwma).cost(1000)).toBeCloseTo(100 / Math.E);
});

test('with weights, a bigger endpoint may have more in flight', () => {
  const list = [testState('10.0.0.1:80', { weight: 3 }), testState('10.0.0.2:80', { weight: 1 })];
  const picker = peakEwma.picker(config, list, testRuntime()) as Picker;
  Object.assign(list[0]!, { active: 5 });
  Object.assign(list[1]!, { active: 2 });
  expect(shares(picker, list)[0]).toBe(1);
  Object.assign(list[0]!, { active: 7 });
  expect(shares(picker, list)[0]).toBe(0);
});
