import type { Clock, Timer } from '../clock.ts';
import type { Cancellable, Life } from '../life.ts';

/** Lets a call wait for `ms`; rejects at once with what ended it if it is cancelled or its deadline passes meanwhile. */
export function pause(life: Life, clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: Timer | undefined;
    const worker: Cancellable = {
      cancelled: (error) => {
        timer?.cancel();
        reject(error);
      },
    };
    const go = (): void => {
      life.rest(worker);
      resolve();
    };
    // Between two attempts nothing else may be keeping the process alive for its answer.
    timer = clock.after(ms, go, true);
    life.work(worker);
  });
}
