/**
 * The shop: a storefront, three versions of reviews, ratings, and a service of somebody else's, each a process of its own on
 * loopback, under a folder of Istio resources that a director edits while visitors come in. Ends by itself with a list of
 * promises and what was measured of each; exit code 1 if one was broken. The console shows it all in a browser meanwhile. `--forever`
 * tells the story again until Ctrl-C.
 */
import type { ConsoleServer } from '@inmesh/cli';
import { devCertificates, loadDevCa } from '@inmesh/identity/dev';
import { createMesh, type Mesh } from 'inmesh';
import { existsSync } from 'node:fs';
import { readBooks } from './books.ts';
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
// The console is read while the others start.
const [shop, { startConsole }] = await Promise.all([Shop.open(OPENING), import('@inmesh/cli')]);
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
  let page: ConsoleServer | undefined;
  let eyes: NodeJS.Timeout | undefined;
  try {
    const identity = devCertificates(await loadDevCa(shop.ca), { namespace: 'shop', serviceAccount: 'storefront' });
    mesh = await createMesh({ policy: shop.policy, workload, identity, onEvent: chronicle.hear, admin: 0 });
    shop.admins.unshift(new URL(mesh.adminUrl!));
    page = await startConsole({ host: '127.0.0.1', port: 0, admins: shop.admins });
    view.invite(page.url);
    const storefront = new Storefront(mesh, tally);
    const scene = { number: 0, title: '' };
    const stage: Stage = { shop, mesh, tally, chronicle, signal: stop.signal, scene, console: page.url };
    const show = (): void => view.show(look(stage, began));
    eyes = setInterval(show, view.everyMs);
    try {
      do {
        if (rounds.length > 0) await resetStage(stage);
        await storefront.open();
        const pledges = await playStory(stage);
        await storefront.close();
        const books = await readBooks(shop, mesh, storefront.ofJason);
        rounds.push(pledges.map((judge) => judge(tally.chapters, books)));
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
    await Promise.all([page?.close(), mesh?.close()]);
  }
}
