/**
 * The shop: a storefront, three versions of reviews, ratings, and a service of somebody else's, each a process of its own on
 * loopback, under a folder of Istio resources that a director edits while visitors come in. Ends by itself with a list of
 * promises and what was measured of each; exit code 1 if one was broken. `--forever` tells the story again until Ctrl-C.
 */
import { devCertificates, loadDevCa } from '@inmesh/identity/dev';
import { createMesh, type Mesh } from 'inmesh';
import { existsSync } from 'node:fs';
import { Chronicle } from './chronicle.ts';
import type { Verdict } from './promises.ts';
import { Shop } from './shop.ts';
import { look } from './sight.ts';
import { OPENING, playStory, resetStage, type Stage } from './story.ts';
import { Storefront } from './storefront.ts';
import { summary } from './summary.ts';
import { Tally } from './tally.ts';
import { liveView, plainView } from './view.ts';

const forever = process.argv.includes('--forever');
const out = process.stdout;
const stop = new AbortController();
// Once: a second Ctrl-C ends the process at once, and the others leave when it does.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

out.write('inmesh: starting the processes of the shop …\n');
const shop = await Shop.open(OPENING);
const rounds: Verdict[][] = [];
const tally = new Tally(OPENING);
let clean = false;
try {
  await serve(shop, tally, rounds);
} finally {
  clean = (await shop.close()) && !existsSync(shop.folder);
}
const tidy: Verdict = {
  text: 'Nothing is left behind',
  kept: clean,
  figure: clean ? 'every process and file gone' : 'a process had to be killed',
};
const { text, exitCode } = summary(rounds, tidy, tally);
out.write(text);
process.exitCode = exitCode;
// Whatever keeps the process alive from here on should have been closed.
setTimeout(() => {
  console.error(`inmesh: something still runs after everything was closed: ${process.getActiveResourcesInfo().join(', ')}`);
  process.exit(1);
}, 5000).unref();

/** Opens the storefront and tells the story, once or until it is stopped. The verdicts of each whole round go to `rounds`. */
async function serve(shop: Shop, tally: Tally, rounds: Verdict[][]): Promise<void> {
  const began = performance.now();
  const view = out.isTTY && !process.env['CI'] ? liveView(out) : plainView(out);
  const chronicle = new Chronicle((line) => view.line(line, began));
  const workload = { name: 'storefront', namespace: 'shop', labels: { app: 'storefront' } };
  let mesh: Mesh | undefined;
  let eyes: NodeJS.Timeout | undefined;
  try {
    const identity = devCertificates(await loadDevCa(shop.ca), { namespace: 'shop', serviceAccount: 'storefront' });
    mesh = await createMesh({ policy: shop.policy, workload, identity, onEvent: chronicle.hear });
    const stage: Stage = { shop, mesh, tally, chronicle, signal: stop.signal, scene: { number: 0, title: '' } };
    const storefront = new Storefront(mesh, tally);
    const show = (): void => view.show(look(stage, began));
    await storefront.open();
    eyes = setInterval(show, view.everyMs);
    try {
      do {
        if (rounds.length > 0) await resetStage(stage);
        const pledges = await playStory(stage);
        if (!forever) await storefront.close();
        rounds.push(pledges.map((judge) => judge(tally.chapters)));
      } while (forever);
      show();
    } finally {
      await storefront.close();
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearInterval(eyes);
    view.close();
    await mesh?.close();
  }
}
