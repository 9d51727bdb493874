import type { SourceText } from '../document.ts';
import { digest, versionOf } from './digest.ts';
import type { PolicySource, SourceUpdate } from './source.ts';

/** A source whose texts the program sets. */
export interface MemorySource extends PolicySource {
  set(texts: string | readonly SourceText[]): void;
  /** As if the source could not be reached. */
  fail(reason: string): void;
}

/** For tests, and for documents a program makes itself. Nothing is told before the first `set` if there is no initial text. */
export function memorySource(initial?: string | readonly SourceText[], name = 'memory'): MemorySource {
  const listeners = new Set<(update: SourceUpdate) => void>();
  const read = (texts: string | readonly SourceText[]): SourceUpdate => {
    const all = typeof texts === 'string' ? [{ file: name, text: texts }] : texts;
    return { ok: true, texts: all, version: versionOf(digest(all)) };
  };
  let current = initial === undefined ? undefined : read(initial);
  const tell = (update: SourceUpdate): void => {
    if (update.ok && current?.ok && update.version === current.version) return;
    current = update;
    for (const listener of listeners) listener(update);
  };
  return {
    name,
    set: (texts) => tell(read(texts)),
    fail: (reason) => tell({ ok: false, reason, transient: true }),
    watch: (onUpdate) => {
      // A function of its own: the same one may watch twice.
      const listener = (update: SourceUpdate): void => onUpdate(update);
      let closed = false;
      queueMicrotask(() => {
        if (closed) return;
        listeners.add(listener);
        if (current !== undefined) onUpdate(current);
      });
      return {
        close: () => {
          closed = true;
          listeners.delete(listener);
        },
      };
    },
  };
}
