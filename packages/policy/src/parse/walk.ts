import { nearest } from '../schema/nearest.ts';
import { clip } from '../schema/scalars.ts';
import type { Field, Shape } from '../schema/shape.ts';
import type { Finding, Findings } from './finding.ts';

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
export function walk(shape: Shape, value: unknown, path: Path, open: boolean, found: Findings, broken: (path: Path) => void): Walked {
  let left = MOST_VALUES;
  // One path that grows and shrinks: it is copied only where something is found.
  const at: (string | number)[] = [...path];

  const below = (key: string | number, shape: Shape, value: unknown, ignored: boolean): unknown => {
    at.push(key);
    const cleaned = go(shape, value, ignored);
    at.pop();
    return cleaned;
  };

  const go = (shape: Shape, value: unknown, ignored: boolean): unknown => {
    if (--left < 0 || shape.kind === 'leaf' || value === null || typeof value !== 'object') return value;
    if (shape.kind === 'list') {
      if (!Array.isArray(value)) return value;
      let copy: unknown[] | undefined;
      for (let index = 0; index < value.length && left >= 0; index++) {
        const item: unknown = value[index];
        const cleaned = below(index, shape.item, item, ignored);
        if (cleaned !== item) (copy ??= value.slice())[index] = cleaned;
      }
      return copy ?? value;
    }
    if (Array.isArray(value)) {
      found.push({
        code: 'IST0106',
        severity: 'error',
        path: [...at],
        message: `${nameOf(at)} is a list, a map is expected`,
        hint: 'remove the dash',
      });
      broken(at);
      return undefined;
    }
    const map = value as Readonly<Record<string, unknown>>;
    let copy: Record<string, unknown> | undefined;
    for (const key of Object.keys(map)) {
      if (left < 0) break;
      const given = map[key];
      const cleaned = shape.kind === 'map' ? entry(shape.value, key, given, ignored) : field(shape.fields, map, key, given, ignored);
      if (cleaned === given) continue;
      copy ??= { ...map };
      if (cleaned === undefined) delete copy[key];
      else copy[key] = cleaned;
    }
    return copy ?? map;
  };

  const tell = (key: string, finding: Omit<Finding, 'path'>): void => {
    found.push({ ...finding, path: [...at, key] });
  };

  /** An entry of a map with free keys. */
  const entry = (shape: Shape, key: string, given: unknown, ignored: boolean): unknown => {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype')
      tell(key, { code: 'IST0106', severity: 'error', message: `"${key}" cannot be a key`, hint: 'choose another name', atKey: true });
    else if (given === null) {
      tell(key, {
        code: 'IST0106',
        severity: 'error',
        message: `"${clip(key)}" has no value`,
        hint: 'write a value, {} where presence is meant, or remove the key',
      });
      broken([...at, key]);
    } else return below(key, shape, given, ignored);
    return given;
  };

  const field = (
    fields: ReadonlyMap<string, Field>,
    map: Readonly<Record<string, unknown>>,
    key: string,
    given: unknown,
    ignored: boolean,
  ): unknown => {
    const known = fields.get(key);
    if (known === undefined) {
      if (!open) unknownField(fields, map, key);
      return given;
    }
    if (given === null) return undefined;
    const { deprecated, notHonoured } = known.facts;
    if (deprecated !== undefined)
      tell(key, { code: 'IST0002', severity: 'warning', message: `${key} is deprecated`, hint: deprecated, atKey: true });
    if (notHonoured !== undefined && !ignored && !isNothing(given))
      tell(key, {
        code: 'INM0301',
        severity: 'info',
        message: `${key} is accepted but not honoured: ${notHonoured}`,
        hint: '',
        atKey: true,
      });
    return below(key, known.shape, given, ignored || notHonoured !== undefined);
  };

  const unknownField = (fields: ReadonlyMap<string, Field>, map: Readonly<Record<string, unknown>>, key: string): void => {
    const guess = found.room('error') ? nearest(key, fields.keys()) : undefined; // no guesses for what nobody reads
    // That it is missing is no second fault; but one that is there as well has faults of its own.
    if (guess !== undefined && !Object.hasOwn(map, guess)) broken([...at, guess]);
    const known = fields.size === 0 ? 'nothing is expected here' : `known here: ${[...fields.keys()].sort().join(', ')}`;
    tell(key, {
      code: 'INM0008',
      severity: 'error',
      message: `unknown field "${clip(key)}"`,
      hint: guess === undefined ? known : `did you mean ${guess}?`,
      atKey: true,
    });
  };

  const cleaned = go(shape, value, false);
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
