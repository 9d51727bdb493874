import { BAD_ABOVE, dashboard, lines, many, stat } from './grafana.mjs';
import { rate } from './istio.mjs';

const CLUSTER = 'job=~"$job",instance=~"$instance",cluster_name=~"$cluster"';
const PROCESS = 'job=~"$job",instance=~"$instance"';

const counter = (name) => rate(`envoy_cluster_${name}`, CLUSTER, 'cluster_name');
const gauge = (name) => `sum by (cluster_name) (envoy_cluster_${name}{${CLUSTER}})`;
const named = (what, expr) => [expr, `{{cluster_name}} ${what}`.trim()];

/** What the clients of the mesh do: Envoy's statistics of upstream clusters, told by each process of what it calls. */
export const client = dashboard({
  uid: 'inmesh-client',
  title: 'inmesh / Outbound',
  description: 'What clients do below a call: attempts, retries, limits, connections, endpoints. Envoy’s statistics of upstream clusters, told by the process that calls.',
  variables: [
    many('job', 'Job', 'label_values(inmesh_policy_info, job)'),
    many('instance', 'Instance', 'label_values(inmesh_policy_info{job=~"$job"}, instance)'),
    many('cluster', 'Cluster', 'label_values(envoy_cluster_membership_total{job=~"$job"}, cluster_name)'),
  ],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Attempts', rate('envoy_cluster_upstream_rq_total', CLUSTER), { unit: 'reqps' }),
        stat('Under way', `sum(envoy_cluster_upstream_rq_active{${CLUSTER}})`),
        stat('Retried', `${rate('envoy_cluster_upstream_rq_retry', CLUSTER)} / ${rate('envoy_cluster_upstream_rq_total', CLUSTER)}`, { unit: 'percentunit', decimals: 2, thresholds: BAD_ABOVE(0.05, 0.2), description: 'Share of the attempts that were made again.' }),
        stat('Overflow', rate('envoy_cluster_upstream_rq_pending_overflow', CLUSTER), { unit: 'reqps', thresholds: BAD_ABOVE(0.01, 1) }),
        stat('Ejected', `sum(envoy_cluster_outlier_detection_ejections_active{${CLUSTER}})`, { thresholds: BAD_ABOVE(1, 3) }),
        stat('Healthy', `sum(envoy_cluster_membership_healthy{${CLUSTER}}) / sum(envoy_cluster_membership_total{${CLUSTER}})`, { unit: 'percentunit' }),
      ],
    },
    {
      title: 'Attempts',
      panels: [
        lines('Attempts', [named('', counter('upstream_rq_total'))], { unit: 'reqps', w: 8 }),
        lines('Under way and waiting', [named('under way', gauge('upstream_rq_active')), named('waiting', gauge('upstream_rq_pending_active'))], { w: 8 }),
        lines('Timeouts', [named('of calls', counter('upstream_rq_timeout')), named('of attempts', counter('upstream_rq_per_try_timeout'))], { unit: 'reqps', w: 8 }),
        lines('Retries', [named('made', counter('upstream_rq_retry')), named('with success', counter('upstream_rq_retry_success'))], { unit: 'reqps' }),
        lines('Retries refused', [named('over the budget', counter('upstream_rq_retry_overflow')), named('out of tries', counter('upstream_rq_retry_limit_exceeded'))], { unit: 'reqps', description: 'A budget that is used up means the service fails as a whole: retrying more would make it worse.' }),
        lines('Hedges', [[`sum by (cluster, reason) (rate(inmesh_hedges_total{${PROCESS},cluster=~"$cluster"}[$__rate_interval]))`, '{{cluster}} {{reason}}']], { unit: 'reqps' }),
        lines('Calls by flag', [[`sum by (destination_service, response_flags) (rate(istio_requests_total{${PROCESS},reporter="source",response_flags!="-"}[$__rate_interval]))`, '{{destination_service}} {{response_flags}}']], { unit: 'reqps', description: 'What the caller was told in the end.' }),
      ],
    },
    {
      title: 'Connections and limits',
      panels: [
        lines('Connections', [named('open', gauge('upstream_cx_active'))], { w: 8 }),
        lines('New connections', [named('made', counter('upstream_cx_total')), named('failed', counter('upstream_cx_connect_fail'))], { unit: 'cps', w: 8 }),
        lines('Limits', [named('refused', counter('upstream_rq_pending_overflow')), named('waited for a connection', counter('upstream_cx_overflow')), named('no healthy endpoint', counter('upstream_cx_none_healthy'))], { unit: 'reqps', w: 8 }),
      ],
    },
    {
      title: 'Endpoints',
      panels: [
        lines('Members', [named('known', gauge('membership_total')), named('healthy', gauge('membership_healthy'))]),
        lines('Ejections', [named('out now', gauge('outlier_detection_ejections_active')), named('made a second', counter('outlier_detection_ejections_enforced_total')), named('refused a second', counter('outlier_detection_ejections_overflow'))], { description: 'Refused: more would have been ejected than maxEjectionPercent allows.' }),
        lines('Panic', [named('', counter('lb_healthy_panic'))], { unit: 'reqps', description: 'Picks among all endpoints, because too few were healthy.' }),
        lines('Changes of the list', [named('changed', counter('membership_change')), named('looked up', counter('update_success')), named('failed', counter('update_failure')), named('empty', counter('update_empty'))], { unit: 'ops' }),
      ],
    },
  ],
}); // prettier-ignore
