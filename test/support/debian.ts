import { execFileSync } from 'node:child_process';
import { isAbsolute, join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** A program tests are run against, as one of scripts/get-*.sh finds or fetches it. */
export interface Fetched {
  readonly path: string;
  /** Why there is none; '' if there is. */
  readonly missing: string;
  /** For `describe.skipIf`: there is none to be had here. Where all must be tried (CI=true) that is a failure of its own. */
  readonly skip: boolean;
  /** For names of suites, so that a skipped one says why. */
  readonly title: string;
}

export function fetched(title: string, script: string): Fetched {
  const { path, missing } = find(script);
  const skip = missing !== '' && process.env['CI'] !== 'true';
  if (skip) console.warn(`not tried against a real ${title}: ${missing}`);
  return { path, missing, skip, title: missing === '' ? title : `${title} (not here: ${missing})` };
}

function find(script: string): { readonly path: string; readonly missing: string } {
  try {
    const output = execFileSync('bash', [script], { cwd: root, encoding: 'utf8', timeout: 120_000, stdio: ['ignore', 'pipe', 'pipe'] });
    const path = output.trim();
    return { path: isAbsolute(path) ? path : join(root, path), missing: '' };
  } catch (error) {
    const { stderr = '', message } = error as Error & { readonly stderr?: string };
    return { path: '', missing: stderr.trim().split('\n').at(-1) || message };
  }
}
