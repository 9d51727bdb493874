import type { Mesh } from 'inmesh';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Chronicle } from './chronicle.ts';
import { reviewsTraffic, type Traffic } from './policy.ts';
import { answered, askedAgain, avoided, happens, inTheBooks, nothingFails, onlyJason, type Pledge, shared } from './promises.ts';
import { ratingsClient, told } from './ratings.ts';
import { type Shop, TRAFFIC_FILE } from './shop.ts';
import type { Chapter, Tally } from './tally.ts';
import { forgedToken, goodToken } from './tokens.ts';

/** Where everything begins, and begins again. */
export const OPENING: Traffic = { split: { v1: 100, v2: 0 }, faultForJason: false };

const CANARY: Traffic = { split: { v1: 90, v2: 10 }, faultForJason: false };
const HALF: Traffic = { split: { v1: 50, v2: 50 }, faultForJason: false };
const PROMOTED: Traffic = { split: { v1: 0, v2: 100 }, faultForJason: false };

/** An edit is in force, or refused, within this time: a tenth of a second of quiet on the file, and a busy machine. */
const SOON_MS = 3000;

/** How long the slow endpoint takes: far beyond what an attempt is given. */
const SLOW_MS = 4000;

/** What the director has to hand. */
export interface Stage {
  readonly shop: Shop;
  readonly mesh: Pick<Mesh, 'status' | 'fetch' | 'grpc'>;
  /** Where all of this can be looked at. */
  readonly console: string;
  readonly tally: Tally;
  readonly chronicle: Chronicle;
  /** Ends the story early. */
  readonly signal: AbortSignal;
  /** What is going on, for the view. */
  scene: { readonly number: number; readonly title: string };
}

interface Scene {
  readonly title: string;
  /** Plays it, and tells what the mesh shall have kept in the end. */
  readonly play: (stage: Stage) => Promise<readonly Pledge[]>;
}

/** Plays the whole story once. Rejects with an AbortError if the signal ends it. */
export async function playStory(stage: Stage): Promise<readonly Pledge[]> {
  const pledges: Pledge[] = [
    nothingFails('No call fails that nobody asked to fail'),
    askedAgain('… for what ratings cannot answer is asked again', () => stage.shop.outcomes()),
    inTheBooks('Every call is in the metrics of both sides'),
  ];
  for (const [index, { title, play }] of SCENES.entries()) {
    stage.scene = { number: index + 1, title };
    stage.chronicle.tell('scene', title);
    pledges.push(...(await play(stage)));
  }
  return pledges;
}

/** As at the beginning: the dead replaced, the policy of the opening. */
export async function resetStage(stage: Stage): Promise<void> {
  const { shop, tally, chronicle } = stage;
  stage.scene = { number: 0, title: 'Once more from the beginning' };
  chronicle.tell('scene', stage.scene.title);
  const moved = chronicle.next('policy.applied', SOON_MS);
  await shop.replaceDead();
  await moved;
  await steer(stage, 'the opening', OPENING);
  tally.beginRound();
}

const SCENES: readonly Scene[] = [
  {
    title: 'All is quiet: everyone reads reviews v1, and jason, who tests, v3',
    play: async (stage) => {
      await stay(stage, 2.5);
      return [];
    },
  },
  {
    title: 'A canary: one call in ten goes to v2',
    play: async (stage) => {
      await steer(stage, 'the canary', CANARY);
      await stay(stage, 4);
      return [shared('The canary gets its tenth', 'v2', 10)];
    },
  },
  {
    title: 'It sings: half of the calls go to v2',
    play: async (stage) => {
      await steer(stage, 'half and half', HALF);
      await stay(stage, 3);
      return [shared('Half is half, whatever else happens', 'v2', 50)];
    },
  },
  {
    title: 'An endpoint of v1 is killed under load',
    play: async (stage) => {
      const { shop, tally, chronicle } = stage;
      const victim = shop.of('reviews', 'v1')[0]!;
      const name = 'the killing';
      tally.begin(name);
      const at = performance.now();
      victim.kill();
      chronicle.tell('director', `SIGKILL to process ${victim.pid}, which listens on :${victim.port}`);
      await stay(stage, 3.5);
      return [
        happens('The killed endpoint is ejected', chronicle.untilEjected(victim.address, at), SOON_MS),
        nothingFails('… and nothing is lost', named(name)),
      ];
    },
  },
  {
    title: 'An endpoint of v2 turns slow: four seconds for each answer',
    play: async (stage) => {
      const { shop, tally, chronicle } = stage;
      const siblings = shop.of('reviews', 'v2');
      const victim = siblings[0]!;
      tally.begin('the slow endpoint');
      victim.slowDown(SLOW_MS);
      chronicle.tell('director', `:${victim.port} now takes ${SLOW_MS / 1000} s`);
      await stay(stage, 2);
      const settled = 'the slow endpoint, settled';
      tally.begin(settled);
      const before = siblings.map(({ arrived }) => arrived);
      await stay(stage, 3);
      const arrived = siblings.map((one, index) => one.arrived - before[index]!);
      victim.slowDown(0);
      chronicle.tell('director', `:${victim.port} is well again`);
      // Its fair share would be a third.
      const counts = { there: arrived[0]!, all: arrived.reduce((sum, count) => sum + count, 0) };
      return [avoided('The slow endpoint is avoided', counts, 10, named(settled))];
    },
  },
  {
    title: 'A fault for one: jason, and only he, shall see errors',
    play: async (stage) => {
      await steer(stage, 'the fault', { ...HALF, faultForJason: true });
      await stay(stage, 2.5);
      return [onlyJason('The fault meets jason, and only him')];
    },
  },
  {
    title: 'A door that is not for everyone: ratings is for reviews alone',
    play: async ({ mesh, chronicle }) => {
      const ratings = ratingsClient(mesh);
      const answer = await ratings.get(7).then(({ stars }) => ({ status: 'OK', body: `${stars} stars` }), told);
      ratings.close();
      chronicle.tell('director', `the storefront asks ratings itself: ${answer.status} ${answer.body}`);
      return [answered('Who is not let in by policy is refused', answer, 'PERMISSION_DENIED', 'RBAC: access denied')];
    },
  },
  {
    title: 'A token that somebody forged',
    play: async ({ mesh, chronicle }) => {
      const ask = async (token: string) => {
        const response = await mesh.fetch('http://reviews/reviews/7', {
          headers: { 'end-user': 'alice', authorization: `Bearer ${token}` },
        });
        return { status: response.status, body: (await response.text()).trim() };
      };
      const [good, forged] = [await ask(goodToken()), await ask(forgedToken())];
      chronicle.tell('director', `reviews with a good token: ${good.status}; with a forged one: ${forged.status} ${forged.body}`);
      return [answered('A good token is believed', good, 200, 'version'), answered('… a forged one is not', forged, 401, 'Jwt')];
    },
  },
  {
    title: 'A slip of the pen in the policy: "weigth"',
    play: async (stage) => {
      const { shop, mesh, tally, chronicle } = stage;
      const { version } = mesh.status();
      chronicle.tell('director', `writes ${TRAFFIC_FILE}, with a mistake`);
      const rejected = chronicle.next('policy.rejected', SOON_MS);
      await shop.writeTraffic(reviewsTraffic(PROMOTED).replaceAll('weight:', 'weigth:'));
      const ms = await rejected;
      const name = 'the broken policy';
      tally.begin(name);
      await stay(stage, 2.5);
      const status = mesh.status();
      const stands = status.version === version && status.rejected !== null;
      const unchanged = shared('… and nothing changes', 'v2', 50, named(name));
      return [
        happens('A broken policy is rejected at once', ms, SOON_MS),
        (chapters) => ({ ...unchanged(chapters), ...(stands ? {} : { kept: false, figure: `${status.version} is in force` }) }),
      ];
    },
  },
  {
    title: 'Repaired: v2 for everyone, and jason is himself again',
    play: async (stage) => {
      const ms = await steer(stage, 'the repaired policy', PROMOTED);
      await stay(stage, 2.5);
      return [happens('A repaired policy is in force at once', ms, SOON_MS), shared('… and is obeyed', 'v2', 100)];
    },
  },
];

export const SCENE_COUNT = SCENES.length;

/** Writes a policy and waits until it is in force, where a new chapter begins. Milliseconds that took; undefined if it never was. */
async function steer({ shop, tally, chronicle }: Stage, chapter: string, traffic: Traffic): Promise<number | undefined> {
  const weights = Object.entries(traffic.split).map(([version, weight]) => `${version} ${weight}`);
  chronicle.tell('director', `writes ${TRAFFIC_FILE}: ${weights.join(', ')}${traffic.faultForJason ? ', 500 for jason' : ''}`);
  const applied = chronicle.next('policy.applied', SOON_MS);
  await shop.steer(traffic);
  const ms = await applied;
  if (ms === undefined) chronicle.tell('trouble', 'the new policy did not come into force');
  else tally.begin(chapter, traffic);
  return ms;
}

const named =
  (name: string) =>
  (chapter: Chapter): boolean =>
    chapter.name === name;

const stay = ({ signal }: Stage, seconds: number): Promise<void> => sleep(seconds * 1000, undefined, { signal });
