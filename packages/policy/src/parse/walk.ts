import { nearest } from '../schema/nearest.ts';
import type { Shape } from '../schema/shape.ts';
import type { Finding } from './finding.ts';

type Path = readonly (string | number)[];

/** What a walk over untrusted data found, and which paths it found wrong. */
export interface Walked {
  readonly value: unknown;
  /** The resource is too large to go on with. */
  readonly tooLarge: boolean;
}

/** Values one resource may hold; 10,000 endpoints with labels are a quarter of it. */
const MOST_VALUES = 250_000;

/**
 * Goes over data along a shape and says what a schema does not say for all keys at once: unknown keys (with the name that
 * was probably meant), deprecated fields, fields that are not honoured here, lists where maps belong. A null field means
 * an absent one, as everywhere in Kubernetes, and is left out of the value it gives back.
 */
export function walk(shape: Shape, value: unknown, path: Path, open: boolean, found: Finding[], broken: (path: Path) => void): Walked {
  let left = MOST_VALUES;

  const go = (at: Shape, value: unknown, path: Path, ignored: boolean): unknown => {
    if (--left < 0 || at.kind === 'leaf' || value === null || typeof value !== 'object') return value;
    if (at.kind === 'list') {
      if (!Array.isArray(value)) return value;
      let copy: unknown[] | undefined;
      for (const [index, item] of value.entries()) {
        const cleaned = go(at.item, item, [...path, index], ignored);
        if (cleaned !== item) (copy ??= [...value])[index] = cleaned;
        if (left < 0) break;
      }
      return copy ?? value;
    }
    if (Array.isArray(value)) {
      found.push({
        code: 'IST0106',
        severity: 'error',
        path,
        message: `${nameOf(path)} is a list, a map is expected`,
        hint: 'remove the dash',
      });
      broken(path);
      return undefined;
    }
    const map = value as Readonly<Record<string, unknown>>;
    let copy: Record<string, unknown> | undefined;
    const replace = (key: string, by: unknown): void => {
      copy ??= { ...map };
      if (by === undefined) delete copy[key];
      else copy[key] = by;
    };
    for (const key of Object.keys(map)) {
      if (left < 0) break;
      const here = [...path, key];
      if (at.kind === 'map') {
        if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
          found.push({
            code: 'IST0106',
            severity: 'error',
            path: here,
            message: `"${key}" cannot be a key`,
            hint: 'choose another name',
            atKey: true,
          });
          continue;
        }
        if (map[key] === null) {
          found.push({
            code: 'IST0106',
            severity: 'error',
            path: here,
            message: `"${key}" has no value`,
            hint: 'write a value, {} where presence is meant, or remove the key',
          });
          broken(here);
          continue;
        }
        const cleaned = go(at.value, map[key], here, ignored);
        if (cleaned !== map[key]) replace(key, cleaned);
        continue;
      }
      const field = at.fields.get(key);
      if (field === undefined) {
        if (open) continue;
        const guess = nearest(key, at.fields.keys());
        if (guess !== undefined) broken([...path, guess]);
        found.push({
          code: 'INM0008',
          severity: 'error',
          path: here,
          message: `unknown field "${key.length > 80 ? `${key.slice(0, 79)}…` : key}"`,
          hint:
            guess !== undefined
              ? `did you mean ${guess}?`
              : at.fields.size === 0
                ? 'nothing is expected here'
                : `known here: ${[...at.fields.keys()].sort().join(', ')}`,
          atKey: true,
        });
        continue;
      }
      if (map[key] === null || map[key] === undefined) {
        replace(key, undefined);
        continue;
      }
      const { deprecated, notHonoured } = field.facts;
      if (deprecated !== undefined)
        found.push({ code: 'IST0002', severity: 'warning', path: here, message: `${key} is deprecated`, hint: deprecated, atKey: true });
      if (notHonoured !== undefined && !ignored && !isNothing(map[key]))
        found.push({
          code: 'INM0301',
          severity: 'info',
          path: here,
          message: `${key} is accepted but not honoured: ${notHonoured}`,
          hint: '',
          atKey: true,
        });
      const cleaned = go(field.shape, map[key], here, ignored || notHonoured !== undefined);
      if (cleaned !== map[key]) replace(key, cleaned);
    }
    return copy ?? map;
  };

  const cleaned = go(shape, value, path, false);
  return { value: cleaned, tooLarge: left < 0 };
}

const isNothing = (value: unknown): boolean => value === '' || value === false || (Array.isArray(value) && value.length === 0);

/** How messages name a place: by its last key. */
export function nameOf(path: Path): string {
  const index = path.findLastIndex((key) => typeof key === 'string');
  if (index < 0) return 'the value';
  const key = String(path[index]);
  return index === path.length - 1 ? key : `${key}[${String(path.at(-1))}]`;
}
