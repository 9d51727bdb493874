import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { request } from 'undici';
import { fetched } from './debian.ts';
import { freePort } from './ports.ts';

const found = fetched('Prometheus', 'scripts/get-prometheus.sh');
export const noPrometheus: boolean = found.skip;
export const REAL_PROMETHEUS: string = found.title;

export type Labels = Readonly<Record<string, string>>;

/** A row of an instant query. */
export interface Row {
  readonly labels: Labels;
  readonly value: number;
}

/** A row of a range query: the values at its steps, times in seconds. */
export interface Curve {
  readonly labels: Labels;
  readonly points: readonly (readonly [time: number, value: number])[];
}

export interface Rule {
  readonly name: string;
  readonly query: string;
  /** `ok`, or `err`, with `lastError` saying why. */
  readonly health: string;
  readonly lastError?: string;
}

export interface Target {
  readonly labels: Labels;
  readonly scrapeUrl: string;
  readonly health: string;
  readonly lastError: string;
  readonly lastScrape: string;
}

export interface TestPrometheus extends AsyncDisposable {
  readonly url: string;
  /** Any GET below /api/v1; rejects unless it was a success. */
  api(path: string, parameters?: Readonly<Record<string, string>>): Promise<unknown>;
  /** `time`: seconds since 1970; default now. A scalar is a row without labels. */
  query(promql: string, time?: number): Promise<readonly Row[]>;
  /** Times and step in seconds. */
  queryRange(promql: string, start: number, end: number, step: number): Promise<readonly Curve[]>;
  /** Values of a label, of series that match a selector. */
  labelValues(label: string, selector?: string): Promise<readonly string[]>;
  rules(): Promise<readonly Rule[]>;
  targets(): Promise<readonly Target[]>;
  /** Resolves once every target has been scraped from beginning to end after this was called. */
  scraped(): Promise<void>;
}

interface Settings {
  /** YAML of a prometheus.yml: scrape_configs, rule_files and what else it may hold. */
  readonly config: string;
  /** Files beside it, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A Prometheus of its own, its data in a temporary folder. */
export async function prometheus({ config, files = {} }: Settings): Promise<TestPrometheus> {
  mustBeThere();
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-prometheus-'));
  for (const [name, text] of Object.entries({ 'prometheus.yml': config, ...files })) writeFileSync(join(folder, name), text);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child: ChildProcess = spawn(
    found.path,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      // Otherwise it reads pages from where Debian would have installed them.
      `--web.console.templates=${folder}`,
      `--web.console.libraries=${folder}`,
      '--log.level=error',
    ],
    { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let complaint = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const api: TestPrometheus['api'] = async (path, parameters = {}) => {
    const answer = await request(`${url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const text = await answer.body.text();
    const { status, data } = (text.startsWith('{') ? JSON.parse(text) : {}) as { readonly status?: string; readonly data?: unknown };
    if (status !== 'success') throw new Error(`Prometheus on ${path} ${JSON.stringify(parameters)}: ${answer.statusCode} ${text}`);
    return data;
  };
  const targets: TestPrometheus['targets'] = async () =>
    ((await api('targets', { state: 'active' })) as { readonly activeTargets: readonly Target[] }).activeTargets;
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries += 1) {
    const ready = await request(`${url}/-/ready`).then(async ({ statusCode, body }) => (await body.dump(), statusCode === 200), () => false); // prettier-ignore
    if (ready) break;
    if (tries > 400 || child.exitCode !== null) {
      await dispose();
      throw new Error(`Prometheus did not start (exit code ${child.exitCode}): ${complaint}`);
    }
    await pause(50);
  }
  return {
    url,
    api,
    query: async (query, time) => {
      const { resultType, result } = (await api('query', { query, ...(time === undefined ? {} : { time: String(time) }) })) as
        | { readonly resultType: 'vector'; readonly result: readonly { readonly metric: Labels; readonly value: Pair }[] }
        | { readonly resultType: 'scalar'; readonly result: Pair };
      if (resultType === 'scalar') return [{ labels: {}, value: number(result[1]) }];
      return result.map(({ metric, value }) => ({ labels: metric, value: number(value[1]) }));
    },
    queryRange: async (query, start, end, step) => {
      const { result } = (await api('query_range', { query, start: String(start), end: String(end), step: String(step) })) as {
        readonly result: readonly { readonly metric: Labels; readonly values: readonly Pair[] }[];
      };
      return result.map(({ metric, values }) => ({
        labels: metric,
        points: values.map(([time, value]) => [time, number(value)] as const),
      }));
    },
    labelValues: async (label, selector) =>
      (await api(`label/${label}/values`, selector === undefined ? {} : { 'match[]': selector })) as readonly string[],
    rules: async () => {
      const { groups } = (await api('rules')) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
      return groups.flatMap(({ rules }) => rules);
    },
    targets,
    scraped: async () => {
      // The first scrape that begins after now tells the truth of now. lastScrape is when one began, and known when it has ended.
      const now = Date.now();
      for (let tries = 0; tries < 600; tries += 1) {
        const all = await targets();
        if (all.length > 0 && all.every(({ lastScrape, health }) => health === 'up' && Date.parse(lastScrape) > now)) return;
        await pause(50);
      }
      throw new Error(`not scraped in 30 s: ${JSON.stringify(await targets())}`);
    },
    [Symbol.asyncDispose]: dispose,
  };
}

type Pair = readonly [time: number, value: string];

const number = (text: string): number => Number(text.replace('Inf', 'Infinity'));

function mustBeThere(): void {
  if (found.missing !== '') throw new Error(`there is no Prometheus: ${found.missing}`);
}

/** Runs promtool. `input`: what it reads from stdin. */
export async function promtool(args: readonly string[], input = ''): Promise<{ readonly code: number; readonly output: string }> {
  mustBeThere();
  const child = spawn(join(dirname(found.path), 'promtool'), args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const closed = once(child, 'close');
  // One that does not read is told of by its exit code.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = (await closed) as [number | null];
  return { code: code ?? -1, output };
}
