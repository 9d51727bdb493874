import { dashboard, GOOD_ABOVE, lines, many, one, stat } from './grafana.mjs';
import { DURATION, duration, quantile, quantiles, rate, requests, success } from './istio.mjs';

const IN = 'reporter="destination",destination_workload_namespace="$namespace",destination_workload="$workload"';
const OUT = 'reporter="source",source_workload_namespace="$namespace",source_workload="$workload"';
const CALLER = 'source_workload, source_workload_namespace, source_principal';
const FROM = '{{source_workload}}.{{source_workload_namespace}} {{source_principal}}';
/** What prom-client calls the process; it knows instances only. */
const PROCESS = 'instance=~"$instance"';

/** One workload: what it is asked, what it asks, and how its processes are. */
export const workload = dashboard({
  uid: 'inmesh-workload',
  title: 'inmesh / Workload',
  description: 'One workload: what it is asked, what it asks of others, and how its processes are.',
  variables: [
    one('namespace', 'Namespace', 'query_result(count by (namespace) (label_replace(istio_requests_total{reporter="source"}, "namespace", "$1", "source_workload_namespace", "(.*)") or label_replace(istio_requests_total{reporter="destination"}, "namespace", "$1", "destination_workload_namespace", "(.*)")))', '/namespace="([^"]+)"/'),
    one('workload', 'Workload', 'query_result(count by (workload) (label_replace(istio_requests_total{reporter="source",source_workload_namespace="$namespace"}, "workload", "$1", "source_workload", "(.*)") or label_replace(istio_requests_total{reporter="destination",destination_workload_namespace="$namespace"}, "workload", "$1", "destination_workload", "(.*)")))', '/workload="([^"]+)"/'),
    many('instance', 'Instance', `query_result(count by (instance) (istio_requests_total{${OUT}} or istio_requests_total{${IN}}))`, '/instance="([^"]+)"/'),
  ],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Requests in', requests(IN), { unit: 'reqps' }),
        stat('Success in', success(IN), { unit: 'percentunit', decimals: 2, thresholds: GOOD_ABOVE(0.95, 0.99) }),
        stat('p99 in', duration('0.99', IN), { unit: 'ms' }),
        stat('Requests out', requests(OUT), { unit: 'reqps' }),
        stat('Success out', success(OUT), { unit: 'percentunit', decimals: 2, thresholds: GOOD_ABOVE(0.95, 0.99) }),
        stat('p99 out', duration('0.99', OUT), { unit: 'ms' }),
      ],
    },
    {
      title: 'What it is asked',
      panels: [
        lines('Requests by caller and outcome', [[requests(IN, `${CALLER}, response_code, grpc_response_status`), `${FROM} {{response_code}} {{grpc_response_status}}`]], { unit: 'reqps' }),
        lines('Success by caller', [[success(IN, CALLER), FROM]], { unit: 'percentunit', max: 1 }),
        lines('Duration', quantiles(DURATION, IN, '', ''), { unit: 'ms', w: 8 }),
        lines('Size of requests', quantiles('istio_request_bytes', IN, '', ''), { unit: 'bytes', w: 8 }),
        lines('Size of responses', quantiles('istio_response_bytes', IN, '', ''), { unit: 'bytes', w: 8 }),
      ],
    },
    {
      title: 'What it asks of others',
      panels: [
        lines('Requests by service and outcome', [[requests(OUT, 'destination_service, response_code, grpc_response_status'), '{{destination_service}} {{response_code}} {{grpc_response_status}}']], { unit: 'reqps' }),
        lines('Success by service', [[success(OUT, 'destination_service'), '{{destination_service}}']], { unit: 'percentunit', max: 1 }),
        lines('p99 by service', [[duration('0.99', OUT, 'destination_service'), '{{destination_service}}']], { unit: 'ms', w: 8 }),
        lines('p99 of the size of responses', [[quantile('0.99', 'istio_response_bytes', OUT, 'destination_service'), '{{destination_service}}']], { unit: 'bytes', w: 8 }),
        lines('Versions called', [[requests(OUT, 'destination_service, destination_version'), '{{destination_service}} {{destination_version}}']], { unit: 'reqps', w: 8, stack: true, description: 'What a split of weights comes to.' }),
      ],
    },
    {
      title: 'TCP',
      panels: [
        lines('Bytes of connections taken', [[rate('istio_tcp_received_bytes_total', IN), 'received'], [rate('istio_tcp_sent_bytes_total', IN), 'sent']], { unit: 'Bps' }),
        lines('Bytes of connections made', [[rate('istio_tcp_received_bytes_total', OUT, 'destination_service'), 'sent to {{destination_service}}'], [rate('istio_tcp_sent_bytes_total', OUT, 'destination_service'), 'received from {{destination_service}}']], { unit: 'Bps' }),
      ],
    },
    {
      title: 'Node.js',
      panels: [
        lines('Event loop lag', [[`nodejs_eventloop_lag_seconds{${PROCESS}}`, '{{instance}}']], { unit: 's', w: 8 }),
        lines('CPU', [[`rate(process_cpu_seconds_total{${PROCESS}}[$__rate_interval])`, '{{instance}}']], { unit: 'percentunit', w: 8, description: '100 % is one core.' }),
        lines('Memory', [[`process_resident_memory_bytes{${PROCESS}}`, '{{instance}} resident'], [`nodejs_heap_size_used_bytes{${PROCESS}}`, '{{instance}} heap in use']], { unit: 'bytes', w: 8 }),
        lines('Garbage collection', [[`sum by (instance, kind) (rate(nodejs_gc_duration_seconds_sum{${PROCESS}}[$__rate_interval]))`, '{{instance}} {{kind}}']], { unit: 'percentunit', description: 'Share of the time.' }),
        lines('Active handles', [[`nodejs_active_handles_total{${PROCESS}}`, '{{instance}}']]),
      ],
    },
  ],
}); // prettier-ignore
