import type { Severity } from '../kinds/kind.ts';
import type { ProblemCode } from './codes.ts';

/** A problem before its place in the text is known. */
export interface Finding {
  readonly code: ProblemCode;
  readonly severity: Severity;
  /** From the root of the resource. */
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly hint: string;
  /** The key is at fault rather than its value. */
  readonly atKey?: boolean;
}

/** More errors, or more of the rest, are not listed; a hostile document could hold millions. */
const MOST = 1000;

/** A list of findings that stays small and forgets no verdict: warnings never crowd out errors. */
export class Findings<Item extends { readonly severity: Severity } = Finding> {
  readonly list: Item[] = [];
  /** There is at least one error, listed or not. */
  failed = false;
  unlisted = 0;
  #errors = 0;

  /** Whether one more of this severity would be listed. */
  room(severity: Severity): boolean {
    return (severity === 'error' ? this.#errors : this.list.length - this.#errors) < MOST;
  }

  push(item: Item): void {
    const { severity } = item;
    if (severity === 'error') this.failed = true;
    if (!this.room(severity)) this.unlisted++;
    else {
      this.list.push(item);
      if (severity === 'error') this.#errors++;
    }
  }
}

/** `spec.http[0].match[1].headers["x.y"]` */
export function printPath(path: readonly (string | number)[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (!/^[A-Za-z_][\w-]*$/.test(key)) text += `[${JSON.stringify(key.length > 100 ? `${key.slice(0, 99)}…` : key)}]`;
    else text += text === '' ? key : `.${key}`;
  }
  return text;
}
