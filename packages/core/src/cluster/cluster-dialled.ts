import type { Call } from '../call.ts';
import type { Exchange } from '../exchange.ts';
import { addressOf } from '../endpoint/static.ts';
import { EndpointState } from '../endpoint/state.ts';
import type { Picker } from '../kind.ts';

/** Addresses remembered; the one least recently called makes room. */
const REMEMBERED = 1000;

/** How far to look for an idle one to forget; if all of these are busy, memory grows until they are not. */
const LOOKED_AT = 8;

const NOWHERE = { region: '', zone: '', subzone: '' };

/**
 * Endpoints made on demand: the call goes to the address it asked for (Envoy's ORIGINAL_DST cluster: load balancer
 * PASSTHROUGH, ServiceEntry resolution NONE; with DYNAMIC_DNS the name is looked up as it is dialled).
 */
export class Dialled implements Picker {
  readonly #states = new Map<string, EndpointState>();
  readonly #now: () => number;
  #latest: EndpointState | undefined = undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  get list(): readonly EndpointState[] {
    return [...this.#states.values()];
  }

  pick({ call }: Exchange): EndpointState {
    const latest = this.#latest;
    if (latest !== undefined && latest.endpoint.host === call.host && latest.endpoint.port === call.port) return latest;
    const address = addressOf(call.host, call.port);
    let state = this.#states.get(address);
    if (state === undefined) {
      state = this.#create(address, call);
      if (this.#states.size >= REMEMBERED) this.#makeRoom();
    } else this.#states.delete(address);
    // Set again: a Map keeps the order of insertion, so its first entries are those not called for longest.
    this.#states.set(address, state);
    this.#latest = state;
    return state;
  }

  close(): void {
    for (const state of this.#states.values()) state.closeWires();
  }

  #create(address: string, { host, port }: Call): EndpointState {
    return new EndpointState(
      {
        address,
        host,
        port,
        labels: {},
        locality: NOWHERE,
        network: '',
        weight: 1,
        serviceAccount: '',
        mtls: false,
        workload: '',
        namespace: '',
        node: '',
        health: 'healthy',
      },
      this.#now(),
    );
  }

  #makeRoom(): void {
    let looked = 0;
    for (const [address, state] of this.#states) {
      if (state.active === 0 && state !== this.#latest) {
        state.closeWires();
        this.#states.delete(address);
        return;
      }
      looked += 1;
      if (looked === LOOKED_AT) return;
    }
  }
}
