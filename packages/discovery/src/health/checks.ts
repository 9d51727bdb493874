import type { Clock, Endpoint, HealthChecks, HealthWatch, Timer } from '@inmesh/core';
import type { Probe } from '@inmesh/policy';
import { type Ask, type Dialled, dialledFor } from './ask.ts';
import { askGrpc } from './grpc.ts';
import { askHttp } from './http.ts';
import { askTcp } from './tcp.ts';

export interface HealthChecksOptions {
  /** Questions under way at a time, of the whole process; the others wait. Default 16. */
  readonly concurrency?: number;
  /** Who asks, by kind of probe. Default: real ones. */
  readonly asks?: { readonly [Kind in Probe['ask']['kind']]: Ask<Kind> };
}

/** A period is lengthened or shortened by up to this share, so that a fleet that began at once does not ask at once for ever. */
const JITTER = 0.1;

/**
 * Asks endpoints how they are (WorkloadGroup.probe), those of services in use, one and the same of several services once. Until
 * `failureThreshold` questions in a row have failed an endpoint is as its registry says: a process that has just started must be able
 * to call. What comes of it when all fail is for the panic threshold of the cluster to say.
 */
export function healthChecks({
  concurrency = 16,
  asks = { http: askHttp, tcp: askTcp, grpc: askGrpc },
}: HealthChecksOptions = {}): HealthChecks {
  const checks = new Map<string, Check>();
  const turns = new Turns(concurrency);
  return {
    follow: (onChange, { clock, random }): HealthWatch => {
      let mine = new Map<string, Check>();
      const leave = (key: string, check: Check): void => {
        check.leave(onChange);
        if (check.idle && checks.get(key) === check) checks.delete(key);
      };
      return {
        judge: (endpoints) => {
          const now = new Map<string, Check>();
          let changed = false;
          const judged = endpoints.map((endpoint): Endpoint => {
            const { probe } = endpoint;
            if (probe === undefined) return endpoint;
            const to = dialledFor(probe, endpoint);
            const key = JSON.stringify([to, probe]);
            let check = checks.get(key);
            if (check === undefined) checks.set(key, (check = new Check(probe, to, { clock, random, turns, asks })));
            now.set(key, check);
            // What a registry says against an endpoint is not outweighed by an answer of it.
            if (check.healthy || endpoint.health !== 'healthy') return endpoint;
            changed = true;
            return { ...endpoint, health: 'unhealthy' };
          });
          for (const [key, check] of now) if (!mine.has(key)) check.join(onChange);
          for (const [key, check] of mine) if (!now.has(key)) leave(key, check);
          mine = now;
          return changed ? judged : endpoints;
        },
        close: () => {
          for (const [key, check] of mine) leave(key, check);
          mine = new Map();
        },
      };
    },
  };
}

interface Tools {
  readonly clock: Clock;
  readonly random: () => number;
  readonly turns: Turns;
  readonly asks: NonNullable<HealthChecksOptions['asks']>;
}

/** One place that is asked, again and again, for as long as anyone listens. */
class Check {
  readonly #probe: Probe;
  readonly #to: Dialled;
  readonly #tools: Tools;
  readonly #listeners = new Set<() => void>();
  #healthy = true;
  /** Answers in a row that speak against what is believed. */
  #against = 0;
  #timer: Timer | undefined;
  #question: AbortController | undefined;

  constructor(probe: Probe, to: Dialled, tools: Tools) {
    this.#probe = probe;
    this.#to = to;
    this.#tools = tools;
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  get idle(): boolean {
    return this.#listeners.size === 0;
  }

  join(onChange: () => void): void {
    this.#listeners.add(onChange);
    if (this.#listeners.size > 1) return;
    const { initialDelayMs, periodMs } = this.#probe;
    // Spread over a period from the start: whoever has a thousand endpoints does not ask all of them in the first moment.
    this.#wait(initialDelayMs + periodMs * this.#tools.random());
  }

  leave(onChange: () => void): void {
    this.#listeners.delete(onChange);
    if (this.#listeners.size > 0) return;
    this.#timer?.cancel();
    this.#question?.abort();
  }

  #wait(ms: number): void {
    this.#timer = this.#tools.clock.after(ms, () => {
      this.#tools.turns.take(() => this.#ask());
    });
  }

  async #ask(): Promise<void> {
    // It may have waited for its turn.
    if (this.idle) return;
    const { clock, random } = this.#tools;
    const question = (this.#question = new AbortController());
    const timeout = clock.after(this.#probe.timeoutMs, () => question.abort());
    const well = await Promise.race([this.#answer(question.signal), aborted(question.signal)]);
    timeout.cancel();
    this.#question = undefined;
    if (this.idle) return;
    this.#hear(well);
    // A listener may have left.
    if (!this.idle) this.#wait(this.#probe.periodMs * (1 - JITTER + 2 * JITTER * random()));
  }

  async #answer(signal: AbortSignal): Promise<boolean> {
    const { ask } = this.#probe;
    try {
      await (this.#tools.asks[ask.kind] as Ask)(ask, this.#to, signal);
      return true;
    } catch {
      return false;
    }
  }

  #hear(well: boolean): void {
    if (well === this.#healthy) {
      this.#against = 0;
      return;
    }
    this.#against += 1;
    const { failureThreshold, successThreshold } = this.#probe;
    if (this.#against < (well ? successThreshold : failureThreshold)) return;
    this.#against = 0;
    this.#healthy = well;
    for (const listener of this.#listeners) listener();
  }
}

/** An endpoint that takes no notice of the abort must not hold a turn for ever. */
const aborted = (signal: AbortSignal): Promise<false> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }));

/** Who may ask now; the others stand in line. */
class Turns {
  readonly #most: number;
  readonly #line: (() => Promise<void>)[] = [];
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  take(work: () => Promise<void>): void {
    if (this.#taken >= this.#most) {
      this.#line.push(work);
      return;
    }
    this.#taken += 1;
    void work().finally(() => {
      this.#taken -= 1;
      const next = this.#line.shift();
      if (next !== undefined) this.take(next);
    });
  }
}
