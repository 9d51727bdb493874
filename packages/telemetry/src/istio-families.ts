import type { IstioMetric } from '@inmesh/policy';

/** What is counted together under one label set: calls (25 labels), messages of gRPC (20), connections of TCP (23). */
export type Shape = 'calls' | 'messages' | 'connections';

/** One of Istio's metrics: its name in the Telemetry API, and where its numbers stand in a series of its shape. */
export interface IstioFamily {
  readonly metric: IstioMetric;
  readonly name: string;
  readonly type: 'counter' | 'histogram';
  readonly help: string;
  readonly shape: Shape;
  /** Its place among those of the shape; for histograms among the histograms. */
  readonly place: number;
  /** Its bit in the parts of a series. */
  readonly bit: number;
}

/** All of Istio's standard metrics (istio.io, "Istio Standard Metrics"), save istio_build, which counts nothing. */
export const ISTIO_FAMILIES: readonly IstioFamily[] = [
  { metric: 'REQUEST_COUNT', name: 'istio_requests_total', type: 'counter', shape: 'calls', place: 0, bit: 1, help: 'Calls that ended, by who called whom and what came of it.' },
  { metric: 'REQUEST_DURATION', name: 'istio_request_duration_milliseconds', type: 'histogram', shape: 'calls', place: 0, bit: 2, help: 'Milliseconds from the start of a call to the last byte of its answer.' },
  { metric: 'REQUEST_SIZE', name: 'istio_request_bytes', type: 'histogram', shape: 'calls', place: 1, bit: 4, help: 'Bytes of requests, headers and body.' },
  { metric: 'RESPONSE_SIZE', name: 'istio_response_bytes', type: 'histogram', shape: 'calls', place: 2, bit: 8, help: 'Bytes of answers, headers and body.' },
  { metric: 'GRPC_REQUEST_MESSAGES', name: 'istio_request_messages_total', type: 'counter', shape: 'messages', place: 0, bit: 1, help: 'Messages of gRPC from clients to servers.' },
  { metric: 'GRPC_RESPONSE_MESSAGES', name: 'istio_response_messages_total', type: 'counter', shape: 'messages', place: 1, bit: 2, help: 'Messages of gRPC from servers to clients.' },
  { metric: 'TCP_OPENED_CONNECTIONS', name: 'istio_tcp_connections_opened_total', type: 'counter', shape: 'connections', place: 0, bit: 1, help: 'TCP connections that were established.' },
  { metric: 'TCP_CLOSED_CONNECTIONS', name: 'istio_tcp_connections_closed_total', type: 'counter', shape: 'connections', place: 1, bit: 2, help: 'TCP connections that ended.' },
  { metric: 'TCP_RECEIVED_BYTES', name: 'istio_tcp_received_bytes_total', type: 'counter', shape: 'connections', place: 2, bit: 4, help: 'Bytes of TCP connections from clients to servers.' },
  { metric: 'TCP_SENT_BYTES', name: 'istio_tcp_sent_bytes_total', type: 'counter', shape: 'connections', place: 3, bit: 8, help: 'Bytes of TCP connections from servers to clients.' },
]; // prettier-ignore

export const familiesOf = (shape: Shape): readonly IstioFamily[] => ISTIO_FAMILIES.filter((family) => family.shape === shape);
