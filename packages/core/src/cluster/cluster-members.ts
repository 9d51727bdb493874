import type { Endpoint } from '../endpoint/endpoint.ts';
import { EndpointState } from '../endpoint/state.ts';
import { same } from './same.ts';

/** Does an endpoint belong to the subset? */
export function selects(labels: Readonly<Record<string, string>>, endpoint: Endpoint): boolean {
  for (const key in labels) if (endpoint.labels[key] !== labels[key]) return false;
  return true;
}

/**
 * The endpoints of one subset and what was learned of each, found again by address in every new list. One that left is
 * kept while attempts are on it: should it come back meanwhile, its count of active attempts is still right.
 */
export class Members {
  readonly #states = new Map<string, EndpointState>();
  #list: readonly EndpointState[] = [];
  #source: readonly Endpoint[] = [];
  #labels: Readonly<Record<string, string>> = {};

  get list(): readonly EndpointState[] {
    return this.#list;
  }

  /** Endpoints of the service, before the subset's labels are applied. */
  get known(): number {
    return this.#source.length;
  }

  /** A complete list, in any order. True if it says anything new that matters to choosing. */
  update(endpoints: readonly Endpoint[], labels: Readonly<Record<string, string>>, now: number): boolean {
    if (endpoints === this.#source && same(labels, this.#labels)) return false;
    this.#source = endpoints;
    this.#labels = labels;
    const old = this.#list;
    for (const state of old) state.gone = true;
    const list: EndpointState[] = [];
    let changed = false;
    let position = 0;
    for (const endpoint of endpoints) {
      if (!selects(labels, endpoint)) continue;
      const { address } = endpoint;
      // Most lists are the last one with an entry more or less: whoever stands at its old place need not be looked up.
      if (old[position]?.endpoint.address !== address && old[position + 1]?.endpoint.address === address) position += 1;
      const state = old[position]?.endpoint.address === address ? old[position] : this.#states.get(address);
      if (state === undefined) {
        const joined = new EndpointState(endpoint, now);
        this.#states.set(address, joined);
        list.push(joined);
        changed = true;
      } else if (state.gone) {
        // Two entries with one address are one endpoint: the first counts, as the next no longer finds it gone.
        state.gone = false;
        if (state === old[position]) position += 1;
        if (state.endpoint !== endpoint) {
          if (!changed && differs(state.endpoint, endpoint)) changed = true;
          if (endpoint.health === 'healthy' && state.endpoint.health !== 'healthy') state.since = now;
          state.endpoint = endpoint;
        }
        list.push(state);
      }
    }
    for (const state of old) {
      if (!state.gone) continue;
      state.closeWires();
      this.forget(state);
    }
    this.#list = list;
    return changed || list.length !== old.length;
  }

  /** Priority an endpoint was last given; undefined once it has left. */
  priorityOf(address: string): number | undefined {
    return this.#states.get(address)?.priority;
  }

  /** Drops a departed endpoint once nothing is on it. */
  forget(state: EndpointState): void {
    if (state.active > 0 || !state.gone) return;
    state.closeWires();
    this.#states.delete(state.endpoint.address);
  }
}

/** What balancers, locality and panic look at. */
function differs(left: Endpoint, right: Endpoint): boolean {
  return (
    left.weight !== right.weight ||
    left.priority !== right.priority ||
    left.health !== right.health ||
    left.network !== right.network ||
    left.node !== right.node ||
    !same(left.locality, right.locality) ||
    !same(left.labels, right.labels)
  );
}
