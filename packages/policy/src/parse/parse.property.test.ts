import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Parsed, SourceText } from '../document.ts';
import { mesh } from '../testing/mesh.ts';
import { CODES } from './codes.ts';
import { parse } from './index.ts';

/** What must hold of every outcome, whatever the text. */
function judged(texts: readonly SourceText[]): Parsed {
  const parsed = parse(texts);
  const problems = parsed.ok ? parsed.document.problems : parsed.problems;
  if (!parsed.ok) expect(problems.some(({ severity }) => severity === 'error')).toBe(true);
  else expect(problems.every(({ severity }) => severity !== 'error')).toBe(true);
  for (const problem of problems) {
    expect(CODES).toHaveProperty(problem.code);
    expect(problem.line).toBeGreaterThanOrEqual(1);
    expect(problem.column).toBeGreaterThanOrEqual(1);
    expect(problem.message).not.toBe('');
    expect(`${problem.message}${problem.hint}`).not.toMatch(/undefined|\[object|\n/);
    expect(texts.map(({ file }) => file)).toContain(problem.file);
  }
  return parsed;
}

const one = (text: string): Parsed => judged([{ file: 'a', text }]);

type Part = Record<string | number, unknown>;

/** Every place in a value, as path. */
function places(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (value === null || typeof value !== 'object') return [path];
  const inner = Array.isArray(value)
    ? value.map((item: unknown, index) => places(item, [...path, index]))
    : Object.entries(value).map(([key, item]) => places(item, [...path, key]));
  return [path, ...inner.flat()];
}

const junk = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    '*',
    '~',
    0,
    -1,
    1.5,
    1e99,
    true,
    [],
    {},
    [null],
    [{}],
    [[]],
    'a b',
    '5',
    '5s',
    '-5s',
    '0s',
    '__proto__',
    '(?=a)',
    65_536,
    '10.0.0.0/8',
    'unix://x',
    { value: 200 },
    { regex: '(' },
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

const change = fc.record({ at: fc.nat(), by: junk, how: fc.constantFrom('replace', 'remove', 'rename', 'add') });

/** A sound mesh with some places broken. */
const mutated = fc.array(change, { minLength: 1, maxLength: 6 }).map((changes) => {
  const value = mesh();
  for (const { at, by, how } of changes) {
    const all = places(value).filter((path) => path.length > 1);
    const path = all[at % all.length] ?? [];
    const key = path.at(-1) ?? 0;
    const holder = path.slice(0, -1).reduce<unknown>((inner, step) => (inner as Part)[step], value) as Part;
    if (how === 'replace') holder[key] = by;
    else if (how === 'remove') delete holder[key];
    else if (how === 'add') holder[Array.isArray(holder) ? holder.length : 'extra'] = by;
    else if (!Array.isArray(holder)) {
      holder[`${key}s`] = holder[key];
      delete holder[key];
    }
  }
  return value;
});

describe('parse, whatever it is given', () => {
  it('finds nothing to refuse in the sound mesh the others break', () => {
    expect(one(JSON.stringify(mesh())).ok).toBe(true);
  });

  it('takes any JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => void one(JSON.stringify(value))),
      { numRuns: 200 },
    );
  });

  it('takes any text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'{}[]:,-?&*!|>\'"%@`# \t\na1.~<'.split('')), maxLength: 60 }),
    );
    fc.assert(
      fc.property(text, (given) => void one(given)),
      { numRuns: 1000 },
    );
  });

  it('takes any beginning and any one changed character of a sound text', () => {
    const text = stringify(mesh()[0]);
    fc.assert(
      fc.property(
        fc.nat(text.length),
        fc.string({ maxLength: 2 }),
        fc.boolean(),
        (at, by, cut) => void one(cut ? text.slice(0, at) : text.slice(0, at) + by + text.slice(at + 1)),
      ),
      { numRuns: 150 },
    );
  });

  it('takes any broken mesh, says the same twice, and the same of its YAML', { timeout: 60_000 }, () => {
    const paths = (parsed: Parsed): unknown =>
      parsed.ok ? parsed.document.fingerprint : parsed.problems.map(({ code, resource, path, message }) => [code, resource, path, message]);
    fc.assert(
      fc.property(mutated, (value) => {
        const text = JSON.stringify(value);
        const first = one(text);
        expect(one(text)).toEqual(first);
        expect(paths(one(stringify(JSON.parse(text), { aliasDuplicateObjects: false })))).toEqual(paths(first));
      }),
      { numRuns: 60 },
    );
  });

  it('gives documents of plain data, every resource of a known kind', () => {
    fc.assert(
      fc.property(mutated, (value) => {
        const parsed = one(JSON.stringify(value));
        if (parsed.ok) expect(() => structuredClone(parsed.document)).not.toThrow();
      }),
      { numRuns: 100 },
    );
  });
});
