// PromQL over Istio's standard metrics, as all dashboards ask it.

const RATE = '$__rate_interval';
const REQUESTS = 'istio_requests_total';
export const DURATION = 'istio_request_duration_milliseconds';

const by = (labels) => (labels === '' ? '' : ` by (${labels})`);
const and = (...matchers) => matchers.filter(Boolean).join(',');

/** Per second, summed by labels ('' for one number). */
export const rate = (metric, matchers, labels = '') => `sum${by(labels)} (rate(${metric}{${matchers}}[${RATE}]))`;

export const requests = (matchers, labels) => rate(REQUESTS, matchers, labels);

/** Statuses of gRPC that are the server's fault (OpenTelemetry, semantic conventions for gRPC). The answer around them is a 200. */
const GRPC_ERRORS = '2|4|12|13|14|15';

/** Calls that failed by no fault of their caller's. */
const errors = (matchers, labels) =>
  `sum${by(labels)} (rate(${REQUESTS}{${and(matchers, 'response_code=~"5.."')}}[${RATE}]) or rate(${REQUESTS}{${and(matchers, `response_code!~"5..",grpc_response_status=~"${GRPC_ERRORS}"`)}}[${RATE}]))`;

/** 0 to 1. Without a single error no series of errors exists, which must read as 1 and not as nothing. */
export const success = (matchers, labels = '') =>
  `1 - (${errors(matchers, labels)} or 0 * ${requests(matchers, labels)}) / ${requests(matchers, labels)}`;

export const quantile = (q, metric, matchers, labels = '') =>
  `histogram_quantile(${q}, sum by (${labels === '' ? 'le' : `le, ${labels}`}) (rate(${metric}_bucket{${matchers}}[${RATE}])))`;

export const duration = (q, matchers, labels) => quantile(q, DURATION, matchers, labels);

/** p50, p90 and p99 as three lines. */
export const quantiles = (metric, matchers, labels, legend) =>
  [['0.5', 'p50'], ['0.9', 'p90'], ['0.99', 'p99']].map(([q, name]) => [quantile(q, metric, matchers, labels), `${legend} ${name}`.trim()]); // prettier-ignore
