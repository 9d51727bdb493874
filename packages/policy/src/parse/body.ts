import * as v from 'valibot';
import type { Metadata } from '../document.ts';
import type { Kind, Report } from '../kinds/kind.ts';
import type { Schema } from '../schema/fields.ts';
import { shapeOf } from '../schema/shape.ts';
import type { ProblemCode } from './codes.ts';
import type { Finding, Findings } from './finding.ts';
import { nameOf, walk } from './walk.ts';

type Path = readonly (string | number)[];

/** Paths at or below which something did not parse. */
class Broken {
  readonly #paths = new Set<string>();

  add(path: Path): void {
    for (let length = path.length; length >= 0; length--) {
      const key = JSON.stringify(path.slice(0, length));
      if (this.#paths.has(key)) return;
      this.#paths.add(key);
    }
  }

  has(path: Path): boolean {
    return this.#paths.size > 0 && this.#paths.has(JSON.stringify(path));
  }
}

/** A value against a schema: all that is wrong is in `found`; `broken` knows where. The value holds what parsed. */
function check(schema: Schema, input: unknown, prefix: Path, open: boolean, found: Findings, broken: Broken): unknown {
  const walked = walk(shapeOf(schema), input, prefix, open, found, (path) => broken.add(path));
  if (walked.tooLarge) {
    found.push({ code: 'INM0002', severity: 'error', path: prefix, message: 'the resource holds too many values', hint: 'split it' });
    broken.add(prefix);
    return undefined;
  }
  const result = v.safeParse(schema, walked.value);
  if (result.success) return result.output;
  const output: unknown = result.output;
  for (const issue of result.issues) {
    const inner = (issue.path ?? []).map(({ key }) => key as string | number);
    const path = [...prefix, ...inner];
    if (!broken.has(path)) found.push({ code: 'IST0106', severity: 'error', path, ...wording(issue, path) });
    broken.add(path);
    forget(output, inner);
  }
  return output;
}

/** The part did not parse: it becomes undefined, so that rules over several fields see only what is sound. */
function forget(value: unknown, path: Path): void {
  let holder = value;
  for (const [depth, key] of path.entries()) {
    if (holder === null || typeof holder !== 'object' || !Object.hasOwn(holder, key)) return;
    const part = holder as Record<string | number, unknown>;
    if (depth < path.length - 1) holder = part[key];
    else if (Array.isArray(part)) part[key as number] = undefined;
    else delete part[key];
  }
}

const NOUNS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  Array: 'a list',
  Object: 'a map',
};

function wording(issue: v.BaseIssue<unknown>, path: Path): Pick<Finding, 'message' | 'hint'> {
  const { input, expected } = issue;
  const plain = issue.kind === 'schema' && issue.message.startsWith('Invalid '); // else the schema has words of its own
  if (issue.kind === 'schema' && input === undefined) return { message: `${nameOf(path)} is required`, hint: 'add it' };
  const noun = expected === null ? undefined : NOUNS[expected];
  if (plain && noun !== undefined) {
    const message = `${nameOf(path)} is ${describe(input)}, ${noun} is expected`;
    if (expected === 'string' && (typeof input === 'number' || typeof input === 'boolean'))
      return { message, hint: `quote it: "${String(input)}"` };
    if (expected === 'number' && typeof input === 'string' && input.trim() !== '' && Number.isFinite(Number(input)))
      return { message, hint: 'remove the quotes' };
    if (expected === 'boolean' && typeof input === 'string') return { message, hint: 'write true or false, without quotes' };
    if (expected === 'Array') return { message, hint: 'begin the entry with a dash' };
    return { message, hint: '' };
  }
  const [first = '', ...rest] = issue.message.split('\n');
  return { message: /^(?:is|has|holds|needs) /.test(first) ? `${nameOf(path)} ${first}` : first, hint: rest.join(' ') };
}

function describe(input: unknown): string {
  if (input === null) return 'empty';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a map';
  if (typeof input === 'string') return `"${input.length > 60 ? `${input.slice(0, 59)}…` : input}"`;
  return typeof input === 'number' || typeof input === 'boolean' ? String(input) : typeof input;
}

/** Metadata against its schema; undefined if it is of no use. */
export function checkMetadata<S extends Schema>(schema: S, input: unknown, found: Findings): v.InferOutput<S> | undefined {
  const broken = new Broken();
  const output = check(schema, input, ['metadata'], false, found, broken);
  return broken.has(['metadata']) ? undefined : output;
}

/** The body of a resource against its kind: schema first, then the rules over several fields. Of use only if nothing failed. */
export function checkBody(kind: Kind, input: unknown, metadata: Metadata, found: Findings): unknown {
  const prefix: Path = kind.body === 'spec' ? ['spec'] : [];
  const broken = new Broken();
  const spec = check(kind.schema, input, prefix, kind.open, found, broken);

  const add = (severity: Finding['severity'], code: ProblemCode, path: Path, message: string, hint: string): void => {
    const [first = '', ...rest] = message.split('\n');
    found.push({ code, severity, path: [...prefix, ...path], message: first, hint: hint !== '' ? hint : rest.join(' ') });
  };
  const report: Report = {
    error: (path, message, hint = '') => {
      if (!broken.has([...prefix, ...path])) add('error', 'IST0106', path, message, hint);
    },
    conflict: (path, message, hint = '') => add('error', 'IST0106', path, message, hint),
    warning: (path, message, hint = '', code = 'IST0133') => add('warning', code as ProblemCode, path, message, hint),
    info: (path, message, hint = '', code = 'IST0133') => add('info', code as ProblemCode, path, message, hint),
  };
  if (spec !== null && typeof spec === 'object') for (const rule of kind.checks) rule(spec, report, metadata);
  return spec;
}
