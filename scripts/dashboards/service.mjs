import { dashboard, GOOD_ABOVE, lines, many, one, REPORTER, stat } from './grafana.mjs';
import { DURATION, duration, quantile, quantiles, rate, requests, success } from './istio.mjs';

const SERVICE = 'destination_service="$service"';
const CLIENTS = `reporter="source",${SERVICE}`;
const SERVERS = `reporter="destination",${SERVICE}`;
/** What the variables choose of the callers, and of the workloads behind the service. */
const BY_SOURCE = `reporter=~"$reporter",${SERVICE},source_workload_namespace=~"$srcns",source_workload=~"$srcwl"`;
const BY_DESTINATION = `reporter=~"$reporter",${SERVICE},destination_workload_namespace=~"$dstns",destination_workload=~"$dstwl"`;
const SOURCE = 'source_workload, source_workload_namespace';
const DESTINATION = 'destination_workload, destination_workload_namespace';
const FROM = '{{source_workload}}.{{source_workload_namespace}}';
const TO = '{{destination_workload}}.{{destination_workload_namespace}}';

const OBJECTIVES = 'service="$service"';
/** Of the whole mesh, as alerts.yml counts: by clients, or by servers where nobody in the mesh calls. */
const told = (of) => ['source', 'destination'].map((reporter) => of(`{${OBJECTIVES},reporter="${reporter}"}`)).join(' or ');
const burnRate = (window) => {
  const sum = (name, by) => `sum by (slo) (rate(${name}${by}[${window}]))`;
  const bad = told((by) => `1 - ${sum('inmesh_slo_good_total', by)} / (${sum('inmesh_slo_events_total', by)} > 0)`);
  return `(${bad}) / (1 - max by (slo) (inmesh_slo_objective_ratio{${OBJECTIVES}}))`;
};
const budgetLeft = told(
  (by) => `sum by (slo) (inmesh_slo_budget_left_ratio${by} * inmesh_slo_events_total${by}) / sum by (slo) (inmesh_slo_events_total${by})`,
);

/** What both halves show: of one set of series, by who is at the other end. */
const half = (matchers, labels, legend) => [
  lines('Requests by outcome', [[requests(matchers, `${labels}, response_code, grpc_response_status`), `${legend} {{response_code}} {{grpc_response_status}}`]], { unit: 'reqps' }),
  lines('Success', [[success(matchers, labels), legend]], { unit: 'percentunit', max: 1 }),
  lines('Duration', quantiles(DURATION, matchers, labels, legend), { unit: 'ms', w: 8 }),
  lines('Size of requests', [[quantile('0.5', 'istio_request_bytes', matchers, labels), `${legend} p50`], [quantile('0.99', 'istio_request_bytes', matchers, labels), `${legend} p99`]], { unit: 'bytes', w: 8 }),
  lines('Size of responses', [[quantile('0.5', 'istio_response_bytes', matchers, labels), `${legend} p50`], [quantile('0.99', 'istio_response_bytes', matchers, labels), `${legend} p99`]], { unit: 'bytes', w: 8 }),
]; // prettier-ignore

/** One service: who calls it, what runs behind it, what it has promised. */
export const service = dashboard({
  uid: 'inmesh-service',
  title: 'inmesh / Service',
  description: 'One service: who calls it, the workloads behind it, and its objectives.',
  variables: [
    one('service', 'Service', 'label_values(istio_requests_total, destination_service)'),
    REPORTER,
    many('srcns', 'Client namespace', 'label_values(istio_requests_total{destination_service="$service"}, source_workload_namespace)'),
    many('srcwl', 'Client workload', 'label_values(istio_requests_total{destination_service="$service",source_workload_namespace=~"$srcns"}, source_workload)'),
    many('dstns', 'Server namespace', 'label_values(istio_requests_total{destination_service="$service"}, destination_workload_namespace)'),
    many('dstwl', 'Server workload', 'label_values(istio_requests_total{destination_service="$service",destination_workload_namespace=~"$dstns"}, destination_workload)'),
  ],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Requests, told by clients', requests(CLIENTS), { unit: 'reqps' }),
        stat('Success, told by clients', success(CLIENTS), { unit: 'percentunit', decimals: 2, thresholds: GOOD_ABOVE(0.95, 0.99) }),
        stat('p99, told by clients', duration('0.99', CLIENTS), { unit: 'ms' }),
        stat('Requests, told by servers', requests(SERVERS), { unit: 'reqps', description: 'Attempts: a call that was tried twice counts twice.' }),
        stat('Success, told by servers', success(SERVERS), { unit: 'percentunit', decimals: 2, thresholds: GOOD_ABOVE(0.95, 0.99) }),
        stat('p99, told by servers', duration('0.99', SERVERS), { unit: 'ms' }),
      ],
    },
    { title: 'By client', panels: half(BY_SOURCE, SOURCE, FROM) },
    {
      title: 'By server',
      panels: [
        ...half(BY_DESTINATION, DESTINATION, TO),
        lines('Mutual TLS', [[requests(SERVERS, 'connection_security_policy, source_principal'), '{{connection_security_policy}} {{source_principal}}']], { unit: 'reqps', description: 'Who has proven an identity, told by servers.' }),
        lines('Failures on the way', [[requests(`${CLIENTS},response_flags!="-"`, 'response_flags'), '{{response_flags}}']], { unit: 'reqps', description: 'Response flags of Envoy, told by clients.' }),
      ],
    },
    {
      title: 'gRPC and TCP',
      panels: [
        lines('Messages', [
          [rate('istio_request_messages_total', BY_DESTINATION, 'reporter'), 'to the server, told by {{reporter}}'],
          [rate('istio_response_messages_total', BY_DESTINATION, 'reporter'), 'to the client, told by {{reporter}}'],
        ], { unit: 'cps' }),
        lines('Bytes of TCP', [
          [rate('istio_tcp_received_bytes_total', BY_DESTINATION, 'reporter'), 'to the server, told by {{reporter}}'],
          [rate('istio_tcp_sent_bytes_total', BY_DESTINATION, 'reporter'), 'to the client, told by {{reporter}}'],
        ], { unit: 'Bps' }),
      ],
    },
    {
      title: 'Objectives',
      panels: [
        lines('Burn rate', ['5m', '1h', '6h', '3d'].map((window) => [burnRate(window), `{{slo}} ${window}`]), { description: 'Of the whole mesh. 1 uses the error budget up exactly at the end of its window. For 30 days a page is 14.4 over 5m and 1h, or 6 over 30m and 6h.' }),
        lines('Error budget left', [[budgetLeft, '{{slo}}']], { unit: 'percentunit', max: 1, min: undefined, description: 'Of what the processes of now have seen, each by its share of the calls.' }),
      ],
    },
  ],
}); // prettier-ignore
