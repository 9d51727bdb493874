/** One time series as Prometheus knows it, and a number of it: a count, or calls per second, as the place says. */
export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

export type Labels = Readonly<Record<string, string>>;

export const REQUESTS = 'istio_requests_total';
export const DURATION_BUCKET = 'istio_request_duration_milliseconds_bucket';
export const TCP_SENT = 'istio_tcp_sent_bytes_total';
export const TCP_RECEIVED = 'istio_tcp_received_bytes_total';
export const TCP_OPENED = 'istio_tcp_connections_opened_total';

/** What the console reads of all that is exposed. */
export const METRICS: readonly string[] = [REQUESTS, DURATION_BUCKET, TCP_SENT, TCP_RECEIVED, TCP_OPENED];
