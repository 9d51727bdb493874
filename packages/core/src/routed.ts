import type { Handler } from './handler.ts';
import type { Life } from './life.ts';
import type { RouteObserver } from './observer.ts';

/** Where a call goes: the handler to run and what belongs to the whole call. Made at compile time. */
export interface Routed {
  /** `passthrough`: the host is outside the mesh and the policy lets it through; the transport sends it as if there were no mesh. */
  readonly kind: 'route' | 'passthrough';
  readonly handler: Handler;
  /** Counts the call until a split has chosen its destination. */
  readonly observer: RouteObserver;
  readonly calls: CallCount;
}

/** Counts the calls of a snapshot, so that a retired one is let go when its last call ends. */
export class CallCount {
  active = 0;
  #onIdle: (() => void) | undefined = undefined;

  enter(life: Life): void {
    this.active += 1;
    life.onEnd(this.#left);
  }

  /** Calls back when no call is left, at once if there is none. */
  whenIdle(callback: () => void): void {
    if (this.active === 0) callback();
    else this.#onIdle = callback;
  }

  readonly #left = (): void => {
    this.active -= 1;
    if (this.active > 0) return;
    const callback = this.#onIdle;
    this.#onIdle = undefined;
    callback?.();
  };
}
