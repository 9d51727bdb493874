import { DURATION_BUCKET, type Labels, METRICS, type Sample } from './sample.ts';

/** Labels the graph is built by: what a query must keep. */
const LABELS = [
  'reporter',
  'source_workload',
  'source_workload_namespace',
  'source_canonical_service',
  'source_canonical_revision',
  'source_principal',
  'destination_workload',
  'destination_workload_namespace',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_principal',
  'destination_service',
  'destination_service_name',
  'destination_service_namespace',
  'destination_version',
  'request_protocol',
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
];

const instant = (metric: string, window: string): string =>
  `sum by (${[...LABELS, ...(metric === DURATION_BUCKET ? ['le'] : [])].join(',')}) (rate(${metric}[${window}]))`;

type Ask = (path: string) => Promise<unknown>;

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly { readonly metric: Labels; readonly value?: Point; readonly values?: readonly Point[] }[] };
}

type Point = readonly [seconds: number, value: string];

/** The rates of a mesh as its Prometheus has them: the same samples as from a process. `ask` gets `query?…` and answers with its JSON. */
export async function queryRates(ask: Ask, windowMs: number): Promise<Sample[]> {
  const window = `${Math.round(windowMs / 1000)}s`;
  const answers = await Promise.all(
    METRICS.map(async (name) => ({ name, series: await query(ask, `query?query=${encodeURIComponent(instant(name, window))}`) })),
  );
  return answers.flatMap(({ name, series }) =>
    series.flatMap(({ metric, value }) => (value === undefined ? [] : [{ name, labels: metric, value: Number(value[1]) }])),
  );
}

/** Moments (seconds), calls per second, shares of failures 0–1 and p99 (ms) of the whole mesh before now. */
export async function queryHistory(
  ask: Ask,
  now: number,
  spanMs: number,
  stepMs: number,
): Promise<readonly (readonly [number, number, number, number | null])[]> {
  // Where callers tell of nothing, as behind a gateway, callees do; here the callers are enough.
  const calls = 'istio_requests_total{reporter="source"}[1m]';
  const range = `&start=${Math.round((now - spanMs) / 1000)}&end=${Math.round(now / 1000)}&step=${stepMs / 1000}`;
  const ask1 = async (text: string): Promise<ReadonlyMap<number, number>> => {
    const [series] = await query(ask, `query_range?query=${encodeURIComponent(text)}${range}`);
    return new Map((series?.values ?? []).map(([at, value]) => [at, Number(value)]));
  };
  const [all, failed, p99] = await Promise.all([
    ask1(`sum(rate(${calls}))`),
    ask1(`sum(rate(${calls.replace('}', ',response_code=~"0|5.."}')}))`),
    ask1(`histogram_quantile(0.99, sum by (le) (rate(${DURATION_BUCKET}{reporter="source"}[1m])))`),
  ]);
  return [...all].map(([at, requests]) => {
    const slow = p99.get(at);
    return [at, requests, requests > 0 ? (failed.get(at) ?? 0) / requests : 0, slow === undefined || Number.isNaN(slow) ? null : slow];
  });
}

async function query(ask: Ask, path: string): Promise<NonNullable<Answer['data']>['result']> {
  const answer = (await ask(path)) as Answer;
  if (answer.status !== 'success' || answer.data === undefined) throw new Error(answer.error ?? 'Prometheus did not answer the query');
  return answer.data.result;
}
