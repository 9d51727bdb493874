import type { Exchange, Reply, Transport } from './exchange.ts';
import type { Clock } from './clock.ts';
import type { Deadlines } from './deadlines.ts';
import type { Hash } from './hash.ts';
import type { Lease } from './lease.ts';
import type { Observer } from './observer.ts';

/** Everything composes by this: a call goes down, a reply or a MeshError comes back. May throw instead of rejecting. */
export type Handler = <T>(exchange: Exchange, transport: Transport<T>) => Promise<Reply<T>>;

/** And by this. Plain functions unless they must wait: `return next(…)` is free, `await` is not. */
export type Filter = (next: Handler) => Handler;

/** What a place in the stack is given when it is compiled. Scoped: lease keys are unique to the place only. */
export interface Runtime {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly observer: Observer;
  readonly deadlines: Deadlines;
  readonly hash: Hash;
  /** Learned state, found again by key after a policy change. Configuration is passed in with each use instead. */
  readonly lease: Lease;
}
