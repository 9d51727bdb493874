/** Prometheus text format, version 0.0.4: what `/metrics` is answered with. */
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Label values may hold anything; backslash, quote and line feed are written with a backslash. */
function escapeLabel(value: string): string {
  return /["\\\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;
}

/** `a="b",c="d"`, without braces. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',');
}

export function head(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): string {
  return `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
}

/** One line; NaN and infinities as Prometheus spells them. */
export function sample(name: string, labels: string, value: number): string {
  const number = value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
  return labels === '' ? `${name} ${number}\n` : `${name}{${labels}} ${number}\n`;
}

/** A counter or gauge with few label sets, for rare things: labels are joined at each change. */
export class Family {
  readonly name: string;
  readonly #type: 'counter' | 'gauge';
  readonly #help: string;
  readonly #limit: number;
  readonly #values = new Map<string, number>();

  /** `limit`: label sets beyond it are not kept. */
  constructor(name: string, type: 'counter' | 'gauge', help: string, limit: number) {
    this.name = name;
    this.#type = type;
    this.#help = help;
    this.#limit = limit;
  }

  get size(): number {
    return this.#values.size;
  }

  add(labels: Readonly<Record<string, string>>, amount = 1): void {
    const key = labelText(labels);
    this.#put(key, (this.#values.get(key) ?? 0) + amount);
  }

  set(labels: Readonly<Record<string, string>>, value: number): void {
    this.#put(labelText(labels), value);
  }

  /** For gauges that have one label set at a time. */
  only(labels: Readonly<Record<string, string>>, value: number): void {
    this.#values.clear();
    this.set(labels, value);
  }

  /** '' while nothing was counted. */
  text(): string {
    if (this.#values.size === 0) return '';
    let text = head(this.name, this.#type, this.#help);
    for (const [labels, value] of this.#values) text += sample(this.name, labels, value);
    return text;
  }

  #put(key: string, value: number): void {
    if (this.#values.size < this.#limit || this.#values.has(key)) this.#values.set(key, value);
  }
}
