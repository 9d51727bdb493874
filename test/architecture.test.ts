import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** Packages from the ground up; a package imports those on lower floors only, never a sibling. */
const FLOORS: readonly (readonly string[])[] = [
  ['policy'],
  ['core'],
  ['net'],
  ['http', 'grpc', 'discovery', 'identity', 'telemetry'],
  ['admin'],
  ['inmesh'],
  ['server'],
  ['cli'],
];

/** Files of core from the ground up; a file imports its own floor and lower ones. The first pattern that fits decides. */
const CORE_FLOORS: readonly (readonly RegExp[])[] = [
  [/^(errors|clock|call|peer|placement|life|deadlines|periodic-counts|observer)\.ts$/, /^endpoint\//, /^ports\//],
  [/^(backoff|budget|lease|hash|flags)\.ts$/, /^match\//, /^inbound\//],
  [/^(handler|kind|verdict)\.ts$/],
  [/^filters\//, /^balancers\//],
  [/^cluster\//, /^route\//, /^(stack|kinds)\.ts$/],
  [/^(routed|inbound-table|snapshot|compile|compile-inbound|explain|explanation)\.ts$/, /^explain\//],
  [/^(mesh|index)\.ts$/],
  [/^testing\//],
];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly specifier: string;
}

const root = join(import.meta.dirname, '..');
const sources = globSync('packages/*/src/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts'));

function importsOf(file: string): Import[] {
  return ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true).importedFiles.map(({ fileName }) => ({
    from: file,
    specifier: fileName,
    to: fileName.startsWith('.') ? relative(root, join(root, dirname(file), fileName)) : fileName,
  }));
}

const imports = sources.flatMap(importsOf);
const packageOf = (file: string) => file.split('/')[1]!;
const floorOf = (name: string) => FLOORS.findIndex((floor) => floor.includes(name));

describe('the one-way rule', () => {
  it('finds the sources at all', () => {
    expect(sources.length).toBeGreaterThan(30);
    expect(imports.length).toBeGreaterThan(100);
  });

  it('gives every package a floor', () => {
    expect([...new Set(sources.map(packageOf))].filter((name) => floorOf(name) < 0)).toEqual([]);
  });

  it('lets a package import lower floors only', () => {
    const wrong = imports.filter(({ from, specifier }) => {
      const target = /^(?:@inmesh\/([a-z]+)|(inmesh))(\/|$)/.exec(specifier);
      return target !== null && floorOf((target[1] ?? target[2])!) >= floorOf(packageOf(from));
    });
    expect(wrong).toEqual([]);
  });

  it('keeps relative imports inside their package', () => {
    expect(imports.filter(({ from, to, specifier }) => specifier.startsWith('.') && packageOf(to) !== packageOf(from))).toEqual([]);
  });

  it('lets a file of core import its own floor and lower ones only', () => {
    const place = (file: string) =>
      CORE_FLOORS.findIndex((floor) => floor.some((pattern) => pattern.test(file.replace('packages/core/src/', ''))));
    const core = sources.filter((file) => packageOf(file) === 'core');
    expect(core.filter((file) => place(file) < 0)).toEqual([]);
    const inside = imports.filter(({ from, specifier }) => packageOf(from) === 'core' && specifier.startsWith('.'));
    expect(inside.filter(({ from, to }) => place(to) > place(from))).toEqual([]);
  });

  it('has no cycles, not even of types', () => {
    const graph = new Map<string, string[]>();
    for (const { from, to, specifier } of imports) if (specifier.startsWith('.')) graph.set(from, [...(graph.get(from) ?? []), to]);
    expect(cycles(graph)).toEqual([]);
  });
});

describe('what a package must not touch', () => {
  const importing = (name: string, pattern: RegExp, except = /^$/) =>
    imports
      .filter(({ from, specifier }) => packageOf(from) === name && pattern.test(specifier) && !except.test(from))
      .map(({ from, specifier }) => `${from} imports ${specifier}`);

  it('core knows no node networking', () => {
    expect(importing('core', /^(node:)?(net|http|https|http2|tls|dns|dgram|fs|fs\/promises|dns\/promises)$|^undici$/)).toEqual([]);
  });

  it('policy opens files and sockets in source/ only', () => {
    expect(importing('policy', /^node:(net|http|https|tls|fs|fs\/promises|dns)$/, /^packages\/policy\/src\/source\//)).toEqual([]);
  });

  it('only one file loads undici; types of it cost nothing', () => {
    const loads = /^(?:import|export) (?!type\b)[^;]*from 'undici'|'undici\/|import\('undici|require\('undici/m;
    expect(sources.filter((file) => loads.test(readFileSync(join(root, file), 'utf8')))).toEqual(['packages/http/src/undici.ts']);
  });

  it('core reads time and chance in clock.ts only', () => {
    const reads = /\bDate\.now\(|new Date\(\)|\bsetTimeout\(|\bsetInterval\(|\bsetImmediate\(|\bperformance\.now\(|\bMath\.random\b/;
    const files = sources.filter((file) => packageOf(file) === 'core' && !file.endsWith('/clock.ts') && !file.includes('/testing/'));
    expect(files.filter((file) => reads.test(readFileSync(join(root, file), 'utf8')))).toEqual([]);
  });
});

/** Every strongly connected group of more than one file, by Tarjan's algorithm. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== index.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1) found.push(group.sort());
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found;
}
