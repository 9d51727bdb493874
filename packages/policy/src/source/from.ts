import type { SourceText } from '../document.ts';
import { fileSource, type FileSourceOptions } from './file.ts';
import { httpSource, type HttpSourceOptions } from './http.ts';
import { memorySource } from './memory.ts';
import type { PolicySource } from './source.ts';

/**
 * Where a policy may be said to be: `https://policy.internal/mesh`, `file:policy/`, a plain path of a file or folder, the
 * document itself (a text of several lines, or texts), or any source.
 */
export type PolicySpec = string | URL | readonly SourceText[] | PolicySource;

/** The source a spec means. Throws if it names a scheme nobody here speaks. */
export function sourceFrom(spec: PolicySpec, options: FileSourceOptions & HttpSourceOptions = {}): PolicySource {
  if (spec instanceof URL) return sourceFrom(spec.href, options);
  if (typeof spec !== 'string') return 'watch' in spec ? spec : memorySource(spec, 'inline');
  if (spec.trim() === '') throw new Error('the policy source is empty: name a file, a folder or a URL');
  if (spec.includes('\n')) return memorySource(spec, 'inline');
  // Two letters at least: `C:\policy` is a path.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(spec)?.[1]!.toLowerCase();
  if (scheme === 'http' || scheme === 'https') return httpSource(spec, options);
  if (scheme === undefined || scheme === 'file') return fileSource(spec, options);
  throw new Error(`unknown policy source "${spec}": use a path, file:, http: or https:`);
}
