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

/** Costs are compared as logarithms, so none may be 0. */
const LEAST_MS = 0.001;

/**
 * Latency as felt lately: a slower answer counts in full at once, faster ones bring it down with time (Finagle's
 * PeakEwma). A failure counts as slow (Linkerd's load biaser), so that an endpoint failing fast attracts nobody.
 * While nothing is heard the cost decays, so that a slow endpoint is tried again.
 */
export class PeakEwma implements LatencyRecord {
  #settings: Settings;
  #cost: number;
  #at: number;
  #observed = false;
  /**
   * ln(cost) + at / decay. Of two endpoints the one with the lower level is the cheaper at every later moment, for
   * decay takes the same share from both: comparing needs neither the clock nor an exponential.
   */
  level = 0;

  constructor(settings: Settings, now: number) {
    this.#settings = settings;
    this.#cost = Math.max(settings.defaultRttMs, LEAST_MS);
    this.#at = now;
    this.#relevel();
  }

  record(rttMs: number, failed: boolean, now: number): void {
    const { penaltyMs, decayMs } = this.#settings;
    const felt = Math.max(failed ? Math.max(rttMs, penaltyMs) : rttMs, LEAST_MS);
    // The default was a guess: the first answer replaces it, as a slower one replaces what is known.
    if (felt > this.#cost || !this.#observed) this.#cost = felt;
    else {
      const kept = Math.exp((this.#at - now) / decayMs);
      this.#cost = this.#cost * kept + felt * (1 - kept);
    }
    this.#at = now;
    this.#observed = true;
    this.#relevel();
  }

  /** Milliseconds at `now`. Reading changes nothing. */
  cost(now: number): number {
    return this.#cost * Math.exp((this.#at - now) / this.#settings.decayMs);
  }

  /** A new policy holds from now on; what was learned stays. */
  tune(settings: Settings): void {
    this.#settings = settings;
    this.#relevel();
  }

  #relevel(): void {
    this.level = Math.log(this.#cost) + this.#at / this.#settings.decayMs;
  }
}

/** The record of an endpoint: the one it has, or its first. */
function recordOf(state: EndpointState, settings: Settings, now: number): PeakEwma {
  if (state.latency instanceof PeakEwma) {
    state.latency.tune(settings);
    return state.latency;
  }
  const record = new PeakEwma(settings, now);
  state.latency = record;
  return record;
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
          const one = endpoints[first]!;
          const two = endpoints[second]!;
          return records[second]!.level + Math.log(two.active + 1) < records[first]!.level + Math.log(one.active + 1) ? two : one;
        },
      };
    }

    const draw = aliasTable(weights, random);
    let total = 0;
    for (const weight of weights) total += weight;
    // Calls in flight count by capacity; idle ones are equals, as their weights decided how often they are drawn.
    const perCall = weights.map((weight) => total / length / weight);
    const load = (index: number, active: number): number => records[index]!.level + Math.log(active * perCall[index]! + 1);
    return {
      pick: () => {
        const first = draw();
        let second = draw();
        for (let redraw = 0; second === first && redraw < 3; redraw += 1) second = draw();
        if (second === first) second = first + 1 < length ? first + 1 : 0;
        const one = endpoints[first]!;
        const two = endpoints[second]!;
        return load(second, two.active) < load(first, one.active) ? two : one;
      },
    };
  },
};
