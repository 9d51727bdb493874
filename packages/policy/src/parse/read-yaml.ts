import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import type { Finding } from './finding.ts';
import { DEEPEST } from './json.ts';
import { lines, type Path } from './place.ts';
import type { Read, ReadValue } from './reading.ts';

// Loaded at the first YAML text only: processes get JSON, and the parser is the heaviest thing here.
const require = createRequire(import.meta.url);
let yaml: typeof Yaml | undefined;

/** Aliases may multiply a small text into a huge value; more than this many is refused. */
const MOST_ALIASES = 100;

/** Reads all documents of a YAML 1.2 text (`no`, `on` and `0644` are what they look like, not booleans and octals). */
export function readYaml(text: string): Read {
  const place = lines(text);
  const values: ReadValue[] = [];
  const problems: Read['problems'][number][] = [];
  const fail = (offset: number, code: Finding['code'], message: string, hint: string, severity: Finding['severity'] = 'error'): void => {
    problems.push({ ...place(offset), finding: { code, severity, path: [], message, hint } });
  };

  const lib = (yaml ??= require('yaml') as typeof Yaml);
  let documents: Yaml.Document.Parsed[];
  try {
    // Duplicate keys are looked for below: the library compares every key with every other.
    const all = lib.parseAllDocuments(text, { version: '1.2', merge: true, uniqueKeys: false, prettyErrors: false, logLevel: 'silent' });
    documents = Array.isArray(all) ? all : [];
  } catch (error) {
    if (!(error instanceof RangeError)) fail(0, 'INM0001', `not YAML: ${firstLine(error)}`, '');
    else fail(0, 'INM0002', 'nested too deeply to be read', 'no resource needs this');
    return { values, problems };
  }

  for (const document of documents) {
    for (const error of document.errors)
      fail(error.pos[0], 'INM0001', `not YAML: ${firstLine(error)}`, remedy(text, error.pos[0], error.code));
    for (const warning of document.warnings)
      fail(warning.pos[0], 'INM0011', firstLine(warning), 'quote the value if it is meant as text', 'warning');
    if (document.errors.length > 0 || document.contents === null) continue;
    const { contents } = document;
    const before = problems.length;
    inspect(lib, contents, (offset, code, message, hint) => fail(offset, code, message, hint));
    if (problems.slice(before).some(({ finding }) => finding.code === 'INM0002')) continue;
    try {
      const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
      if (value !== null) values.push({ value, locate: (path, atKey) => place(yamlOffset(lib, document, path, atKey === true)) });
    } catch (error) {
      const lost = /Unresolved alias.*: (.+)$/.exec(firstLine(error))?.[1];
      if (lost !== undefined)
        fail(
          aliasOffset(text, lost),
          'INM0001',
          `not YAML: alias *${lost} has no anchor before it`,
          `write &${lost} where the value stands`,
        );
      else fail(contents.range?.[0] ?? 0, 'INM0002', `aliases make the document too large: ${firstLine(error)}`, 'write the values out');
    }
  }
  return { values, problems };
}

/** Roughly, for a message: where an alias stands. */
const aliasOffset = (text: string, name: string): number => Math.max(0, text.indexOf(`*${name}`));

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';

function remedy(text: string, offset: number, code: string): string {
  const start = text.lastIndexOf('\n', Math.max(0, offset - 1)) + 1;
  const end = text.indexOf('\n', offset);
  const line = text.slice(start, end < 0 ? undefined : end);
  if (code === 'TAB_AS_INDENT' || /^\s*\t/.test(line)) return 'indent with spaces, not with tabs';
  if (code === 'BAD_INDENT' || code === 'BLOCK_AS_IMPLICIT_KEY') return 'check the indentation of this line and the one before';
  if (code === 'UNEXPECTED_TOKEN' || code === 'MISSING_CHAR') return 'check quotes, brackets and colons around here';
  return '';
}

/** Looks for depth and duplicate keys without recursion. */
function inspect(
  lib: typeof Yaml,
  root: Yaml.ParsedNode,
  fail: (offset: number, code: 'INM0002' | 'INM0010', message: string, hint: string) => void,
): void {
  const stack: { node: unknown; depth: number }[] = [{ node: root, depth: 1 }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { node, depth } = next;
    if (!lib.isCollection(node)) continue;
    if (depth > DEEPEST) {
      fail(node.range?.[0] ?? 0, 'INM0002', `nested more than ${DEEPEST} levels deep`, 'no resource needs this');
      return;
    }
    const keys = new Set<string>();
    for (const item of node.items) {
      if (!lib.isPair(item)) {
        stack.push({ node: item, depth: depth + 1 });
        continue;
      }
      stack.push({ node: item.value, depth: depth + 1 });
      if (lib.isCollection(item.key)) {
        fail(item.key.range?.[0] ?? 0, 'INM0010', 'a key is a list or a map', 'keys are texts');
        continue;
      }
      const key = keyText(lib, item.key);
      if (key === '<<' || keys.size !== keys.add(key).size) continue;
      fail(lib.isNode(item.key) ? (item.key.range?.[0] ?? 0) : 0, 'INM0010', `key "${key}" stands twice in one map`, 'keep one');
    }
  }
}

const keyText = (lib: typeof Yaml, key: unknown): string => (lib.isScalar(key) ? String(key.value) : String(key));

function yamlOffset(lib: typeof Yaml, document: Yaml.Document.Parsed, path: Path, atKey: boolean): number {
  const resolve = (node: unknown): unknown => (lib.isAlias(node) ? node.resolve(document) : node);
  let node: unknown = document.contents;
  let at = document.contents?.range?.[0] ?? 0;
  for (const [depth, step] of path.entries()) {
    const holder = resolve(node);
    const last = depth === path.length - 1;
    if (typeof step === 'number' && lib.isSeq(holder)) {
      node = holder.items[step];
      if (node === undefined) return at;
    } else if (lib.isMap(holder)) {
      const pair = pairOf(lib, holder, String(step), resolve, 0);
      if (pair === undefined) return at;
      const key = lib.isNode(pair.key) ? pair.key.range?.[0] : undefined;
      // A scalar is pointed at itself, a map or list at its key.
      if (key !== undefined && (!lib.isScalar(pair.value) || pair.value.value === null || (last && atKey))) at = key;
      if (last && (atKey || !lib.isScalar(pair.value) || pair.value.value === null)) return at;
      node = pair.value;
      if (!lib.isScalar(node)) continue;
    } else return at;
    at = (lib.isNode(node) ? node.range?.[0] : undefined) ?? at;
  }
  return at;
}

/** The pair of a key, looked for in merged maps too. */
function pairOf(
  lib: typeof Yaml,
  map: Yaml.YAMLMap,
  key: string,
  resolve: (node: unknown) => unknown,
  depth: number,
): Yaml.Pair | undefined {
  const own = map.items.findLast((pair) => keyText(lib, pair.key) === key);
  if (own !== undefined || depth > DEEPEST) return own;
  for (const pair of map.items) {
    if (keyText(lib, pair.key) !== '<<') continue;
    const merged = resolve(pair.value);
    for (const one of lib.isSeq(merged) ? merged.items.map(resolve) : [merged]) {
      const found = lib.isMap(one) ? pairOf(lib, one, key, resolve, depth + 1) : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
