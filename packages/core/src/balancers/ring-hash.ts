import type { Hash } from '../hash.ts';
import type { BalancerKind } from '../kind.ts';
import type { BalancerConfig } from './balancer.ts';
import { consistentPicker, type Shares, type Table } from './consistent.ts';

/** Points hashed or moved between two looks at the clock. Few, for the first touch of a page of a big table costs much more than the point. */
const SLICE = 512;

/**
 * Consistent hashing on a ring: every endpoint owns points in proportion to its weight, a key belongs to the next point.
 * Istio `consistentHash.ringHash`; the same rings as Envoy's ring_hash_lb.cc with XX_HASH.
 */
export const ringHash: BalancerKind<BalancerConfig<'ringHash'>> = {
  name: 'ringHash',
  picker: ({ minimumRingSize, maximumRingSize, weightOf }, endpoints, runtime) =>
    consistentPicker('ringHash', `${minimumRingSize}–${maximumRingSize}`, weightOf, endpoints, runtime, (members) =>
      fill(members, minimumRingSize, maximumRingSize, runtime.hash),
    ),
};

function* fill({ endpoints, shares }: Shares, minimum: number, maximum: number, hash: Hash): Generator<void, Table> {
  let least = 1;
  for (const share of shares) least = Math.min(least, share);
  // The lightest endpoint gets a whole number of points, as long as the ring does not outgrow its maximum.
  const scale = Math.min(Math.ceil(least * Math.max(1, minimum)) / least, maximum);

  // Hashes are kept as two halves: comparing 64-bit integers as BigInt would allocate.
  const capacity = Math.ceil(scale) + 1;
  const rawHigh = new Uint32Array(capacity);
  const rawLow = new Uint32Array(capacity);
  const rawOwner = new Uint32Array(capacity);
  const halves = new DataView(new ArrayBuffer(8));
  let points = 0;
  let target = 0;
  for (let index = 0; index < endpoints.length; index += 1) {
    const { address } = endpoints[index]!.endpoint;
    // Running sums: fractions of a point left by one endpoint go to the next.
    target += scale * shares[index]!;
    for (let own = 0; points < target; own += 1) {
      halves.setBigUint64(0, hash.hash64(`${address}_${own}`));
      rawHigh[points] = halves.getUint32(0);
      rawLow[points] = halves.getUint32(4);
      rawOwner[points] = index;
      points += 1;
      if (points % SLICE === 0) yield;
    }
  }

  // Sorted by buckets of the leading bits, about one point each: sorting can be sliced, and a look-up is one step.
  const bits = Math.max(1, Math.ceil(Math.log2(points)));
  const shift = 32 - bits;
  // First counts, then where the next point of bucket b − 1 goes, in the end where bucket b starts.
  const starts = new Uint32Array(2 ** bits + 2);
  yield;
  for (let at = 0; at < points; at += 1) {
    starts[(rawHigh[at]! >>> shift) + 2]! += 1;
    if (at % SLICE === 0) yield;
  }
  for (let bucket = 1; bucket < starts.length; bucket += 1) {
    starts[bucket]! += starts[bucket - 1]!;
    if (bucket % SLICE === 0) yield;
  }
  const high = new Uint32Array(points);
  yield;
  const low = new Uint32Array(points);
  yield;
  const owner = new Uint32Array(points);
  for (let at = 0; at < points; at += 1) {
    if (at % SLICE === 0) yield;
    const keyHigh = rawHigh[at]!;
    const keyLow = rawLow[at]!;
    const bucket = (keyHigh >>> shift) + 1;
    let place = starts[bucket]!;
    starts[bucket]! += 1;
    // Left of the bucket are smaller points, or none yet, which read 0.
    while (place > 0 && (high[place - 1]! > keyHigh || (high[place - 1] === keyHigh && low[place - 1]! > keyLow))) {
      high[place] = high[place - 1]!;
      low[place] = low[place - 1]!;
      owner[place] = owner[place - 1]!;
      place -= 1;
    }
    high[place] = keyHigh;
    low[place] = keyLow;
    owner[place] = rawOwner[at]!;
  }

  return {
    find: (hash, attempt) => {
      halves.setBigUint64(0, hash);
      const keyHigh = halves.getUint32(0);
      const keyLow = halves.getUint32(4);
      let at = starts[keyHigh >>> shift]!;
      while (at < points && (high[at]! < keyHigh || (high[at] === keyHigh && low[at]! < keyLow))) at += 1;
      return endpoints[owner[(at + attempt) % points]!]!;
    },
    any: (chance) => endpoints[owner[Math.floor(chance * points)]!]!,
  };
}
