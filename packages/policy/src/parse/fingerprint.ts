import { createHash } from 'node:crypto';
import type { Resource } from '../document.ts';

/**
 * sha-256 over what the resources mean, in their order (of conflicting ones the first counts): file names, comments, the
 * order of keys and the API version do not matter.
 */
export function fingerprint(resources: readonly Resource[]): string {
  const hash = createHash('sha256');
  for (const { kind, metadata, spec } of resources) hash.update(canonical([kind, metadata, spec])).update('\n');
  return hash.digest('hex');
}

/** JSON with sorted keys and without undefined. */
function canonical(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  let text = '';
  if (Array.isArray(value)) {
    for (const item of value) text += `${text === '' ? '' : ','}${canonical(item)}`;
    return `[${text}]`;
  }
  const map = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(map).sort()) {
    const part = map[key];
    if (part !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonical(part)}`;
  }
  return `{${text}}`;
}
