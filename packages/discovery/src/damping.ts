import type { Clock, Endpoint, Timer } from '@inmesh/core';

/** How long one that vanished from a list without a word still counts as draining. */
const KEEP_MS = 30_000;

/** What registries list. */
interface Listed {
  readonly health: Endpoint['health'];
}

interface Known<T> {
  readonly item: T;
  /** Set while it is not listed: from when on it counts as draining, and from when on as gone. */
  readonly missing: { readonly drainsAt: number; readonly goneAt: number } | undefined;
}

export interface DampingOptions<T> {
  readonly clock: Clock;
  /** What an item is known by, from list to list. */
  readonly keyOf: (item: T) => string;
  /** Default 30 s. */
  readonly keepMs?: number | undefined;
  /** Some are something else by now: ask for `current` again. */
  readonly onOver: () => void;
}

export interface ListOptions<T> {
  /** Moment of the clock until which the list is in doubt: who is missing may come back, and is what he was. */
  readonly doubtUntil?: number;
  /** Of one that is not listed: is it known why (not ready, say)? Then it goes at once. */
  readonly isExplained?: (item: T) => boolean;
}

/**
 * Endpoints do not vanish from one moment to the next: who was healthy and is no longer listed counts as draining for a while, and so
 * takes calls only where nobody is healthy. A list that was wrong (a registry that lost its memory, a slip in a file) takes no
 * traffic down; one that was right costs nothing while anybody else is there.
 */
export class Damping<T extends Listed> {
  readonly #options: DampingOptions<T>;
  readonly #keepMs: number;
  #known: ReadonlyMap<string, Known<T>> = new Map();
  #timer: Timer | undefined = undefined;

  constructor(options: DampingOptions<T>) {
    this.#options = options;
    this.#keepMs = options.keepMs ?? KEEP_MS;
  }

  /** The complete list as the registry has it; what calls go by now. */
  list(listed: readonly T[], { doubtUntil = -Infinity, isExplained = () => false }: ListOptions<T> = {}): readonly T[] {
    const { clock, keyOf } = this.#options;
    const now = clock.now();
    const next = new Map<string, Known<T>>();
    for (const item of listed) {
      const key = keyOf(item);
      if (!next.has(key)) next.set(key, { item, missing: undefined });
    }
    for (const [key, { item, missing }] of this.#known) {
      if (next.has(key) || isExplained(item)) continue;
      if (missing !== undefined && now >= missing.drainsAt) next.set(key, { item, missing });
      else if (doubtUntil > now || item.health === 'healthy') {
        const drainsAt = Math.max(now, doubtUntil);
        next.set(key, { item, missing: { drainsAt, goneAt: item.health === 'healthy' ? drainsAt + this.#keepMs : drainsAt } });
      }
    }
    this.#known = next;
    return this.current();
  }

  /** Those listed, and behind them those who leave. */
  current(): readonly T[] {
    const { clock, onOver } = this.#options;
    const now = clock.now();
    const known = new Map([...this.#known].filter(([, { missing }]) => missing === undefined || now < missing.goneAt));
    this.#known = known;
    this.#timer?.cancel();
    let next = Infinity;
    const items = [...known.values()].map(({ item, missing }): T => {
      if (missing === undefined) return item;
      const drains = now >= missing.drainsAt;
      next = Math.min(next, drains ? missing.goneAt : missing.drainsAt);
      return drains ? { ...item, health: 'draining' } : item;
    });
    this.#timer = next === Infinity ? undefined : clock.after(next - now, onOver);
    return items;
  }

  /** The registry cannot be asked: who was only doubted is what he was until there is an answer again. */
  hold(): void {
    const now = this.#options.clock.now();
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
}
