import type { Exchange } from '../exchange.ts';
import type { EndpointState } from '../endpoint/state.ts';
import type { Runtime } from '../handler.ts';
import type { Building, Picker } from '../kind.ts';
import { REPICKS, triedBefore, weigh } from './balancer.ts';
import { building } from './building.ts';

/** A built table of consistent hashing. */
export interface Table {
  /** Who owns a hash. `attempt` > 0 asks for the attempt-th alternative; it may be the same endpoint again. */
  find(hash: bigint, attempt: number): EndpointState;
  /** Any owner, in proportion to shares: for calls without a key. `chance` is uniform in [0, 1). */
  any(chance: number): EndpointState;
}

/** Endpoints in the order of their addresses, with weights that sum to 1 (Envoy's normalizeWeights). */
export interface Shares {
  readonly endpoints: readonly EndpointState[];
  readonly shares: Float64Array;
}

/** Time a table may take at once; a bigger one becomes a Building. */
const AT_ONCE_MS = 3;

/** The table in use, and what it was made of. */
interface Memory {
  last:
    | {
        readonly size: string;
        readonly given: readonly EndpointState[];
        readonly endpoints: readonly EndpointState[];
        readonly weights: Float64Array;
        readonly picker: Picker;
      }
    | undefined;
}

/**
 * A picker over a table that `build` makes in slices. The latest one is remembered: as long as the same endpoints with
 * the same weights take part, a change of policy or of something else about them costs no new table.
 * `size` names the settings the table was built with.
 */
export function consistentPicker(
  name: string,
  size: string,
  weightOf: (state: EndpointState) => number,
  given: readonly EndpointState[],
  runtime: Runtime,
  build: (members: Shares) => Generator<void, Table>,
): Picker | Building {
  const memory = runtime.lease<Memory>(name, () => ({ last: undefined }));
  function* work(): Generator<void, Picker> {
    // Whoever lists the endpoints, in whatever order: every client of a service shall build the same table.
    const { last } = memory;
    const endpoints = last !== undefined && same(last.given, given) ? last.endpoints : given.toSorted(byAddress);
    const { weights } = weigh(endpoints, weightOf);
    if (last !== undefined && last.size === size && same(last.endpoints, endpoints) && same(last.weights, weights)) return last.picker;
    yield;
    let total = 0;
    for (const weight of weights) total += weight;
    const picker = pickerOf(yield* build({ endpoints, shares: weights.map((weight) => weight / total) }), runtime.random);
    memory.last = { size, given, endpoints, weights, picker };
    return picker;
  }
  const slices = building(runtime.clock, work());
  return slices.step(AT_ONCE_MS) ?? slices;
}

function byAddress(left: EndpointState, right: EndpointState): number {
  return left.endpoint.address < right.endpoint.address ? -1 : 1;
}

function pickerOf(table: Table, random: () => number): Picker {
  const repick = (exchange: Exchange, hash: bigint): EndpointState => {
    let attempt = exchange.attempt;
    for (; attempt < exchange.attempt + REPICKS; attempt += 1) {
      const state = table.find(hash, attempt);
      if (!triedBefore(exchange, state)) return state;
    }
    return table.find(hash, attempt);
  };
  return {
    pick: (exchange) => {
      const hash = exchange.hashKey;
      if (hash === undefined) return table.any(random());
      return exchange.attempt === 0 ? table.find(hash, 0) : repick(exchange, hash);
    },
  };
}

function same<Item>(left: ArrayLike<Item>, right: ArrayLike<Item>): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index += 1) if (left[index] !== right[index]) return false;
  return true;
}
