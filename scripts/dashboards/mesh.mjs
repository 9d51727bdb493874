import { BAD_ABOVE, dashboard, GOOD_ABOVE, lines, many, stat, table } from './grafana.mjs';
import { DURATION, duration, quantiles, rate, requests, success } from './istio.mjs';

const CLIENTS = 'reporter="source",destination_service_namespace=~"$namespace"';
const SERVERS = 'reporter="destination",destination_workload_namespace=~"$namespace"';
const SERVICE = 'destination_service';
const WORKLOAD = 'destination_workload, destination_workload_namespace';

/** Processes weigh as they are used: by clients, or by servers where nobody in the mesh calls. */
const BUDGET_LEFT = ['source', 'destination']
  .map((reporter) => `{reporter="${reporter}"}`)
  .map(
    (by) =>
      `sum by (slo, service) (inmesh_slo_budget_left_ratio${by} * inmesh_slo_events_total${by}) / sum by (slo, service) (inmesh_slo_events_total${by})`,
  )
  .join(' or ');

/** All services, at a glance. */
export const mesh = dashboard({
  uid: 'inmesh-mesh',
  title: 'inmesh / Mesh',
  description: 'All services of the mesh, as their clients and as they themselves see them.',
  variables: [many('namespace', 'Namespace', 'label_values(istio_requests_total, destination_service_namespace)')],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Requests', requests(CLIENTS), { unit: 'reqps', description: 'Told by clients.' }),
        stat('Success', success(CLIENTS), { unit: 'percentunit', decimals: 2, thresholds: GOOD_ABOVE(0.95, 0.99), description: 'Neither 5xx nor a status of gRPC that is the server’s fault.' }),
        stat('4xx', `${requests(`${CLIENTS},response_code=~"4.."`)} or vector(0)`, { unit: 'reqps' }),
        stat('5xx', `${requests(`${CLIENTS},response_code=~"5.."`)} or vector(0)`, { unit: 'reqps', thresholds: BAD_ABOVE(0.1, 1) }),
        stat('p99', duration('0.99', CLIENTS), { unit: 'ms' }),
        stat('Mutual TLS', `${requests(`${SERVERS},connection_security_policy="mutual_tls"`)} / ${requests(SERVERS)}`, { unit: 'percentunit', decimals: 1, description: 'Share of the calls servers took. Clients cannot tell.' }),
      ],
    },
    {
      title: 'Traffic',
      panels: [
        lines('Requests by service', [[requests(CLIENTS, SERVICE), '{{destination_service}}']], { unit: 'reqps' }),
        lines('Success by service', [[success(CLIENTS, SERVICE), '{{destination_service}}']], { unit: 'percentunit', max: 1 }),
        lines('Duration', quantiles(DURATION, CLIENTS, '', ''), { unit: 'ms' }),
        lines('Why calls failed on the way', [[requests(`${CLIENTS},response_flags!="-"`, 'destination_service, response_flags'), '{{destination_service}} {{response_flags}}']], { unit: 'reqps', description: 'Response flags of Envoy: UH no healthy endpoint, UF connection failed, UO overflow, UT timeout, NR no route, DC the caller left.' }),
      ],
    },
    {
      title: 'Services and workloads',
      panels: [
        table('Services, told by clients', { destination_service: 'Service' }, [
          [requests(CLIENTS, SERVICE), 'Requests', 'reqps'],
          [success(CLIENTS, SERVICE), 'Success', 'percentunit'],
          [duration('0.5', CLIENTS, SERVICE), 'p50', 'ms'],
          [duration('0.9', CLIENTS, SERVICE), 'p90', 'ms'],
          [duration('0.99', CLIENTS, SERVICE), 'p99', 'ms'],
        ], { w: 12 }),
        table('Workloads, told by themselves', { destination_workload: 'Workload', destination_workload_namespace: 'Namespace' }, [
          [requests(SERVERS, WORKLOAD), 'Requests', 'reqps'],
          [success(SERVERS, WORKLOAD), 'Success', 'percentunit'],
          [duration('0.5', SERVERS, WORKLOAD), 'p50', 'ms'],
          [duration('0.9', SERVERS, WORKLOAD), 'p90', 'ms'],
          [duration('0.99', SERVERS, WORKLOAD), 'p99', 'ms'],
        ], { w: 12 }),
      ],
    },
    {
      title: 'TCP',
      panels: [
        lines('Bytes to clients', [[rate('istio_tcp_sent_bytes_total', CLIENTS, SERVICE), '{{destination_service}}']], { unit: 'Bps' }),
        lines('Bytes from clients', [[rate('istio_tcp_received_bytes_total', CLIENTS, SERVICE), '{{destination_service}}']], { unit: 'Bps' }),
      ],
    },
    {
      title: 'Objectives and processes',
      panels: [
        table('Error budget left', { slo: 'Objective', service: 'Service' }, [
          ['min by (slo, service) (inmesh_slo_budget_left_ratio)', 'Least', 'percentunit'],
          [BUDGET_LEFT, 'By calls', 'percentunit'],
          ['max by (slo, service) (inmesh_slo_objective_ratio)', 'Objective', 'percentunit'],
        ], { w: 12, h: 7 }),
        lines('Processes by version of the mesh', [['sum by (component, tag) (istio_build)', '{{component}} {{tag}}']], { w: 6, h: 7 }),
        lines('Processes by version of the policy', [['count by (version) (inmesh_policy_info)', '{{version}}']], { w: 6, h: 7, description: 'More than one for long: see the dashboard of policies.' }),
      ],
    },
  ],
}); // prettier-ignore
