import type { Series } from './exposition.ts';
import type { Sample } from './sample.ts';

interface Poll {
  readonly at: number;
  readonly values: ReadonlyMap<string, Series>;
}

/** The counters of one process as they were polled, and the rates between polls. */
export class Rates {
  #polls: Poll[] = [];
  readonly #keepMs: number;

  /** `keepMs`: how far back rates can be asked for. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  add(at: number, series: readonly Series[]): void {
    this.#polls = [
      ...this.#polls.filter((poll) => poll.at >= at - this.#keepMs),
      { at, values: new Map(series.map((one) => [one.key, one])) },
    ];
  }

  /** Per second over the latest `windowMs`, or what is known of it; nothing before the second poll. */
  perSecond(windowMs: number): Sample[] {
    const last = this.#polls.at(-1);
    if (last === undefined) return [];
    const first = this.#polls.find(({ at }) => at >= last.at - windowMs)!;
    const base = first === last ? this.#polls.at(-2) : first;
    if (base === undefined) return [];
    const seconds = (last.at - base.at) / 1000;
    const rates: Sample[] = [];
    for (const [key, { name, labels, value }] of last.values) {
      const before = base.values.get(key)?.value ?? 0;
      // A counter that went back began anew: the process was restarted (as Prometheus' rate() has it).
      rates.push({ name, labels, value: (value >= before ? value - before : value) / seconds });
    }
    return rates;
  }
}
