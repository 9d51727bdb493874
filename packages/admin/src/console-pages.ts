import { createHash } from 'node:crypto';
import type { ConsoleFile } from './console-bundler.ts';
import { json, type Page } from './page.ts';

/** Nothing but what this very server gives out, and nobody may frame it. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Where the page finds what it shows; bases are relative to it, and `pages` is what is served there, if that is known. */
export interface ConsoleSources {
  readonly processes: readonly { readonly name: string; readonly base: string; readonly pages?: readonly string[] }[];
  readonly prometheus: { readonly name: string; readonly base: string } | null;
}

/**
 * The files of the console by path below `/console/`: the page, its script and style, and `sources.json`, which tells the page where
 * to look. Made for whoever serves it, a process or `inmesh console`; loads the bundle.
 */
export async function consolePages(sources: () => ConsoleSources): Promise<ReadonlyMap<string, (ifNoneMatch?: string) => Page>> {
  const { files } = (await import('#console-bundle')) as { readonly files: readonly ConsoleFile[] };
  const pages = new Map<string, (ifNoneMatch?: string) => Page>();
  for (const { name, type, body } of files) {
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 24)}"`;
    const headers = {
      'content-security-policy': CSP,
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      etag,
      // The page names its files by their content; only itself may have changed.
      'cache-control': name === '' ? 'no-cache' : 'private, max-age=31536000, immutable',
    };
    pages.set(`/console/${name}`, (ifNoneMatch) =>
      ifNoneMatch === etag ? { status: 304, type, body: '', headers } : { status: 200, type, body, headers },
    );
  }
  pages.set('/console/sources.json', () => json(200, sources()));
  pages.set('/console', () => ({ status: 308, type: 'text/plain; charset=utf-8', body: '', headers: { location: '/console/' } }));
  return pages;
}
