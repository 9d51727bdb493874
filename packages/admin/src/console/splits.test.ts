import { expect, it } from 'vitest';
import { REQUESTS, type Sample } from './sample.ts';
import { splitsOf } from './splits.ts';
import type { World } from './world.ts';

const SUBSETS: Readonly<Record<string, Record<string, string>>> = { v1: { version: 'v1' }, v2: { version: 'v2' }, big: { size: 'big' } };

function splits(
  weights: Readonly<Record<string, number>>,
  seen: Readonly<Record<string, number>>,
  {
    ports = [80],
    windowMs = 60_000,
    replicas = [weights],
  }: {
    readonly ports?: readonly number[];
    readonly windowMs?: number;
    readonly replicas?: readonly Readonly<Record<string, number>>[];
  } = {},
) {
  const destinations = (of: Readonly<Record<string, number>>) =>
    Object.entries(of).map(([subset, weight]) => ({ cluster: `outbound|80|${subset}|reviews.shop`, weight }));
  const clusters = Object.keys(weights).map((subset) => ({ name: `outbound|80|${subset}|reviews.shop`, service: 'reviews.shop', labels: SUBSETS[subset] })); // prettier-ignore
  const hosts = (of: Readonly<Record<string, number>>) => ports.map((port) => ({ name: `reviews.shop:${port}`, service: 'reviews.shop', routes: [{ name: 'canary', resource: 'VirtualService shop/reviews', action: { kind: 'forward', destinations: destinations(of) } }] })); // prettier-ignore
  const status = { workload: { name: 'web', namespace: 'shop' } };
  const rates = (workload: string): Sample[] => Object.entries(seen).map(([version, value]) => ({ name: REQUESTS, value, labels: { reporter: 'source', source_workload: workload, source_workload_namespace: 'shop', destination_service: 'reviews.shop', destination_version: version } })); // prettier-ignore
  const world = { processes: replicas.map((of, at) => ({ base: `../${at}/`, status, snapshot: { hosts: hosts(of), clusters } })), rates: [...rates('web'), ...rates('other').map((one) => ({ ...one, value: 1000 }))], windowMs }; // prettier-ignore
  return splitsOf(world as unknown as World).map(({ subset, wanted, seen: part, off }) => [subset, wanted, part, off]);
}

it('puts what was seen of this process beside what is wanted', () => {
  expect(splits({ v1: 3, v2: 1 }, { v1: 8, v2: 2 })).toEqual([['v1', 0.75, 0.8, false], ['v2', 0.25, 0.2, false]]); // prettier-ignore
});

it('says what chance does not explain', () => {
  expect(splits({ v1: 90, v2: 10 }, { v1: 50, v2: 50 })).toEqual([['v1', 0.9, 0.5, true], ['v2', 0.1, 0.5, true]]); // prettier-ignore
  // Ten calls say nothing yet.
  expect(splits({ v1: 90, v2: 10 }, { v1: 5, v2: 5 }, { windowMs: 1000 }).map(([, , , off]) => off)).toEqual([false, false]);
});

it('is told once of a rule that holds on several ports', () => expect(splits({ v1: 1, v2: 1 }, {}, { ports: [80, 8080] })).toHaveLength(2));

it('is told once of replicas that obey the same weights, and of one by itself that does not yet', () => {
  const [before, now] = [
    { v1: 90, v2: 10 },
    { v1: 50, v2: 50 },
  ];
  expect(splits(now, {}, { replicas: [now, now, now] })).toHaveLength(2);
  expect(splits(now, {}, { replicas: [now, before, now] }).map(([, wanted]) => wanted)).toEqual([0.5, 0.5, 0.9, 0.1]);
});

it('does not guess where metrics cannot tell subsets apart, or nothing was called', () => {
  expect(splits({ v1: 1, big: 1 }, { v1: 5 }).map(([, , seen]) => seen)).toEqual([null, null]);
  expect(splits({ v1: 1, v2: 1 }, {}).map(([, , seen]) => seen)).toEqual([null, null]);
});
