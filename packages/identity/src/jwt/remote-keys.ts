import type { Clock, MeshEvent, Timer } from '@inmesh/core';
import type { KeySet, KeySource } from './keys.ts';

/** Who needs the keys of one place, and whom to tell. */
export interface KeyHolder {
  /** How long a fetch may take. */
  readonly timeoutMs: number;
  readonly onEvent: (event: MeshEvent) => void;
}

export interface RemoteTools {
  readonly clock: Clock;
  readonly random: () => number;
}

const MINUTE = 60_000;
/** PILOT_JWT_PUB_KEY_REFRESH_INTERVAL. */
const REFRESH = 20 * MINUTE;
const LONGEST_PAUSE = 60 * MINUTE;
/** While there are no keys at all, tokens are refused: the first tries follow sooner (istiod: seven, a second apart). */
const QUICK_TRIES = 7;
const QUICK_PAUSE = 1000;
/** Between two fetches that tokens ask for: a flood of unknown key names is one question to the issuer. */
const COOLDOWN = 30_000;
/** How long keys nobody needs are kept: policies come back. */
const KEPT_UNUSED = 7 * 24 * 60 * MINUTE;

/**
 * The keys of one URL or issuer: fetched in the background, one fetch at a time, the last good ones kept for as long as anybody needs them
 * (istiod's pilot/pkg/model/jwks_resolver.go; unlike it, a key nobody knows is looked for, no more than every 30 s).
 */
export class RemoteKeys implements KeySource {
  readonly #place: string;
  /** Keys, or why there are none. Never rejects. */
  readonly #load: (timeoutMs: number) => Promise<KeySet | string>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #holders = new Set<KeyHolder>();
  #keys: KeySet | undefined = undefined;
  #flight: Promise<void> | undefined = undefined;
  #timer: Timer | undefined = undefined;
  /** Moments: of the last fetch's start, of the last good one's end, and since when nobody needs us. */
  #asked = -Infinity;
  #fetched = -Infinity;
  #idle = Infinity;
  /** Fetches in a row that brought nothing. */
  #failures = 0;

  constructor(place: string, load: (timeoutMs: number) => Promise<KeySet | string>, { clock, random }: RemoteTools) {
    this.#place = place;
    this.#load = load;
    this.#clock = clock;
    this.#random = random;
  }

  get current(): KeySet | undefined {
    return this.#keys;
  }

  /** Nobody needed these keys for so long that they can be forgotten. */
  get stale(): boolean {
    return this.#clock.now() - this.#idle >= KEPT_UNUSED;
  }

  hold(holder: KeyHolder): void {
    this.#holders.add(holder);
    this.#idle = Infinity;
    if (this.#holders.size > 1 || this.#flight !== undefined) return;
    const age = this.#clock.now() - this.#fetched;
    if (age >= REFRESH) void this.#fetch();
    else this.#schedule(REFRESH - age);
  }

  release(holder: KeyHolder): void {
    if (!this.#holders.delete(holder) || this.#holders.size > 0) return;
    this.#idle = this.#clock.now();
    this.#timer?.cancel();
  }

  async renewed(timeoutMs: number): Promise<KeySet | undefined> {
    if (this.#flight !== undefined || this.#clock.now() - this.#asked >= COOLDOWN) await this.#patiently(this.#fetch(timeoutMs), timeoutMs);
    return this.#keys;
  }

  /** Until the fetch is over, or for as long as one is patient. */
  #patiently(flight: Promise<void>, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(ms, resolve, true);
      void flight.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Joins the fetch in flight, or begins one that may take as long as the most patient of those who need it. */
  #fetch(patience = 0): Promise<void> {
    return (this.#flight ??= this.#once(Math.max(patience, ...[...this.#holders].map(({ timeoutMs }) => timeoutMs))));
  }

  async #once(timeoutMs: number): Promise<void> {
    this.#timer?.cancel();
    this.#asked = this.#clock.now();
    const loaded = await this.#load(timeoutMs);
    this.#flight = undefined;
    if (typeof loaded === 'string') this.#failed(loaded);
    else this.#succeeded(loaded);
  }

  #succeeded(keys: KeySet): void {
    const before = this.#keys;
    const same = this.#failures === 0 && before !== undefined && sameKeys(before, keys);
    this.#failures = 0;
    this.#fetched = this.#clock.now();
    this.#keys = keys;
    if (!same) this.#tell({ type: 'keys.changed', source: this.#place, total: keys.keys.length });
    this.#schedule(REFRESH * this.#jitter());
  }

  #failed(reason: string): void {
    this.#failures += 1;
    const quick = this.#keys === undefined ? QUICK_TRIES : 0;
    const pause = this.#failures <= quick ? QUICK_PAUSE : Math.min(LONGEST_PAUSE, MINUTE * 2 ** (this.#failures - quick - 1));
    this.#tell({ type: 'keys.failed', source: this.#place, reason });
    this.#schedule(pause * this.#jitter());
  }

  #jitter(): number {
    return 0.9 + 0.2 * this.#random();
  }

  #schedule(ms: number): void {
    this.#timer?.cancel();
    if (this.#holders.size > 0) this.#timer = this.#clock.after(ms, () => void this.#fetch());
  }

  #tell(event: MeshEvent): void {
    for (const { onEvent } of this.#holders) {
      try {
        onEvent(event);
      } catch {
        // Whoever listens badly must not cost others their keys.
      }
    }
  }
}

const sameKeys = ({ ids: left }: KeySet, { ids: right }: KeySet): boolean =>
  left.size === right.size && [...left].every((id) => right.has(id));
