import type { Clock } from '@inmesh/core';
import type { HistogramSample, LabelSet, MetricFamily } from './exposition.ts';
import { ISTIO_FAMILIES, type Shape } from './istio-families.ts';

/** One label set and its numbers, laid out by its shape. */
export class Series {
  readonly shape: Shape;
  readonly labels: LabelSet;
  readonly numbers: Float64Array;
  /** Families that are kept of it. */
  parts = 0;
  /** Export before which it was last counted in. */
  touched = 0;
  /** Evicted: whoever still holds it asks for it again. */
  gone = false;

  constructor(shape: Shape, labels: LabelSet, size: number) {
    this.shape = shape;
    this.labels = labels;
    this.numbers = new Float64Array(size);
  }
}

export interface SeriesOptions {
  readonly buckets: readonly number[];
  readonly maxSeries: number;
  readonly clock: Clock;
}

/** A series nobody has counted in for so long makes room, if room is needed. Istio's proxies let metrics expire likewise. */
const IDLE_MS = 10 * 60_000;
/** Looking for such series costs a walk through all. */
const SWEEP_MS = 60_000;

const SHAPES: readonly Shape[] = ['calls', 'messages', 'connections'];

/**
 * All series of a process, found by their labels. Their number is bounded: beyond it the idle ones go, and while none is idle there
 * are no new ones. Counters of what is not idle never go back or away.
 */
export class SeriesBook {
  readonly #clock: Clock;
  readonly #bounds: readonly number[];
  readonly #maxSeries: number;
  readonly #byShape: Readonly<Record<Shape, Map<string, Series>>> = { calls: new Map(), messages: new Map(), connections: new Map() };
  /** Time series of a label set, as Prometheus counts. */
  readonly #cost: Readonly<Record<Shape, number>>;
  readonly #size: Readonly<Record<Shape, number>>;
  readonly #onSweep: () => void;
  #series = 0;
  #evicted = 0;
  /** Exports so far, and when the latest that is by now long ago was. */
  #exports = 1;
  readonly #exportedAt: number[] = [];
  #sweptAt = -Infinity;

  /** `onSweep`: series are gone; whoever remembers some lets go of them. */
  constructor({ buckets, maxSeries, clock }: SeriesOptions, onSweep: () => void) {
    this.#clock = clock;
    this.#bounds = buckets;
    this.#maxSeries = maxSeries;
    this.#onSweep = onSweep;
    const histogram = buckets.length + 3;
    this.#cost = { calls: 1 + 3 * histogram, messages: 2, connections: 4 };
    this.#size = { calls: 1 + 3 * (buckets.length + 2), messages: 2, connections: 4 };
  }

  /** Time series exposed. */
  get size(): number {
    return this.#series;
  }

  /** Label sets that made room for others. */
  get evicted(): number {
    return this.#evicted;
  }

  /** The series of a label set, found or made; undefined if there is no room. `always`: there is. */
  obtain(shape: Shape, labels: LabelSet, always = false): Series | undefined {
    const found = this.#byShape[shape].get(labels.text);
    if (found !== undefined) return found;
    const cost = this.#cost[shape];
    if (!always && this.#series + cost > this.#maxSeries) this.#sweep();
    if (!always && this.#series + cost > this.#maxSeries) return undefined;
    const made = new Series(shape, labels, this.#size[shape]);
    made.touched = this.#exports;
    this.#byShape[shape].set(labels.text, made);
    this.#series += cost;
    return made;
  }

  /** One more, of the counter at `place`. */
  add(series: Series, place: number, amount: number): void {
    series.touched = this.#exports;
    series.numbers[place]! += amount;
  }

  /** A call: `parts` says which families count it. */
  call(series: Series, parts: number, ms: number, requestBytes: number, responseBytes: number): void {
    series.touched = this.#exports;
    if ((parts & 1) !== 0) series.numbers[0]! += 1;
    if ((parts & 2) !== 0) this.#record(series.numbers, 0, ms);
    if ((parts & 4) !== 0) this.#record(series.numbers, 1, requestBytes);
    if ((parts & 8) !== 0) this.#record(series.numbers, 2, responseBytes);
  }

  /** Calls per bucket, the last one without bound, then the sum of their values. Their count is that of the buckets. */
  #record(numbers: Float64Array, place: number, value: number): void {
    const bounds = this.#bounds;
    const start = 1 + place * (bounds.length + 2);
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1;
    numbers[start + bucket]! += 1;
    numbers[start + bounds.length + 1]! += value >= 0 ? value : 0;
  }

  #sweep(): void {
    const now = this.#clock.now();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    const idleSince = this.#exports - this.#exportedAt.filter((at) => now - at < IDLE_MS).length;
    for (const shape of SHAPES)
      for (const [labels, series] of this.#byShape[shape]) {
        // Never exported, or lately counted in: somebody still waits for it.
        if (series.touched >= idleSince) continue;
        series.gone = true;
        this.#byShape[shape].delete(labels);
        this.#series -= this.#cost[shape];
        this.#evicted += 1;
      }
    this.#onSweep();
  }

  /** What has been counted: an export, after which who is not counted in any more may be taken for idle. */
  families(): readonly MetricFamily[] {
    const now = this.#clock.now();
    this.#exports += 1;
    this.#exportedAt.push(now);
    while (now - this.#exportedAt[0]! >= IDLE_MS) this.#exportedAt.shift();
    return ISTIO_FAMILIES.map(({ shape, bit, name, type, help, place }) => {
      const kept = [...this.#byShape[shape].values()].filter(({ parts }) => (parts & bit) !== 0);
      const samples = kept.map((series) =>
        type === 'counter' ? { labels: series.labels, value: series.numbers[place]! } : this.#histogram(series, place),
      );
      return { name, type, help, samples };
    });
  }

  #histogram({ labels, numbers }: Series, place: number): HistogramSample {
    const bounds = this.#bounds;
    const start = 1 + place * (bounds.length + 2);
    const sum = start + bounds.length + 1;
    return { labels, bounds, counts: numbers.slice(start, sum), sum: numbers[sum]! };
  }
}
