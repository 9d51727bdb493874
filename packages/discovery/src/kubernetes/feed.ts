import type { Clock, Timer } from '@inmesh/core';
import type { SourceText } from '@inmesh/policy';
import type { SourceUpdate } from '@inmesh/policy/source';
import { createHash } from 'node:crypto';
import { tellAll } from './group.ts';

/** Changes come in crowds: they are told when it has been quiet for so long (istiod PILOT_DEBOUNCE_AFTER) … */
const QUIET_MS = 100;
/** … and after so long however many come (PILOT_DEBOUNCE_MAX). */
const LONGEST_MS = 10_000;

/** What stands in a cluster at the moment. */
export interface Contents {
  /** Undefined: not all is known yet. */
  readonly texts: readonly SourceText[] | undefined;
  readonly troubles: Iterable<string>;
}

/** Makes updates of a source of what changes by itself: debounced, never twice the same, trouble told once. */
export class Feed {
  readonly #contents: () => Contents;
  readonly #onUpdate: (update: SourceUpdate) => void;
  readonly #clock: Clock;
  #quiet: Timer | undefined;
  #longest: Timer | undefined;
  #version = '';
  #reason = '';

  constructor(contents: () => Contents, onUpdate: (update: SourceUpdate) => void, clock: Clock) {
    this.#contents = contents;
    this.#onUpdate = onUpdate;
    this.#clock = clock;
  }

  /** Something may have changed. */
  readonly touch = (): void => {
    this.#quiet?.cancel();
    // The first document is waited for.
    this.#quiet = this.#clock.after(this.#version === '' ? 0 : QUIET_MS, this.#tell);
    this.#longest ??= this.#clock.after(LONGEST_MS, this.#tell);
  };

  close(): void {
    this.#quiet?.cancel();
    this.#longest?.cancel();
  }

  readonly #tell = (): void => {
    this.close();
    this.#longest = undefined;
    const { texts, troubles } = this.#contents();
    const reason = tellAll(troubles);
    if (texts !== undefined) {
      const version = versionOf(texts);
      if (version !== this.#version || (reason === '' && this.#reason !== '')) {
        this.#version = version;
        this.#reason = '';
        this.#onUpdate({ ok: true, texts, version });
      }
    }
    if (reason === this.#reason) return;
    this.#reason = reason;
    // What is told stays in force; time may cure the rest.
    if (reason !== '') this.#onUpdate({ ok: false, reason, transient: true });
  };
}

function versionOf(texts: readonly SourceText[]): string {
  const hash = createHash('sha256');
  for (const { file, text } of texts) hash.update(file).update('\0').update(text).update('\0');
  return hash.digest('hex').slice(0, 12);
}

/** Always in the same order. */
export const sorted = (texts: readonly SourceText[]): readonly SourceText[] =>
  texts.toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));
