import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EndpointState } from '../endpoint/state.ts';
import type { Picker } from '../kind.ts';
import { testExchange, testRuntime, testState } from '../testing/index.ts';
import { maglev } from './maglev.ts';

const exchange = testExchange();

function build(list: readonly EndpointState[], tableSize: number): Picker {
  return maglev.picker(
    { kind: 'maglev', tableSize, slowStart: null, weightOf: ({ endpoint }) => endpoint.weight },
    list,
    testRuntime(),
  ) as Picker;
}

function table(picker: Picker, size: number, attempt = 0): string[] {
  return Array.from({ length: size }, (_, slot) => picker.pick({ ...exchange, hashKey: BigInt(slot), attempt })!.endpoint.address);
}

const six = [90, 91, 92, 93, 94, 95].map((port) => testState(`127.0.0.1:${port}`));

test("is Envoy's table (maglev_lb_test.cc, Basic)", () => {
  expect(table(build(six, 7), 7)).toEqual([92, 94, 90, 91, 95, 90, 93].map((port) => `127.0.0.1:${port}`));
});

test('does not depend on the order in which endpoints are listed', () => {
  expect(table(build([...six].reverse(), 7), 7)).toEqual(table(build(six, 7), 7));
});

test("is Envoy's table with weights (maglev_lb_test.cc, Weighted)", () => {
  const two = [testState('127.0.0.1:90', { weight: 1 }), testState('127.0.0.1:91', { weight: 2 })];
  const slots = table(build(two, 17), 17).map((address) => address.slice(-2));
  expect(slots.filter((port) => port === '90')).toHaveLength(6);
  expect(slots.filter((port) => port === '91')).toHaveLength(11);
});

test("the n-th try asks another slot: hash XOR (2⁶⁴ − n), as Envoy's", () => {
  const first = table(build(six, 7), 7);
  const picker = build(six, 7);
  for (const attempt of [1, 2, 3]) {
    const key = 12_345_678_901_234_567_890n;
    const slot = Number((key ^ (2n ** 64n - BigInt(attempt))) % 7n);
    expect(picker.pick({ ...exchange, hashKey: key, attempt })!.endpoint.address).toBe(first[slot]);
  }
});

test('an endpoint that leaves takes little but its own keys with it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 12 }), fc.nat(), (count, gone) => {
      const list = Array.from({ length: count }, (_, index) => testState(`10.1.0.${index + 1}:8080`));
      const removed = list[gone % count]!.endpoint.address;
      const size = 5003;
      const before = table(build(list, size), size);
      const after = table(
        build(
          list.filter(({ endpoint }) => endpoint.address !== removed),
          size,
        ),
        size,
      );
      const moved = before.filter((address, slot) => address !== removed && after[slot] !== address).length;
      expect(after).not.toContain(removed);
      // The paper (section 5.3) measures some percent of change beyond the minimum; small tables are the worst.
      expect(moved / size).toBeLessThan(0.15);
    }),
    { numRuns: 15 },
  );
});

test('slots are as even as weights can be divided', () => {
  const list = Array.from({ length: 10 }, (_, index) => testState(`10.1.0.${index + 1}:8080`));
  const counts = new Map<string, number>();
  for (const address of table(build(list, 5003), 5003)) counts.set(address, (counts.get(address) ?? 0) + 1);
  for (const count of counts.values()) expect([500, 501]).toContain(count);
});
