import type * as v from 'valibot';
import type { Kind } from '../kinds/kind.ts';
import type { Schema } from '../schema/fields.ts';
import { checkBody } from './body.ts';
import { type Finding, Findings, printPath } from './finding.ts';

/** What has no metadata of its own. */
export const NOBODY = { name: '', namespace: '', labels: {}, annotations: {}, createdAt: 0 };

/** Judges plain data like a resource: its value, or what is wrong with it, a sentence each. Never throws. */
export function parsePlain<S extends Schema>(
  kind: Kind<string, S>,
  value: unknown,
): { readonly ok: true; readonly value: v.InferOutput<S> } | { readonly ok: false; readonly problems: readonly string[] } {
  const findings = new Findings();
  const parsed = checkBody(kind, value, NOBODY, findings) as v.InferOutput<S>;
  const problems = findings.list.filter(({ severity }) => severity === 'error').map((finding) => sentence('', finding));
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: parsed };
}

export const sentence = (place: string, { path, message, hint }: Finding): string =>
  [place, printPath(path), `${message}${hint === '' ? '' : ` (${hint})`}`].filter((part) => part !== '').join(': ');
