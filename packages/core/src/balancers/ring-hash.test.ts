import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EndpointState } from '../endpoint/state.ts';
import type { Picker } from '../kind.ts';
import { testExchange, testRuntime, testState } from '../testing/index.ts';
import { ringHash } from './ring-hash.ts';

const exchange = testExchange();

function build(list: readonly EndpointState[], minimumRingSize: number, maximumRingSize = 8_388_608): Picker {
  return ringHash.picker(
    { kind: 'ringHash', minimumRingSize, maximumRingSize, slowStart: null, weightOf: ({ endpoint }) => endpoint.weight },
    list,
    testRuntime(),
  ) as Picker;
}

const owner = (picker: Picker, hashKey: bigint, attempt = 0): number => picker.pick({ ...exchange, hashKey, attempt })!.endpoint.port;

const six = [90, 91, 92, 93, 94, 95].map((port) => testState(`127.0.0.1:${port}`));

/** ring_hash_lb_test.cc, Basic: two points for each of six hosts. */
const RING: readonly (readonly [port: number, point: bigint])[] = [
  [94, 833437586790550860n],
  [92, 928266305478181108n],
  [90, 1033482794131418490n],
  [95, 3551244743356806947n],
  [93, 3851675632748031481n],
  [91, 5583722120771150861n],
  [91, 6311230543546372928n],
  [93, 7700377290971790572n],
  [95, 13144177310400110813n],
  [92, 13444792449719432967n],
  [94, 15516499411664133160n],
  [90, 16117243373044804889n],
];

test("is Envoy's ring: a key belongs to the next point, the last wraps to the first", () => {
  const picker = build(six, 12);
  for (const [index, [port, point]] of RING.entries()) {
    expect(owner(picker, point)).toBe(port);
    expect(owner(picker, point + 1n)).toBe(RING[(index + 1) % 12]![0]);
  }
  expect([owner(picker, 0n), owner(picker, 2n ** 64n - 1n)]).toEqual([94, 94]);
});

test('the n-th try goes n points further', () => {
  const picker = build(six, 12);
  expect([0, 1, 2, 3, 12].map((attempt) => owner(picker, 0n, attempt))).toEqual([94, 92, 90, 95, 94]);
});

test('does not depend on the order in which endpoints are listed', () => {
  const [one, two] = [build(six, 1024), build([...six].reverse(), 1024)];
  const { hash } = testRuntime();
  for (let key = 0; key < 500; key += 1) expect(owner(one, hash.hash64(`${key}`))).toBe(owner(two, hash.hash64(`${key}`)));
});

/** Points on the ring by port: `any` walks over all of them when chance is a grid as fine as the ring. */
function points(list: readonly EndpointState[], minimum: number, ring: number, maximum?: number): number[] {
  let tick = 0;
  const picker = ringHash.picker(
    {
      kind: 'ringHash',
      minimumRingSize: minimum,
      maximumRingSize: maximum ?? 8_388_608,
      slowStart: null,
      weightOf: ({ endpoint }) => endpoint.weight,
    },
    list,
    testRuntime({ random: () => (tick++ + 0.5) / ring }),
  ) as Picker;
  const counts = list.map(() => 0);
  for (let point = 0; point < ring; point += 1) counts[list.indexOf(picker.pick(exchange)!)]! += 1;
  return counts;
}

test('everyone has points in proportion to its weight, the lightest a whole number', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 500 }),
      (weights, minimum) => {
        const list = weights.map((weight, index) => testState(`10.0.0.${index + 1}:80`, { weight }));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const least = Math.min(...weights);
        // Points for the lightest: as many as its share of the minimum, rounded up.
        const perWeight = Math.ceil((least * minimum) / total) / least;
        const counts = points(list, minimum, Math.ceil(perWeight * total - 1e-9));
        for (const [index, weight] of weights.entries())
          expect(Math.abs(counts[index]! - weight * perWeight)).toBeLessThanOrEqual(1 + 1e-9);
      },
    ),
  );
});

test('the maximum caps the ring', () => {
  expect(points(six, 1024, 12, 12)).toEqual([2, 2, 2, 2, 2, 2]);
});

test('keys move only from an endpoint that leaves', () => {
  const { hash } = testRuntime();
  const keys = Array.from({ length: 2000 }, (_, key) => hash.hash64(`user-${key}`));
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 10 }), fc.nat(), (count, gone) => {
      const list = Array.from({ length: count }, (_, index) => testState(`10.0.${index}.1:${1000 + index}`));
      const removed = 1000 + (gone % count);
      // A ring of the same number of points per endpoint, so that nobody else's points change.
      const before = build(list, count * 100);
      const after = build(
        list.filter(({ endpoint }) => endpoint.port !== removed),
        (count - 1) * 100,
      );
      for (const key of keys) if (owner(before, key) !== removed) expect(owner(after, key)).toBe(owner(before, key));
    }),
    { numRuns: 10 },
  );
});
