import { parseExposition } from './exposition.ts';
import { type Graph, graphOf, totalOf } from './graph.ts';
import { queryHistory, queryRates } from './prometheus.ts';
import { Rates } from './rates.ts';
import type { Sample } from './sample.ts';
import type { Burn, Model, Sources, Status } from './shapes.ts';

/** One process, as far as it answers. What it answered last stays, beside the error. */
export interface Process {
  readonly name: string;
  readonly base: string;
  /** What it serves, as `/tap`; undefined: that is found out. */
  readonly pages?: readonly string[];
  /** '' while it answers. */
  readonly error: string;
  readonly status: Status | undefined;
  readonly snapshot: Model | undefined;
  /** undefined: it keeps no count of its promises. */
  readonly burns: readonly Burn[] | undefined;
}

/** Seconds since 1970, calls per second, share of failures 0–1, p99 in ms. */
export type Moment = readonly [at: number, requests: number, errorShare: number, p99: number | null];

/** All the page shows, at one moment. */
export interface World {
  readonly processes: readonly Process[];
  readonly prometheus: { readonly name: string; readonly error: string } | null;
  readonly rates: readonly Sample[];
  readonly graph: Graph;
  readonly history: readonly Moment[];
  /** By edge. */
  readonly edgeHistory: ReadonlyMap<string, readonly Moment[]>;
  readonly windowMs: number;
  /** Rates need two polls. */
  readonly warm: boolean;
}

export const EMPTY: World = {
  processes: [],
  prometheus: null,
  rates: [],
  graph: { places: [], edges: [] },
  history: [],
  edgeHistory: new Map(),
  windowMs: 30_000,
  warm: false,
};

const KEEP_MS = 310_000;
const KEEP_MOMENTS = 900;
const POLL_MS = 2000;
/** A Prometheus scrapes every few seconds at best, and asking costs it something. */
const POLL_PROMETHEUS_MS = 10_000;
const HISTORY = { spanMs: 1_800_000, stepMs: 15_000 };

/** Polls what there is and tells of every change, for as long as the page is open; a hidden page polls nothing. */
export class Poller {
  #world: World;
  readonly #sources: Sources;
  readonly #rates: ReadonlyMap<string, Rates>;
  readonly #tell: (world: World) => void;
  #askedPrometheusAt = -Infinity;

  constructor(sources: Sources, tell: (world: World) => void) {
    const { processes, prometheus } = sources;
    this.#sources = sources;
    this.#tell = tell;
    this.#rates = new Map(processes.map(({ base }) => [base, new Rates(KEEP_MS)]));
    this.#world = {
      ...EMPTY,
      windowMs: prometheus === null ? EMPTY.windowMs : 60_000,
      processes: processes.map((one) => ({ ...one, error: '', status: undefined, snapshot: undefined, burns: undefined })),
      prometheus: prometheus === null ? null : { name: prometheus.name, error: '' },
    };
  }

  async run(): Promise<never> {
    // The second poll comes soon: before it there is nothing to see.
    for (let pause = 1000; ; pause = POLL_MS) {
      if (!document.hidden) await this.#poll();
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  setWindow(windowMs: number): void {
    this.#askedPrometheusAt = -Infinity;
    this.#world = { ...this.#world, windowMs };
    if (this.#sources.prometheus === null) this.#show(this.#sample());
    else void this.#poll();
  }

  async #poll(): Promise<void> {
    const processes = await Promise.all(this.#world.processes.map((one) => this.#ask(one)));
    this.#world = { ...this.#world, processes };
    const { prometheus } = this.#sources;
    if (prometheus === null) return this.#show(this.#sample());
    if (performance.now() - this.#askedPrometheusAt < POLL_PROMETHEUS_MS) return this.#tell(this.#world);
    this.#askedPrometheusAt = performance.now();
    const ask = async (path: string): Promise<unknown> => json(await get(prometheus.base + path));
    try {
      if (this.#world.history.length === 0) {
        this.#world = { ...this.#world, history: await queryHistory(ask, Date.now(), HISTORY.spanMs, HISTORY.stepMs) };
      }
      const rates = await queryRates(ask, this.#world.windowMs);
      this.#world = { ...this.#world, prometheus: { name: prometheus.name, error: '' } };
      this.#show(rates);
    } catch (error) {
      this.#tell((this.#world = { ...this.#world, prometheus: { name: prometheus.name, error: said(error) } }));
    }
  }

  #sample(): Sample[] {
    // Who does not answer any more calls nobody, as far as one can see.
    const there = this.#world.processes.filter(({ error }) => error === '');
    return there.flatMap(({ base }) => this.#rates.get(base)!.perSecond(this.#world.windowMs));
  }

  #show(rates: readonly Sample[]): void {
    const graph = graphOf(rates);
    const at = Date.now() / 1000;
    const { requests, errorShare, p99 } = totalOf(graph.edges);
    const warm = this.#world.warm || rates.length > 0;
    const edgeHistory = new Map(this.#world.edgeHistory);
    for (const edge of graph.edges) {
      edgeHistory.set(edge.id, kept([...(edgeHistory.get(edge.id) ?? []), [at, edge.traffic.requests, edge.errorShare, edge.p99]]));
    }
    const history = warm ? kept([...this.#world.history, [at, requests, errorShare, p99]]) : this.#world.history;
    this.#tell((this.#world = { ...this.#world, rates, graph, warm, history, edgeHistory }));
  }

  async #ask(process: Process): Promise<Process> {
    const { base } = process;
    try {
      const [metrics, status, burns] = await Promise.all([
        this.#sources.prometheus === null ? get(`${base}metrics`).then((answer) => answer.text()) : '',
        get(`${base}status`).then(json<Status>),
        process.pages?.includes('/slo') === false
          ? undefined
          : get(`${base}slo`).then((answer) => (answer.status === 204 ? undefined : json<readonly Burn[]>(answer))),
      ]);
      this.#rates.get(base)!.add(performance.now(), parseExposition(metrics));
      const same =
        process.snapshot !== undefined && process.status?.version === status.version && process.status.appliedAt === status.appliedAt;
      const snapshot = same ? process.snapshot : await get(`${base}snapshot`).then(json<Model>);
      return { ...process, error: '', status, snapshot, burns };
    } catch (error) {
      return { ...process, error: said(error) };
    }
  }
}

const kept = (moments: readonly Moment[]): readonly Moment[] => moments.slice(-KEEP_MOMENTS);
const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What one may ask of a process that has something to say: rejects with the sentence it answers with. */
export async function get(url: string, signal?: AbortSignal): Promise<Response> {
  const answer = await fetch(url, { cache: 'no-store', signal }).catch(() => {
    throw new Error('does not answer');
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `answers with ${answer.status}`);
  return answer;
}

const json = async <T>(answer: Response): Promise<T> => (await answer.json()) as T;
