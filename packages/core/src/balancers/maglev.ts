import type { EndpointState } from '../endpoint/state.ts';
import type { Hash } from '../hash.ts';
import type { BalancerKind } from '../kind.ts';
import type { BalancerConfig } from './balancer.ts';
import { consistentPicker, type Shares, type Table } from './consistent.ts';

/** Slots filled or probed between two looks at the clock. */
const SLICE = 4096;

/**
 * Consistent hashing by a table in which every endpoint has its share of slots, chosen in its own order of preference.
 * Istio `consistentHash.maglev`; the same tables as Envoy's maglev_lb.cc, so that both send a key to the same endpoint.
 */
export const maglev: BalancerKind<BalancerConfig<'maglev'>> = {
  name: 'maglev',
  picker: ({ tableSize, weightOf }, endpoints, runtime) =>
    consistentPicker('maglev', `${tableSize}`, weightOf, endpoints, runtime, (members) => fill(members, tableSize, runtime.hash)),
};

function* fill({ endpoints, shares }: Shares, size: number, hash: Hash): Generator<void, Table> {
  const { length } = endpoints;
  const EMPTY = 0xffff_ffff;
  const slots = new Uint32Array(size).fill(EMPTY);
  // An endpoint's preferences are offset, offset + skip, offset + 2 skip … modulo the (prime) size.
  const position = new Uint32Array(length);
  const skip = new Uint32Array(length);
  let most = 0;
  for (let index = 0; index < length; index += 1) {
    const { address } = endpoints[index]!.endpoint;
    position[index] = Number(hash.hash64(address) % BigInt(size));
    skip[index] = Number(hash.hash64(address, 1n) % BigInt(size - 1)) + 1;
    most = Math.max(most, shares[index]!);
    if (index % 1024 === 1023) yield;
  }

  const target = new Float64Array(length);
  let filled = 0;
  let work = 0;
  for (let round = 1; filled < size; round += 1) {
    for (let index = 0; index < length && filled < size; index += 1) {
      if ((work += 1) % SLICE === 0) yield;
      // The heaviest has a turn in every round, one of a third of its weight in every third.
      if (round * shares[index]! < target[index]!) continue;
      target[index]! += most;
      let slot = position[index]!;
      while (slots[slot] !== EMPTY) {
        slot += skip[index]!;
        if (slot >= size) slot -= size;
        if ((work += 1) % SLICE === 0) yield;
      }
      slots[slot] = index;
      filled += 1;
      slot += skip[index]!;
      position[index] = slot >= size ? slot - size : slot;
    }
  }
  return lookup(endpoints, slots);
}

function lookup(endpoints: readonly EndpointState[], slots: Uint32Array): Table {
  const size = BigInt(slots.length);
  return {
    find: (hash, attempt) => {
      // Envoy: hash ^= ~0ULL - attempt + 1.
      const mixed = attempt === 0 ? hash : hash ^ (0x1_0000_0000_0000_0000n - BigInt(attempt));
      return endpoints[slots[Number(mixed % size)]!]!;
    },
    any: (chance) => endpoints[slots[Math.floor(chance * slots.length)]!]!,
  };
}
