import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { type Clock, type EndedCall, MeshError, re2, systemClock } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import type { CallInfo } from '../facts.ts';
import { type Attribute, ATTRIBUTES, type Attributes, Headers, type Source } from './attributes.ts';

/** What an expression comes to for a call that ended; undefined where it fails, as where it asks for a header that is not there. Never throws. */
export type Expression = (call: EndedCall, info: CallInfo, workload: Workload) => unknown;

export interface ExpressionOptions {
  /** For principals of endpoints. Default `cluster.local`. */
  readonly trustDomain?: string;
  /** For `request.time`. Default: the system's. */
  readonly clock?: Clock;
}

/**
 * CEL over a call that ended, with the attributes Envoy and Istio know. Only those an expression names are read. Throws POLICY_INVALID
 * for what is no expression, and for attributes nobody knows.
 */
export function compileExpression(
  text: string,
  { trustDomain = 'cluster.local', clock = systemClock }: ExpressionOptions = {},
): Expression {
  const refuse = (why: string, cause?: unknown): never => {
    throw new MeshError('POLICY_INVALID', `the CEL expression "${text}": ${why}`, { cause });
  };
  let program: ReturnType<Environment['parse']>;
  try {
    program = cel().environment.parse(text);
  } catch (error) {
    return refuse(firstLine(error), error);
  }
  const needed = new Needed(refuse);
  needed.visit(program.ast);
  const checked = program.check();
  if (!checked.valid) return refuse(firstLine(checked.error), checked.error);
  const { shape } = needed;
  const duration = (ms: number): unknown => cel().durations.fromMilliseconds(ms);
  return (call, info, workload) => {
    // Failing is an ordinary outcome, as of a header that most calls lack; its stack trace would cost ten times the evaluation.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      const value: unknown = program(build(shape, { call, info, workload, trustDomain, clock, duration }));
      return value;
    } catch {
      return undefined;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  };
}

/** A value as a label or a log line prints it: Envoy's text of CEL values. */
export function printValue(value: unknown): string | undefined {
  switch (typeof value) {
    case 'undefined':
      return undefined;
    case 'string':
      return value;
    case 'bigint':
    case 'number':
    case 'boolean':
      return String(value);
    default:
      if (value === null) return 'null';
      if (value instanceof Date) return value.toISOString();
      return isDuration(value as object) ? `${Number(value) / 1000}s` : JSON.stringify(value, plain);
  }
}

const isDuration = (value: object): boolean => value.constructor === (cel().durations as unknown);

/** JSON has no whole numbers of 64 bits. */
const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

/** CEL's own durations, which the library does not export. */
interface Durations {
  fromMilliseconds(ms: number): unknown;
}

interface Language {
  readonly environment: Environment;
  readonly durations: Durations;
}

let language: Language | undefined;

/** Made for the first expression: most processes have none, and it takes some milliseconds. */
function cel(): Language {
  if (language !== undefined) return language;
  const environment = new Environment({ homogeneousAggregateLiterals: false });
  for (const name of Object.keys(ATTRIBUTES)) environment.registerVariable(name, 'dyn');
  // In place of `matches`, which would be a backtracking RegExp: paths are written by strangers.
  environment.registerFunction('string.matchesRe2(string): bool', (value: string, pattern: string) => re2(pattern).matcher(value).find());
  environment.registerFunction('durationOf(string): dyn', boundedDuration());
  const durations = (environment.evaluate('duration("1s")') as object).constructor as unknown as Durations;
  return (language = { environment, durations });
}

/** Longer than any duration somebody means. */
const LONGEST_DURATION = 64;

/** In place of `duration` of what strangers write: the library's takes the third power of its digits (hours, for a header full of them). */
function boundedDuration(): (text: string) => unknown {
  const program = new Environment().registerVariable('text', 'string').parse('duration(text)');
  return (text) => {
    if (text.length > LONGEST_DURATION) throw new RangeError(`${text.length} characters are no duration`);
    return program({ text }) as unknown;
  };
}

/** The attributes an expression reads, as the objects it will look for them in. */
interface Shape {
  readonly [name: string]: Shape | Attribute;
}

type Growing = { [name: string]: Growing | Attribute };

function build(shape: Shape, source: Source): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name in shape) {
    const part = shape[name]!;
    const value = typeof part === 'function' ? part(source) : build(part, source);
    // What is not there has no key: `has` and `in` ask for it.
    if (value !== undefined) values[name] = value;
  }
  return values;
}

/** Walks an expression and notes what it reads. */
class Needed {
  readonly shape: Growing = {};
  readonly #refuse: (why: string) => never;

  constructor(refuse: (why: string) => never) {
    this.#refuse = refuse;
  }

  visit(node: ASTNode): void {
    const path = pathOf(node);
    if (path !== undefined && path[0]! in ATTRIBUTES) return this.#note(path);
    const { args } = node as { args: unknown };
    if (node.op === 'in' && this.#asksForHeader(node.args[0], node.args[1])) return;
    if (node.op === 'call' && node.args[0] === 'has') selectByName(node.args[1][0]);
    if (node.op === 'call' && node.args[0] === 'duration' && node.args[1][0]?.op !== 'value')
      (node.args as [string, ...unknown[]])[0] = 'durationOf';
    if (node.op === 'rcall' && node.args[0] === 'matches') this.#useRe2(node);
    this.#visitAll(args);
  }

  #visitAll(args: unknown): void {
    if (!Array.isArray(args)) return isNode(args) ? this.visit(args) : undefined;
    for (const argument of args) this.#visitAll(argument);
  }

  /** `'x' in request.headers`. */
  #asksForHeader(name: ASTNode, map: ASTNode): boolean {
    const path = pathOf(map);
    if (path === undefined || !(attributesAt(path) instanceof Headers)) return false;
    if (name.op !== 'value' || typeof name.args !== 'string') {
      return this.#refuse(`a header of ${path.join('.')} must be named by a text, so that it is known which are read`);
    }
    this.#note([...path, name.args]);
    return true;
  }

  #useRe2(node: ASTNode & { readonly op: 'rcall' }): void {
    const [pattern] = node.args[2];
    if (pattern?.op === 'value' && typeof pattern.args === 'string') {
      try {
        re2(pattern.args);
      } catch (error) {
        this.#refuse(`"${pattern.args}" is no regular expression of RE2: ${firstLine(error)}`);
      }
    }
    (node.args as [string, ...unknown[]])[0] = 'matchesRe2';
  }

  #note(path: readonly string[]): void {
    let known: Attributes | undefined = ATTRIBUTES[path[0]!];
    let at: Growing = this.shape;
    for (const [index, name] of path.entries()) {
      const below: string | undefined = path[index + 1];
      if (typeof known === 'function') {
        at[name] = known;
        return;
      }
      if (known instanceof Headers) {
        if (below === undefined)
          this.#refuse(`${path.join('.')} can only be asked for one header at a time, as in ${path.join('.')}['x-user']`);
        const { read } = known;
        const lower = below!.toLowerCase();
        ((at[name] ??= {}) as Growing)[below!] = ({ call }) => read(call, lower);
        return;
      }
      const names: { readonly [name: string]: Attributes } = known!;
      if (below === undefined) this.#refuse(`${path.join('.')} is no value by itself; it has ${Object.keys(names).join(', ')}`);
      if (!Object.hasOwn(names, below!)) {
        this.#refuse(
          `there is no ${path.slice(0, index + 2).join('.')}; ${path.slice(0, index + 1).join('.')} has ${Object.keys(names).join(', ')}`,
        );
      }
      at = (at[name] ??= {}) as Growing;
      known = names[below!];
    }
  }
}

function attributesAt(path: readonly string[]): Attributes | undefined {
  let known: Attributes | undefined = ATTRIBUTES;
  for (const name of path) {
    if (known === undefined || typeof known === 'function' || known instanceof Headers) return undefined;
    known = known[name];
  }
  return known;
}

/** `request.headers['x']` as its three names; undefined for what is no such path. */
function pathOf(node: ASTNode): string[] | undefined {
  if (node.op === 'id') return [node.args];
  if (node.op === '.') return joined(pathOf(node.args[0]), node.args[1]);
  if (node.op !== '[]') return undefined;
  const [, key] = node.args;
  return key.op === 'value' && typeof key.args === 'string' ? joined(pathOf(node.args[0]), key.args) : undefined;
}

const joined = (path: string[] | undefined, name: string): string[] | undefined => (path === undefined ? undefined : [...path, name]);

/** `has(request.headers['x'])`, which people write and strict CEL does not know, as `has(request.headers.x)` with any name. */
function selectByName(selected: ASTNode | undefined): void {
  if (selected?.op !== '[]') return;
  const [map, key] = selected.args;
  if (key.op === 'value' && typeof key.args === 'string') Object.assign(selected, { op: '.', args: [map, key.args] });
}

const isNode = (value: unknown): value is ASTNode => typeof value === 'object' && value !== null && 'op' in value && 'args' in value;

const firstLine = (error: unknown): string => (error as Error).message.split('\n', 1)[0]!;
