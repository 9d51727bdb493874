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

/** More are not listed; a hostile document could hold millions. */
export const MOST_PROBLEMS = 1000;

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
