import type { Backend } from './processes.ts';
import { SCENE_COUNT, type Stage } from './story.ts';
import type { Chapter, Recent } from './tally.ts';

/** One endpoint, to look at. */
export interface Place {
  readonly port: number;
  readonly state: 'up' | 'ejected' | 'dead';
  readonly perSecond: number;
}

/** Everything a view shows, at one moment. */
export interface Sight {
  readonly seconds: number;
  readonly scene: Stage['scene'] & { readonly of: number };
  readonly folder: string;
  /** URL of the console. */
  readonly console: string;
  readonly processes: number;
  readonly recent: Recent;
  readonly chapter: Chapter;
  readonly version: string;
  /** The latest edit was refused: the one before is in force. */
  readonly rejected: boolean;
  readonly retries: number;
  readonly ejections: number;
  readonly failed: number;
  readonly places: readonly { readonly name: string; readonly places: readonly Place[] }[];
  /** Calls of gRPC, by status. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly lines: Stage['chronicle']['lines'];
  /** `performance.now()` at the beginning, which lines count from. */
  readonly began: number;
}

/** Looks at the stage. */
export function look({ shop, mesh, tally, chronicle, scene, console }: Stage, began: number): Sight {
  const now = performance.now();
  const { version, rejected, snapshot } = mesh.status();
  const out = new Set(
    snapshot.clusters.flatMap(({ endpoints }) => endpoints.filter((one) => one.ejected).map((one) => one.endpoint.address)),
  );
  const place = (one: Backend): Place => ({
    port: one.port,
    state: one.dead ? 'dead' : out.has(one.address) ? 'ejected' : 'up',
    perSecond: one.perSecond,
  });
  const groups = Map.groupBy(shop.backends, ({ role, version: of }) => (role === 'reviews' ? `reviews ${of}` : role));
  return {
    seconds: (now - began) / 1000,
    scene: { ...scene, of: SCENE_COUNT },
    folder: shop.folder,
    console,
    processes: shop.backends.filter(({ dead }) => !dead).length,
    recent: tally.recent(now),
    chapter: tally.chapter,
    version,
    rejected: rejected !== null,
    retries: chronicle.retries,
    ejections: chronicle.ejections,
    failed: tally.failed,
    places: [...groups].map(([name, backends]) => ({ name, places: backends.map(place) })),
    outcomes: shop.outcomes(),
    lines: chronicle.lines,
    began,
  };
}
