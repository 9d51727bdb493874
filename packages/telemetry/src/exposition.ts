/** Prometheus text format, version 0.0.4: what `/metrics` is answered with. */
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type Labels = Readonly<Record<string, string | number>>;
type MetricType = 'counter' | 'gauge' | 'histogram';

/** Metrics of one name, as Prometheus' text and OpenTelemetry's exporters are both made of. */
export interface MetricFamily {
  /** As Prometheus has it; with dots, where it is OpenTelemetry's: Prometheus then gets underscores, and the unit behind. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  /** Of OpenTelemetry's names, which do not hold it. */
  readonly unit?: 's';
  readonly samples: readonly MetricSample[];
}

export type MetricSample = NumberSample | HistogramSample;

export interface NumberSample {
  readonly labels: LabelSet;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: LabelSet;
  /** Upper bounds, ascending, without infinity. */
  readonly bounds: readonly number[];
  /** Observations by bucket, the last one beyond all bounds: not cumulative. */
  readonly counts: ArrayLike<number>;
  readonly sum: number;
}

/** Something that has metrics to show. Asked at each scrape and export. */
export interface MetricSource {
  families(): Iterable<MetricFamily>;
}

/** Labels, and their text, which is written once: series live long and are shown often. */
export class LabelSet {
  static readonly none = new LabelSet({});
  readonly record: Labels;
  #text: string | undefined = undefined;

  constructor(record: Labels) {
    this.record = record;
  }

  get text(): string {
    return (this.#text ??= labelText(this.record));
  }
}

/** Label values may hold anything; backslash, quote and line feed are written with a backslash. */
function escapeLabel(given: string | number): string {
  const value = String(given);
  return /["\\\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;
}

/** `a="b",c="d"`, without braces. */
export function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name.replaceAll('.', '_')}="${escapeLabel(value)}"`)
    .join(',');
}

export function head(name: string, type: MetricType, help: string): string {
  return `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
}

/** One line; NaN and infinities as Prometheus spells them. */
export function sample(name: string, labels: string, value: number): string {
  const number = value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
  return labels === '' ? `${name} ${number}\n` : `${name}{${labels}} ${number}\n`;
}

const UNITS = { s: '_seconds' } as const;

/** Families as text; those without samples are left out. */
export function textOf(families: Iterable<MetricFamily>): string {
  let text = '';
  for (const { name, type, help, unit, samples } of families) {
    if (samples.length === 0) continue;
    const called = name.replaceAll('.', '_') + (unit === undefined ? '' : UNITS[unit]);
    text += head(called, type, help);
    for (const one of samples) {
      text += 'value' in one ? sample(called, one.labels.text, one.value) : histogramText(called, one);
    }
  }
  return text;
}

function histogramText(name: string, { labels: { text: labels }, bounds, counts, sum }: HistogramSample): string {
  let text = '';
  let count = 0;
  for (let bucket = 0; bucket <= bounds.length; bucket += 1) {
    count += counts[bucket]!;
    text += sample(`${name}_bucket`, `${labels}${labels === '' ? '' : ','}le="${bounds[bucket] ?? '+Inf'}"`, count);
  }
  return text + sample(`${name}_sum`, labels, sum) + sample(`${name}_count`, labels, count);
}

/** A family of one sample without labels. */
export function single(name: string, type: 'counter' | 'gauge', help: string, value: number): MetricFamily {
  return { name, type, help, samples: [{ labels: LabelSet.none, value }] };
}

/** A counter or gauge with few label sets, for rare things: labels are joined at each change. */
export class Family {
  readonly name: string;
  readonly #type: 'counter' | 'gauge';
  readonly #help: string;
  readonly #limit: number;
  readonly #samples = new Map<string, { readonly labels: LabelSet; value: number }>();

  /** `limit`: label sets beyond it are not kept. */
  constructor(name: string, type: 'counter' | 'gauge', help: string, limit: number) {
    this.name = name;
    this.#type = type;
    this.#help = help;
    this.#limit = limit;
  }

  add(labels: Labels, amount = 1): void {
    const kept = this.#sample(labels);
    if (kept !== undefined) kept.value += amount;
  }

  set(labels: Labels, value: number): void {
    const kept = this.#sample(labels);
    if (kept !== undefined) kept.value = value;
  }

  family(): MetricFamily {
    return { name: this.name, type: this.#type, help: this.#help, samples: [...this.#samples.values()] };
  }

  #sample(record: Labels): { value: number } | undefined {
    const labels = new LabelSet(record);
    let kept = this.#samples.get(labels.text);
    if (kept === undefined && this.#samples.size < this.#limit) this.#samples.set(labels.text, (kept = { labels, value: 0 }));
    return kept;
  }
}
