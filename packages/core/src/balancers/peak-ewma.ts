import type { EndpointState, LatencyRecord } from '../endpoint/state.ts';
import type { BalancerKind } from '../kind.ts';
import { aliasTable } from './alias.ts';
import { type BalancerConfig, weigh } from './balancer.ts';

interface Settings {
  /** Time constant of forgetting. */
  readonly decayMs: number;
  /** Cost of an endpoint that nobody has called yet. */
  readonly defaultRttMs: number;
  /** What a failure counts as. */
  readonly penaltyMs: number;
}

/** However long ago an endpoint was called, its cost stays above 0, so that calls in flight still count. */
const LEAST_COST = 0.001;

/**
 * Latency as felt lately: a slower answer counts in full at once, faster ones bring it down with time (Finagle's
 * PeakEwma). A failure counts as slow (Linkerd's load biaser), so that an endpoint failing fast attracts nobody.
 */
export class PeakEwma implements LatencyRecord {
  /** Renewed with the policy; what was learned stays. */
  settings: Settings;
  #cost: number;
  #at: number;
  #observed = false;

  constructor(settings: Settings, now: number) {
    this.settings = settings;
    this.#cost = settings.defaultRttMs;
    this.#at = now;
  }

  record(rttMs: number, failed: boolean, now: number): void {
    const { penaltyMs, decayMs } = this.settings;
    const felt = failed ? Math.max(rttMs, penaltyMs) : rttMs;
    if (felt > this.#cost || !this.#observed) this.#cost = felt;
    else {
      const kept = Math.exp((this.#at - now) / decayMs);
      this.#cost = this.#cost * kept + felt * (1 - kept);
    }
    this.#at = now;
    this.#observed = true;
  }

  /** Milliseconds at `now`: decays while nothing is heard, so that a slow one is tried again. Reading changes nothing. */
  cost(now: number): number {
    return Math.max(LEAST_COST, this.#cost * Math.exp((this.#at - now) / this.settings.decayMs));
  }
}

/** The record of an endpoint: kept if it has one, with the settings of now. */
function recordOf(state: EndpointState, settings: Settings, now: number): PeakEwma {
  if (state.latency instanceof PeakEwma) state.latency.settings = settings;
  else state.latency = new PeakEwma(settings, now);
  return state.latency as PeakEwma;
}

/**
 * The cheaper of two different endpoints drawn at random (by weight, where weights differ); the cost is its latency ×
 * (calls in flight + 1). Reacts to a slow or failing endpoint within one answer.
 */
export const peakEwma: BalancerKind<BalancerConfig<'peakEwma'>> = {
  name: 'peakEwma',
  picker: (config, endpoints, { clock, random }) => {
    const { length } = endpoints;
    const now = clock.now();
    const records = endpoints.map((state) => recordOf(state, config, now));
    if (length === 1) return { pick: () => endpoints[0] };

    const { weights, equal } = weigh(endpoints, config.weightOf);
    if (equal) {
      return {
        pick: () => {
          const first = Math.floor(random() * length);
          let second = Math.floor(random() * (length - 1));
          if (second >= first) second += 1;
          const at = clock.now();
          const one = endpoints[first]!;
          const two = endpoints[second]!;
          return records[second]!.cost(at) * (two.active + 1) < records[first]!.cost(at) * (one.active + 1) ? two : one;
        },
      };
    }

    const draw = aliasTable(weights, random);
    let total = 0;
    for (const weight of weights) total += weight;
    // Calls in flight count by capacity; idle ones are equals, as their weights decided how often they are drawn.
    const perCall = weights.map((weight) => total / length / weight);
    return {
      pick: () => {
        const first = draw();
        let second = draw();
        for (let redraw = 0; second === first && redraw < 3; redraw += 1) second = draw();
        if (second === first) second = first + 1 < length ? first + 1 : 0;
        const at = clock.now();
        const one = endpoints[first]!;
        const two = endpoints[second]!;
        return records[second]!.cost(at) * (two.active * perCall[second]! + 1) <
          records[first]!.cost(at) * (one.active * perCall[first]! + 1)
          ? two
          : one;
      },
    };
  },
};
