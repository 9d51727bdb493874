import { CONNECT_BOUNDS, type UpstreamView } from '@inmesh/core';
import { LabelSet, type MetricFamily, type MetricSample, type MetricSource } from './exposition.ts';

/**
 * One of Envoy's statistics of a cluster: its name there, what it says, and where we have it. `always`: shown of every cluster that is
 * used, since one alerts on it or looks at it; the others only once they are not zero.
 */
interface Row {
  readonly stat: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly read: (view: UpstreamView) => number | undefined;
  readonly always: boolean;
}

type Counts = UpstreamView['counts'];
type Counter = { [Key in keyof Counts]: Counts[Key] extends number ? Key : never }[keyof Counts];

const counter = (stat: string, key: Counter, help: string, always = false): Row => ({ stat, type: 'counter', help, read: ({ counts }) => counts[key], always }); // prettier-ignore
const gauge = (stat: string, help: string, read: Row['read'], always = false): Row => ({ stat, type: 'gauge', help, read, always });

/** Names of envoyproxy.io, "Cluster manager: Statistics"; Prometheus gets them as Envoy's own exposition has them. */
const ROWS: readonly Row[] = [
  counter('upstream_rq_total', 'rqTotal', 'Attempts that were given an endpoint.', true),
  gauge('upstream_rq_active', 'Attempts under way.', ({ rqActive }) => rqActive, true),
  counter('upstream_rq_pending_total', 'rqPendingTotal', 'Calls that had to wait for a connection.'),
  gauge('upstream_rq_pending_active', 'Calls that wait for a connection.', ({ rqPendingActive }) => rqPendingActive, true),
  counter('upstream_rq_pending_overflow', 'rqPendingOverflow', 'Calls refused by a circuit breaker: pending calls, or calls.', true),
  counter('upstream_rq_active_overflow', 'rqActiveOverflow', 'Calls refused because as many were under way as http2MaxRequests allows.'),
  counter('upstream_rq_pending_failure_eject', 'rqPendingFailureEject', 'Attempts whose connection failed or ended.'),
  counter('upstream_rq_cancelled', 'rqCancelled', 'Attempts given up before they had a connection.'),
  counter('upstream_rq_timeout', 'rqTimeout', 'Attempts unanswered when the time of their call was up.', true),
  counter('upstream_rq_per_try_timeout', 'rqPerTryTimeout', 'Attempts unanswered when their own time was up.'),
  counter('upstream_rq_rx_reset', 'rqRxReset', 'Attempts reset by the other side.'),
  counter('upstream_rq_tx_reset', 'rqTxReset', 'Attempts reset by us.'),
  counter('upstream_rq_retry', 'rqRetry', 'Retries.', true),
  counter('upstream_rq_retry_success', 'rqRetrySuccess', 'Retries whose outcome nobody would repeat.'),
  counter('upstream_rq_retry_overflow', 'rqRetryOverflow', 'Retries and hedges not made because of maxRetries or the retry budget.', true),
  counter('upstream_rq_retry_limit_exceeded', 'rqRetryLimitExceeded', 'Calls not retried again because their count was reached.'),
  counter('upstream_rq_retry_backoff_exponential', 'rqRetryBackoffExponential', 'Retries after a pause of our own choice.'),
  counter('upstream_rq_retry_backoff_ratelimited', 'rqRetryBackoffRatelimited', 'Retries after a pause the server asked for.'),
  counter('upstream_cx_total', 'cxTotal', 'Connections begun.', true),
  gauge('upstream_cx_active', 'Connections that stand, or are being made.', ({ counts }) => counts.cxActive, true),
  counter('upstream_cx_connect_fail', 'cxConnectFail', 'Connections that could not be made.', true),
  counter('upstream_cx_connect_timeout', 'cxConnectTimeout', 'Connections that could not be made in time.'),
  counter('upstream_cx_destroy', 'cxDestroy', 'Connections that are over.'),
  counter('upstream_cx_overflow', 'cxOverflow', 'Calls that met as many connections as maxConnections allows.', true),
  counter('upstream_cx_none_healthy', 'cxNoneHealthy', 'Calls for which there was no endpoint.', true),
  gauge('membership_total', 'Known endpoints.', ({ membershipTotal }) => membershipTotal, true),
  gauge('membership_healthy', 'Endpoints in rotation: healthy and not ejected.', ({ membershipHealthy }) => membershipHealthy, true),
  counter('membership_change', 'membershipChange', 'Changes of the list of endpoints.'),
  counter('update_success', 'updateSuccess', 'Lists of endpoints from a registry.'),
  counter('update_failure', 'updateFailure', 'Look-ups of endpoints that failed; the last list stays in use.', true),
  counter('update_empty', 'updateEmpty', 'Lists of endpoints that were empty.'),
  counter('lb_healthy_panic', 'lbHealthyPanic', 'Attempts placed while so few endpoints were healthy that all were used.', true),
  gauge('outlier_detection_ejections_active', 'Endpoints out of rotation.', ({ ejectionsActive }) => ejectionsActive, true),
  counter('outlier_detection_ejections_enforced_total', 'ejectionsEnforced', 'Endpoints taken out of rotation.', true),
  counter('outlier_detection_ejections_overflow', 'ejectionsOverflow', 'Endpoints not taken out because of maxEjectionPercent.'),
  counter('outlier_detection_ejections_detected_consecutive_5xx', 'detected5xx', 'Endpoints found to answer badly.'),
  counter('outlier_detection_ejections_enforced_consecutive_5xx', 'enforced5xx', 'Endpoints ejected for bad answers.'),
  counter('outlier_detection_ejections_detected_consecutive_gateway_failure', 'detectedGateway', 'Endpoints found to answer 502, 503 or 504.'),
  counter('outlier_detection_ejections_enforced_consecutive_gateway_failure', 'enforcedGateway', 'Endpoints ejected for 502, 503 or 504.'),
  counter('outlier_detection_ejections_detected_consecutive_local_origin_failure', 'detectedLocalOrigin', 'Endpoints found not to be reached.'),
  counter('outlier_detection_ejections_enforced_consecutive_local_origin_failure', 'enforcedLocalOrigin', 'Endpoints ejected for not being reached.'),
  health('attempt', 'Questions asked of endpoints by the mesh itself.', ({ success, failure }) => success + failure),
  health('success', 'Answers that an endpoint is well.', ({ success }) => success),
  health('failure', 'Answers that an endpoint is ill, or none.', ({ failure }) => failure),
  gauge('health_check_healthy', 'Endpoints that are asked, and well.', ({ healthChecks }) => healthChecks?.healthy, true),
  ...breakers('cx', 'maxConnections'),
  ...breakers('rq', 'http2MaxRequests'),
  ...breakers('rqPending', 'http1MaxPendingRequests'),
  ...breakers('rqRetry', 'maxRetries or the retry budget'),
]; // prettier-ignore

/** Where the mesh asks endpoints itself how they are. */
function health(stat: string, help: string, read: (checks: NonNullable<UpstreamView['healthChecks']>) => number): Row {
  return {
    stat: `health_check_${stat}`,
    type: 'counter',
    help,
    read: ({ healthChecks }) => healthChecks && read(healthChecks),
    always: true,
  };
}

/** Of limits the policy sets: without one there is nothing to be open. */
function breakers(kind: keyof UpstreamView['breakers'], limit: string): Row[] {
  const name = kind.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
  const open = ({ breakers: of }: UpstreamView): number | undefined => (of[kind] === null ? undefined : Number(of[kind].open));
  return [
    gauge(`circuit_breakers_default_${name}_open`, `1 while ${limit} is reached.`, open, true),
    gauge(`circuit_breakers_default_remaining_${name}`, `What is left of ${limit}.`, ({ breakers: of }) => of[kind]?.remaining, true),
  ];
}

/**
 * Envoy's statistics of upstream clusters, by the names and labels a sidecar of Istio has them under. Clusters nobody has called are not
 * shown: a mesh knows thousands, a process calls a few.
 */
export class UpstreamMetrics implements MetricSource {
  readonly #read: () => readonly UpstreamView[];
  /** Labels of clusters that come again at each scrape. */
  #labels = new Map<string, LabelSet>();

  constructor(read: () => readonly UpstreamView[]) {
    this.#read = read;
  }

  families(): MetricFamily[] {
    const views = this.#read();
    const labels = new Map<string, LabelSet>();
    for (const { cluster } of views) labels.set(cluster, this.#labels.get(cluster) ?? new LabelSet({ cluster_name: cluster }));
    this.#labels = labels;
    const named = views.map((view) => ({ view, labels: labels.get(view.cluster)! }));
    const rows = ROWS.map(({ stat, type, help, read, always }): MetricFamily => {
      const samples = named.flatMap(({ view, labels: own }): MetricSample[] => {
        const value = read(view);
        return value === undefined || (value === 0 && !always) ? [] : [{ labels: own, value }];
      });
      return { name: `envoy_cluster_${stat}`, type, help, samples };
    });
    return [...rows, ...codes(views), connectTimes(named)];
  }
}

/** Final outcomes only, as in Envoy: what was retried is not in them. */
function codes(views: readonly UpstreamView[]): MetricFamily[] {
  const byCode: MetricSample[] = [];
  const byClass: MetricSample[] = [];
  for (const { cluster, counts } of views) {
    const classes = new Map<string, number>();
    for (const { status, count } of counts.codes) {
      byCode.push({ labels: new LabelSet({ response_code: String(status), cluster_name: cluster }), value: count });
      const called = `${Math.floor(status / 100)}xx`;
      classes.set(called, (classes.get(called) ?? 0) + count);
    }
    for (const [called, value] of classes)
      byClass.push({ labels: new LabelSet({ response_code_class: called, cluster_name: cluster }), value });
  }
  return [
    { name: 'envoy_cluster_upstream_rq', type: 'counter', help: 'Calls by the status they ended with, after retries.', samples: byCode },
    { name: 'envoy_cluster_upstream_rq_xx', type: 'counter', help: 'Calls by the class of their status.', samples: byClass },
  ];
}

function connectTimes(named: readonly { readonly view: UpstreamView; readonly labels: LabelSet }[]): MetricFamily {
  const samples = named.flatMap(({ view: { counts }, labels }) =>
    counts.cxConnectCounts.length === 0
      ? []
      : [{ labels, bounds: CONNECT_BOUNDS, counts: counts.cxConnectCounts, sum: counts.cxConnectMs }],
  );
  return { name: 'envoy_cluster_upstream_cx_connect_ms', type: 'histogram', help: 'Milliseconds connections took to be made.', samples };
}
