import type { Traffic } from './policy.ts';

/** How one call of the storefront ended. */
export interface Visit {
  /** `performance.now()` at its end. */
  readonly at: number;
  readonly ms: number;
  readonly user: string;
  /** Version of reviews that answered; undefined if none did, or if something else was called. */
  readonly version: string | undefined;
  readonly outcome: 'ok' | 'fault' | 'failed';
  /** What went wrong, '' if nothing did. */
  readonly reason: string;
}

/** The user whom the policy treats apart. */
export const JASON = 'jason';

/** A stretch of the story under one policy: what began in it is counted in it. */
export class Chapter {
  readonly name: string;
  /** What the policy in force asks for. */
  readonly traffic: Traffic;
  visits = 0;
  /** Calls that failed though nobody had asked for it, by reason. */
  readonly failures = new Map<string, number>();
  failed = 0;
  /** Answers of reviews to everyone but jason, by version. */
  readonly everyone = new Map<string, number>();
  answered = 0;
  readonly jason = { answers: 0, faults: 0, byVersion: new Map<string, number>() };
  /** Injected faults that met somebody else. */
  strayFaults = 0;
  readonly latencies: number[] = [];

  constructor(name: string, traffic: Traffic) {
    this.name = name;
    this.traffic = traffic;
  }

  add({ user, version, outcome, reason, ms }: Visit): void {
    this.visits += 1;
    this.latencies.push(ms);
    if (outcome === 'failed') {
      this.failed += 1;
      increment(this.failures, reason);
    } else if (outcome === 'fault') {
      if (user === JASON) this.jason.faults += 1;
      else this.strayFaults += 1;
    } else if (version !== undefined && user === JASON) {
      this.jason.answers += 1;
      increment(this.jason.byVersion, version);
    } else if (version !== undefined) {
      this.answered += 1;
      increment(this.everyone, version);
    }
  }

  /** Percent of everyone's answers that came from a version. */
  share(version: string): number {
    return this.answered === 0 ? 0 : ((this.everyone.get(version) ?? 0) / this.answered) * 100;
  }
}

/** The last seconds, for the eye. */
export interface Recent {
  readonly perSecond: number;
  /** Percent of calls that did not fail; faults asked for are no failures. */
  readonly success: number;
  readonly p50: number;
  readonly p99: number;
}

const RECENT_MS = 2000;

/** Everything that is counted: the chapters of a round, and a window of the last two seconds. */
export class Tally {
  chapters: Chapter[];
  /** Since the demo began. */
  total = 0;
  failed = 0;
  #recent: Visit[] = [];

  constructor(traffic: Traffic) {
    this.chapters = [new Chapter('the opening', traffic)];
  }

  get chapter(): Chapter {
    return this.chapters.at(-1)!;
  }

  /** From now on what begins is counted there. */
  begin(name: string, traffic: Traffic = this.chapter.traffic): void {
    this.chapters.push(new Chapter(name, traffic));
  }

  /** A new round of the story: the chapters of the last one are told. */
  beginRound(): void {
    this.chapters = [new Chapter('the opening', this.chapter.traffic)];
  }

  add(chapter: Chapter, visit: Visit): void {
    chapter.add(visit);
    this.#recent.push(visit);
    this.total += 1;
    if (visit.outcome === 'failed') this.failed += 1;
  }

  recent(now: number): Recent {
    const from = this.#recent.findIndex(({ at }) => at > now - RECENT_MS);
    this.#recent = from < 0 ? [] : this.#recent.slice(from);
    const visits = this.#recent;
    const first = visits[0];
    const sorted = visits.map(({ ms }) => ms).sort((a, b) => a - b);
    const spanMs = first === undefined ? 1 : Math.max(now - first.at, 500);
    return {
      perSecond: (visits.length / spanMs) * 1000,
      success: visits.length === 0 ? 100 : (1 - visits.filter(({ outcome }) => outcome === 'failed').length / visits.length) * 100,
      p50: percentile(sorted, 50),
      p99: percentile(sorted, 99),
    };
  }
}

/** The value that `percent` of the sorted ones do not exceed; 0 of none. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? 0;
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
