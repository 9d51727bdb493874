import type { LastGood } from './last-good.ts';
import type { SourceUpdate } from './update.ts';

export type { SourceUpdate } from './update.ts';

/** Where a policy document comes from. */
export interface PolicySource {
  /** For people and status: a path, or a URL without its secrets. */
  readonly name: string;
  /**
   * Tells what is there now, then whenever it changes, until closed. Never throws, never calls back before it has returned,
   * never tells the same version twice in a row, keeps no process alive. A success after a failure is told even if its
   * version is the old one: the source works again.
   */
  watch(onUpdate: (update: SourceUpdate) => void): Closeable;
  /** Where the last document of this source that was accepted is kept for a start without it. */
  readonly lastGood?: LastGood;
}

export interface Closeable {
  close(): void;
}

/** Time and chance, given: core's clock and random fit. */
export interface Pace {
  /** Calls back once after `ms`, keeping no process alive. */
  after(ms: number, callback: () => void): { cancel(): void };
  /** Uniform in [0, 1). */
  random(): number;
}

/** The real ones, for whoever is not given others. */
export const systemPace: Pace = {
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  random: Math.random,
};

/** The first thing a source says, or that it said nothing within `ms`; then it is closed. */
export function firstUpdate(source: PolicySource, ms: number, pace: Pace): Promise<SourceUpdate> {
  return new Promise((resolve) => {
    const end = (update: SourceUpdate): void => {
      timer.cancel();
      watch.close();
      resolve(update);
    };
    const timer = pace.after(ms, () => end({ ok: false, reason: `${source.name}: nothing heard within ${ms} ms`, transient: true }));
    const watch = source.watch(end);
  });
}
