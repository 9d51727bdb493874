import { expect, test } from 'vitest';
import type { Picker } from '../kind.ts';
import { testExchange, testRuntime, testState } from '../testing/index.ts';
import { leastRequest } from './least-request.ts';

const exchange = testExchange();

const config = {
  kind: 'leastRequest',
  slowStart: null,
  weightOf: ({ endpoint }: { endpoint: { weight: number } }) => endpoint.weight,
} as const;

/** A picker whose chance is the given draws, in turn. */
function rigged(draws: readonly number[], actives: readonly number[], weights: readonly number[] = []) {
  let turn = 0;
  const list = actives.map((active, index) =>
    Object.assign(testState(`10.0.0.${index + 1}:80`, { weight: weights[index] ?? 1 }), { active }),
  );
  const picker = leastRequest.picker(config, list, testRuntime({ random: () => draws[turn++ % draws.length]! })) as Picker;
  return () => list.indexOf(picker.pick(exchange)!);
}

test('of two draws the one with fewer calls in flight is picked', () => {
  expect(rigged([0, 0.9], [5, 0, 4])()).toBe(2);
  expect(rigged([0.9, 0], [5, 0, 4])()).toBe(2);
});

test('the first draw stays when both have the same', () => {
  expect(rigged([0.4, 0.9], [5, 4, 4])()).toBe(1);
  expect(rigged([0.9, 0.4], [5, 4, 4])()).toBe(2);
});

test('draws with replacement: the busiest is picked when it is drawn twice', () => {
  expect(rigged([0, 0], [5, 0, 4])()).toBe(0);
});

test('with weights, calls in flight divide the weight', () => {
  const list = [testState('10.0.0.1:80', { weight: 2 }), testState('10.0.0.2:80', { weight: 1 })];
  list[0]!.active = 3;
  const picker = leastRequest.picker(config, list, testRuntime()) as Picker;
  let first = 0;
  for (let call = 0; call < 3000; call += 1) if (picker.pick(exchange) === list[0]) first += 1;
  // 2 / (3 + 1) against 1 / (0 + 1).
  expect(first / 3000).toBeCloseTo(1 / 3, 2);
});
