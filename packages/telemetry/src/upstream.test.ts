import { UpstreamStats, type UpstreamView } from '@inmesh/core';
import { describe, expect, it } from 'vitest';
import { textOf } from './exposition.ts';
import { UpstreamMetrics } from './upstream.ts';

const NONE = { cx: null, rq: null, rqPending: null, rqRetry: null };

function view(cluster: string, change: (stats: UpstreamStats) => void = () => {}, fields: Partial<UpstreamView> = {}): UpstreamView {
  const counts = new UpstreamStats();
  change(counts);
  return { cluster, counts, rqActive: 0, rqPendingActive: 0, membershipTotal: 0, membershipHealthy: 0, ejectionsActive: 0, healthChecks: undefined, breakers: NONE, ...fields }; // prettier-ignore
}

const linesOf = (...views: UpstreamView[]): string[] =>
  textOf(new UpstreamMetrics(() => views).families()).split('\n').filter((line) => line !== '' && !line.startsWith('#')); // prettier-ignore

const AB = (name: string, a: number, b: number) => [`${name}{cluster_name="a"} ${a}`, `${name}{cluster_name="b"} ${b}`];

describe('statistics of clusters', () => {
  it('that alerts are written on are shown from zero, rare ones once there is something', () => {
    const lines = linesOf(
      view('a'),
      view('b', (stats) => {
        stats.rqRetryOverflow = 2;
        stats.rqRxReset = 1;
      }),
    );
    expect(lines).toEqual(expect.arrayContaining(AB('envoy_cluster_upstream_rq_retry_overflow', 0, 2)));
    expect(lines.filter((line) => line.includes('rq_rx_reset'))).toEqual(['envoy_cluster_upstream_rq_rx_reset{cluster_name="b"} 1']);
  });

  it('have the names Envoy has, _total only where Envoy has it', () => {
    const names = new Set(linesOf(view('a')).map((line) => line.replace(/\{.*/, '')));
    for (const name of ['upstream_rq_total', 'upstream_rq_retry', 'upstream_rq_pending_overflow', 'upstream_cx_connect_fail', 'membership_healthy', 'lb_healthy_panic', 'update_failure', 'outlier_detection_ejections_active', 'outlier_detection_ejections_enforced_total'])
      expect(names).toContain(`envoy_cluster_${name}`);
  }); // prettier-ignore

  it('tell calls by status and by its class', () => {
    const lines = linesOf(view('a', (stats) => [200, 503, 204, 200, 503, 200].forEach((status) => stats.charge(status))));
    expect(lines.filter((line) => /upstream_rq(_xx)?\{/.test(line))).toEqual([
      'envoy_cluster_upstream_rq{response_code="200",cluster_name="a"} 3',
      'envoy_cluster_upstream_rq{response_code="503",cluster_name="a"} 2',
      'envoy_cluster_upstream_rq{response_code="204",cluster_name="a"} 1',
      'envoy_cluster_upstream_rq_xx{response_code_class="2xx",cluster_name="a"} 4',
      'envoy_cluster_upstream_rq_xx{response_code_class="5xx",cluster_name="a"} 2',
    ]);
  });

  it('tell of limits only where there are some', () => {
    const lines = linesOf(view('a'), view('b', undefined, { breakers: { ...NONE, rqPending: { open: true, remaining: 0 } } }));
    expect(lines.filter((line) => line.includes('circuit_breakers'))).toEqual([
      'envoy_cluster_circuit_breakers_default_rq_pending_open{cluster_name="b"} 1',
      'envoy_cluster_circuit_breakers_default_remaining_rq_pending{cluster_name="b"} 0',
    ]);
  });

  it('tell what the mesh asked endpoints itself, where it did', () => {
    const lines = linesOf(view('a'), view('b', undefined, { healthChecks: { success: 3, failure: 2, healthy: 1 } }));
    expect(lines.filter((line) => line.includes('health_check'))).toEqual([
      'envoy_cluster_health_check_attempt{cluster_name="b"} 5',
      'envoy_cluster_health_check_success{cluster_name="b"} 3',
      'envoy_cluster_health_check_failure{cluster_name="b"} 2',
      'envoy_cluster_health_check_healthy{cluster_name="b"} 1',
    ]);
  });

  it('tell how long connections took, once there were some', () => {
    const lines = linesOf(
      view('a'),
      view('b', (stats) => [0.2, 7, 70_000].forEach((ms) => stats.connected(ms))),
    ).filter((line) => line.includes('cx_connect_ms'));
    const bucket = (le: string): string | undefined => lines.find((line) => line.includes(`le="${le}"`));
    expect(lines.every((line) => line.includes('cluster_name="b"'))).toBe(true);
    expect([bucket('0.5'), bucket('5'), bucket('10'), bucket('60000'), bucket('+Inf')].map((line) => line?.split(' ').at(-1))).toEqual(['1', '1', '2', '2', '3']); // prettier-ignore
    expect(lines.slice(-2)).toEqual([
      'envoy_cluster_upstream_cx_connect_ms_sum{cluster_name="b"} 70007.2',
      'envoy_cluster_upstream_cx_connect_ms_count{cluster_name="b"} 3',
    ]);
  });
});
