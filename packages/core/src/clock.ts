/** Time, given. The only file of core that reads the real clock and draws real chance. */
export interface Clock {
  /** Monotonic milliseconds with fractions: for durations, deadlines, ejections. */
  now(): number;
  /** Milliseconds since 1970: for people and for HTTP dates. */
  wall(): number;
  /** Calls back once after `ms`. The process does not live on for it, unless it is `awaited`: then a call goes on from there. */
  after(ms: number, callback: () => void, awaited?: boolean): Timer;
}

export interface Timer {
  cancel(): void;
}

/** Milliseconds since 1970 of an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7); undefined if it is none. */
export function parseHttpDate(text: string): number | undefined {
  const at = text.endsWith('GMT') ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? undefined : at;
}

/** The longest delay setTimeout takes; it turns longer ones into 1 ms. */
const LONGEST = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback, awaited = false) => {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), LONGEST));
    if (!awaited) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Chance as the process has it; uniform in [0, 1). */
export const systemRandom: () => number = Math.random;
