import { createHash } from 'node:crypto';
import type { SourceText } from '../document.ts';

/** sha-256 in hex over names and texts: the same digest, the same bytes. */
export function digest(texts: readonly SourceText[]): string {
  return createHash('sha256')
    .update(JSON.stringify(texts.map(({ file, text }) => [file, text])))
    .digest('hex');
}

/** The digest as a version people can compare by eye. */
export function versionOf(sha256: string): string {
  return sha256.slice(0, 12);
}

/** A document of nothing but blanks is a truncated file or a broken server, never the wish to empty the mesh. */
export function isBlank(texts: readonly SourceText[]): boolean {
  return texts.every(({ text }) => text.trim() === '');
}
