/** Time, given. The only file of core that reads the real clock. */
export interface Clock {
  /** Monotonic milliseconds with fractions: for durations, deadlines, ejections. */
  now(): number;
  /** Milliseconds since 1970: for people and for HTTP dates. */
  wall(): number;
  /** Calls back once after `ms`; the timer never keeps the process alive. */
  after(ms: number, callback: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

/** The longest delay setTimeout takes; it turns longer ones into 1 ms. */
const LONGEST = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), LONGEST)).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
