import type { Clock, Timer } from '@inmesh/core';

/** What a registry lists, by key. */
export interface Listed {
  readonly key: string;
  readonly health: 'healthy' | 'draining' | 'unhealthy';
}

interface Known<T> {
  readonly item: T;
  /** Set while it is not listed: from when on it counts as draining, and from when on as gone. */
  readonly missing: { readonly drainsAt: number; readonly goneAt: number } | undefined;
}

/**
 * Keeps what vanishes from a list for a while. What vanished without having been seen draining or unhealthy counts as draining for
 * `keepMs`; and while the list is in doubt (its registry was restarted, or could not be reached) as what it was.
 */
export class Damping<T extends Listed> {
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #onChange: (items: readonly T[]) => void;
  #known: ReadonlyMap<string, Known<T>> = new Map();
  #timer: Timer | undefined;

  constructor(clock: Clock, keepMs: number, onChange: (items: readonly T[]) => void) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#onChange = onChange;
  }

  /** The complete list as it was answered. `doubtUntil` (of the clock): what is missing may still come back until then. */
  update(listed: readonly T[], doubtUntil: number): void {
    const now = this.#clock.now();
    const next = new Map<string, Known<T>>();
    for (const item of listed) if (!next.has(item.key)) next.set(item.key, { item, missing: undefined });
    for (const [key, { item, missing }] of this.#known) {
      if (next.has(key)) continue;
      if (missing !== undefined && now >= missing.drainsAt) next.set(key, { item, missing });
      else if (doubtUntil > now || item.health === 'healthy') {
        const drainsAt = Math.max(now, doubtUntil);
        next.set(key, { item, missing: { drainsAt, goneAt: item.health === 'healthy' ? drainsAt + this.#keepMs : drainsAt } });
      }
    }
    this.#known = next;
    this.#tell();
  }

  /** The registry cannot be asked: who was only doubted is what it was until there is an answer again. */
  hold(): void {
    const now = this.#clock.now();
    this.#known = new Map(
      [...this.#known].map(([key, { item, missing }]) => [
        key,
        { item, missing: missing !== undefined && now < missing.drainsAt ? undefined : missing },
      ]),
    );
  }

  close(): void {
    this.#timer?.cancel();
  }

  #tell(): void {
    const now = this.#clock.now();
    const known = new Map([...this.#known].filter(([, { missing }]) => missing === undefined || now < missing.goneAt));
    this.#known = known;
    const changes = [...known.values()].flatMap(({ missing }) =>
      missing === undefined ? [] : [now < missing.drainsAt ? missing.drainsAt : missing.goneAt],
    );
    this.#timer?.cancel();
    this.#timer = changes.length === 0 ? undefined : this.#clock.after(Math.min(...changes) - now, () => this.#tell());
    this.#onChange(
      [...known.values()].map(({ item, missing }) =>
        missing !== undefined && now >= missing.drainsAt ? { ...item, health: 'draining' } : item,
      ),
    );
  }
}
