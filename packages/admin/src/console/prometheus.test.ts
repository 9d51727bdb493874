import { expect, it } from 'vitest';
import { queryHistory, queryRates } from './prometheus.ts';
import { REQUESTS } from './sample.ts';

it('asks for rates by the labels the graph is made of, and gets the same samples as from a process', async () => {
  const asked: string[] = [];
  const rates = await queryRates(async (path) => {
    const query = new URLSearchParams(path.slice('query?'.length)).get('query')!;
    asked.push(query);
    return { status: 'success', data: { result: query.includes(REQUESTS) ? [{ metric: { reporter: 'source', source_workload: 'web' }, value: [1, '2.5'] }] : [] } };
  }, 60_000); // prettier-ignore
  expect(rates).toEqual([{ name: REQUESTS, labels: { reporter: 'source', source_workload: 'web' }, value: 2.5 }]);
  expect(asked).toHaveLength(5);
  expect(asked[0]).toMatch(/^sum by \(reporter,source_workload,.*connection_security_policy\) \(rate\(istio_requests_total\[60s\]\)\)$/);
  expect(asked.filter((query) => /,le\)/.test(query))).toEqual([expect.stringContaining('istio_request_duration_milliseconds_bucket')]);
});

it('tells what Prometheus says against a query', async () => {
  await expect(queryRates(async () => ({ status: 'error', error: 'query timed out' }), 60_000)).rejects.toThrow('query timed out');
});

it('joins what was before by its moments; a quantile of nothing is unknown', async () => {
  const values: Record<string, readonly (readonly [number, string])[]> = { rate: [[15, '10'], [30, '20']], failed: [[30, '5']], p99: [[15, 'NaN'], [30, '120']] }; // prettier-ignore
  const history = await queryHistory(
    async (path) => {
      const of = path.includes('quantile') ? 'p99' : path.includes('response_code') ? 'failed' : 'rate';
      return { status: 'success', data: { result: [{ metric: {}, values: values[of] }] } };
    },
    60_000,
    60_000,
    15_000,
  );
  expect(history).toEqual([
    [15, 10, 0, null],
    [30, 20, 0.25, 120],
  ]);
});
