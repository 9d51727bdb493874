import type { Clock } from '../clock.ts';
import type { Picker } from '../kind.ts';

/** A picker built in slices: `work` yields every fraction of a millisecond or so, and returns what it built. */
export function building<Built extends Picker>(clock: Clock, work: Iterator<void, Built>): { step(ms: number): Built | undefined } {
  let built: Built | undefined;
  return {
    step: (ms) => {
      const until = clock.now() + ms;
      while (built === undefined) {
        const turn = work.next();
        if (turn.done === true) built = turn.value;
        else if (clock.now() >= until) break;
      }
      return built;
    },
  };
}
