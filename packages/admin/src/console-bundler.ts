import { build, type Plugin } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One file of the console, as it is served. */
export interface ConsoleFile {
  /** Name below `/console/`; '' is the page itself. Every other name changes with its content. */
  readonly name: string;
  readonly type: string;
  readonly body: string;
}

const folder = new URL('./console/', import.meta.url);

/** The console made from its sources. `small`: as it is published, which takes some seconds. */
export async function bundleConsole({ small = false } = {}): Promise<readonly ConsoleFile[]> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('main.ts', folder))],
    outdir: fileURLToPath(folder),
    bundle: true,
    minify: small,
    write: false,
    format: 'esm',
    target: 'es2023',
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'silent',
    plugins: [withoutUnused],
  });
  const named = await Promise.all(
    outputFiles.map(async ({ path, text }) => {
      const [stem = '', extension = ''] = basename(path).split('.');
      const type = extension === 'css' ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8';
      const body = small && extension === 'js' ? await smaller(text) : text;
      const name = `${stem}.${createHash('sha256').update(body).digest('hex').slice(0, 12)}.${extension}`;
      return { original: basename(path), name, type, body };
    }),
  );
  const page = await readFile(new URL('index.html', folder), 'utf8');
  const body = named.reduce((html, { original, name }) => html.replace(`"${original}"`, `"${name}"`), page);
  return [{ name: '', type: 'text/html; charset=utf-8', body }, ...named.map(({ name, type, body: text }) => ({ name, type, body: text }))];
}

/** esbuild is quick and terser is thorough: 3 KB of gzip apart. */
async function smaller(text: string): Promise<string> {
  const { minify } = await import('terser');
  const { code = '' } = await minify(text, { module: true, compress: { passes: 3, ecma: 2020 } });
  return code;
}

/**
 * Two libraries keep what the console never asks for where no bundler can see that nobody does: dagre the algorithms of graphlib, uPlot
 * its other kinds of lines, and its cursor, which is off. 6 KB of gzip together; should a new version write them otherwise, the test of
 * size tells.
 */
const withoutUnused: Plugin = {
  name: 'without-unused',
  setup: (bundler) => {
    const edit = (filter: RegExp, change: (text: string) => string, loader: 'js' | 'ts' = 'js'): void =>
      bundler.onLoad({ filter }, async ({ path }) => ({ loader, contents: change(await readFile(path, 'utf8')) }));
    edit(/dagre\.esm\.js$/, withoutNamespaces);
    // Templates are kept as they are written: what only indents them need not travel.
    edit(/console.views.*\.ts$/, (text) => text.replaceAll(/\n\s+/g, '\n'), 'ts');
    edit(/uPlot\.esm\.js$/, (text) =>
      text
        .replaceAll(/^\s*(?:\(paths\.(?:stepped|bars|spline)|uPlot\.join) .*$/gm, '')
        .replace(/^\tfunction updateCursor\(/m, '\tfunction updateCursor() {}\n\tfunction unused('),
    );
  },
};

/** `var N={};f(N,{name:()=>value,…})` is how esbuild writes `export * as N`: whoever reads `N.name` may as well read the value. */
function withoutNamespaces(text: string): string {
  const namespaces: (readonly [name: string, values: ReadonlyMap<string, string>])[] = [];
  const lazy = text.replaceAll(/var ([\w$]+)=\{\};[\w$]+\(\1,\{((?:\w+:\(\)=>[\w$]+,?)+)\}\);/g, (_, name: string, members: string) => {
    const values = new Map([...members.matchAll(/(\w+):\(\)=>([\w$]+)/g)].map(([, key = '', value = '']) => [key, value]));
    namespaces.push([name, values]);
    return `var ${name}={${[...values].map(([key, value]) => `get ${key}(){return ${value}}`).join(',')}};`;
  });
  return namespaces.reduce((code, [name, values]) => {
    const value = (whole: string, key: string): string => values.get(key) ?? whole;
    return code
      .replaceAll(new RegExp(`(?<![.\\w$])${name}\\.(\\w+)`, 'g'), value)
      .replaceAll(new RegExp(`\\{((?:\\w+:[\\w$]+,?)+)\\}=${name}(?![\\w$])`, 'g'), (_, members: string) => {
        return ` ${members.replaceAll(/(\w+):([\w$]+)/g, (whole, key: string, local: string) => `${local}=${value(whole, key)}`)}`;
      });
  }, lazy);
}
