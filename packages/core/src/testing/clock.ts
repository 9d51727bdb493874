import type { Clock, Timer } from '../clock.ts';

/** A clock that stands still until told otherwise. */
export interface FakeClock extends Clock {
  /** Moves time on by `ms`, firing what falls due in order of time, each at its own moment. Callbacks may set new timers. */
  advance(ms: number): void;
  /** As advance, but lets promises settle before the first timer, after each, and at the end: for code that awaits between timers. */
  pass(ms: number): Promise<void>;
  /** Timers waiting: 0 after a close proves that nothing was forgotten. */
  readonly pending: number;
}

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** Microtask turns that count as settled; deeper promise chains than this have no business in a call. */
const TURNS = 100;

async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await Promise.resolve();
}

/** Monotonic time starts at `now` (default 0), wall time at `wall` (default 2025-01-01T00:00:00Z). */
export function fakeClock({
  now: start = 0,
  wall = Date.UTC(2025, 0, 1),
}: { readonly now?: number; readonly wall?: number } = {}): FakeClock {
  let now = start;
  let orders = 0;
  let live = 0;
  // Binary heap by moment, then by the order of setting.
  const heap: Waiting[] = [];
  const before = (left: Waiting, right: Waiting): boolean => left.at < right.at || (left.at === right.at && left.order < right.order);

  function push(timer: Waiting): void {
    let index = heap.length;
    heap.push(timer);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(timer, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = timer;
  }

  function shift(): Waiting {
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }

  /** The next timer due until `end`, its moment reached. */
  function due(end: number): Waiting | undefined {
    while (heap.length > 0 && heap[0]!.at <= end) {
      const timer = shift();
      if (timer.cancelled) continue;
      timer.cancelled = true;
      live -= 1;
      now = Math.max(now, timer.at);
      return timer;
    }
    return undefined;
  }

  return {
    now: () => now,
    wall: () => wall + now - start,
    after: (ms, callback): Timer => {
      const timer: Waiting = { at: now + Math.max(ms, 0), order: (orders += 1), callback, cancelled: false };
      push(timer);
      live += 1;
      return {
        cancel: () => {
          if (timer.cancelled) return;
          timer.cancelled = true;
          live -= 1;
        },
      };
    },
    advance: (ms) => {
      const end = now + ms;
      for (let timer = due(end); timer !== undefined; timer = due(end)) timer.callback();
      now = end;
    },
    pass: async (ms) => {
      const end = now + ms;
      await settle();
      for (let timer = due(end); timer !== undefined; timer = due(end)) {
        timer.callback();
        await settle();
      }
      now = end;
    },
    get pending() {
      return live;
    },
  };
}
