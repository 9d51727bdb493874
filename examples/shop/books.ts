import { setTimeout as sleep } from 'node:timers/promises';
import type { Mesh } from 'inmesh';
import type { Shop } from './shop.ts';
import { JASON_VERSION } from './policy.ts';

/** Calls of jason's, who is the only one to meet v3: nothing there dies, nothing is asked twice, so every count can be held to every other. */
export interface Books {
  /** As he counts himself. */
  readonly made: number;
  /** Ended by an injected fault, says the mesh of the storefront. */
  readonly faults: number;
  /** Answered, says the mesh of the storefront. */
  readonly called: number;
  /** Answered, say the meshes of reviews v3. */
  readonly served: number;
}

/** Who is called counts a call when its last byte is gone, which is a little after the caller has it. */
const SOON_MS = 2000;

/** Reads the books on both sides, when nothing is under way any more. */
export async function readBooks(shop: Shop, { metrics }: Pick<Mesh, 'metrics'>, made: number): Promise<Books> {
  for (const until = performance.now() + SOON_MS; ; await sleep(50)) {
    const servers = await Promise.all(shop.of('reviews', JASON_VERSION).map(pageOf));
    const books = {
      made,
      faults: requests(metrics(), { reporter: 'source', response_flags: 'FI' }),
      called: requests(metrics(), { reporter: 'source', destination_version: JASON_VERSION }),
      served: servers.reduce((sum, page) => sum + requests(page, { reporter: 'destination' }), 0),
    };
    if (balanced(books) || performance.now() > until) return books;
  }
}

export const balanced = ({ made, faults, called, served }: Books): boolean => made === faults + called && called === served;

/** What a Prometheus would read. */
const pageOf = async ({ admin }: Shop['backends'][number]): Promise<string> => (await fetch(new URL('/metrics', admin))).text();

/** The sum of `istio_requests_total` over the series with these labels. */
function requests(page: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([name, value]) => `,${name}="${value}",`);
  return [...page.matchAll(/^istio_requests_total\{(.*)\} (\d+)$/gm)]
    .filter(([, own]) => wanted.every((label) => `,${own},`.includes(label)))
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}
