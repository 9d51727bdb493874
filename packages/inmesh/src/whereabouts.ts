import { type Clock, systemClock } from '@inmesh/core';
import type { Registry, Whereabouts } from '@inmesh/discovery';
import type { Workload } from '@inmesh/policy';
import { detectWorkload, type Self, type Surroundings, unsaid } from './environment.ts';

/** How long a start waits for all registries together to say where the process is. */
const PATIENCE_MS = 1000;

/** Who this process is: what its surroundings leave open of its place is asked of the registries it follows. Never fails for them. */
export async function findWorkload(
  given: Partial<Workload> | undefined,
  registries: readonly Pick<Registry, 'about'>[],
  { around, clock = systemClock }: { readonly around?: Surroundings; readonly clock?: Clock } = {},
): Promise<Self> {
  const alone = detectWorkload(given, around);
  const abouts = registries.flatMap(({ about }) => about ?? []);
  if (abouts.length === 0 || !unsaid(alone)) return alone;
  return detectWorkload(given, around, await ask(abouts, clock));
}

/** In the order of the registries, whoever was first to answer. */
async function ask(abouts: readonly NonNullable<Registry['about']>[], clock: Clock): Promise<readonly Whereabouts[]> {
  const answers: (Whereabouts | undefined)[] = [];
  const all = Promise.all(
    abouts.map(async (about, index) => {
      try {
        answers[index] = await about();
      } catch {
        // It is followed, too, and says then what is wrong with it.
      }
    }),
  );
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(PATIENCE_MS, resolve, true);
  await Promise.race([all, promise]);
  timer.cancel();
  return answers.filter((answer) => answer !== undefined);
}
