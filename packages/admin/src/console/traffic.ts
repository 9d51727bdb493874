import type { Buckets } from './quantile.ts';
import { DURATION_BUCKET, type Labels, REQUESTS, type Sample, TCP_OPENED, TCP_RECEIVED, TCP_SENT } from './sample.ts';

/** What one reporter tells of the traffic between two nodes; everything is per second. */
export class Traffic {
  requests = 0;
  /** 5xx, no answer at all, and grpc-status other than OK: failures of whoever was called. */
  errors = 0;
  /** 4xx. */
  clientErrors = 0;
  /** By `code flags`, as `503 UH`. */
  readonly outcomes = new Map<string, number>();
  readonly buckets: Buckets = new Map();
  readonly protocols = new Set<string>();
  /** Destination services as they were called. */
  readonly services = new Set<string>();
  connections = 0;
  /** From the server to the client; `receivedBytes` the other way. */
  sentBytes = 0;
  receivedBytes = 0;
  /** What came by mutual TLS, and what is known of at all. */
  mutual = 0;
  secured = 0;

  add({ name, labels, value }: Sample): void {
    const { destination_service: service = '', request_protocol: protocol = '' } = labels;
    if (service !== '' && service !== 'unknown') this.services.add(service);
    if (name === DURATION_BUCKET) {
      const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
      this.buckets.set(bound, (this.buckets.get(bound) ?? 0) + value);
      return;
    }
    if (protocol !== '') this.protocols.add(protocol);
    if (name === REQUESTS) this.#request(labels, value);
    else if (name === TCP_SENT) this.sentBytes += value;
    else if (name === TCP_RECEIVED) this.receivedBytes += value;
    else if (name === TCP_OPENED) {
      this.connections += value;
      this.#security(labels, value);
    }
  }

  /** Of somebody else's, this share. */
  scaled(share: number): Traffic {
    const part = new Traffic();
    const numbers = ['requests', 'errors', 'clientErrors', 'connections', 'sentBytes', 'receivedBytes', 'mutual', 'secured'] as const;
    for (const name of numbers) part[name] = this[name] * share;
    for (const [outcome, value] of this.outcomes) part.outcomes.set(outcome, value * share);
    for (const [bound, value] of this.buckets) part.buckets.set(bound, value * share);
    for (const protocol of this.protocols) part.protocols.add(protocol);
    for (const service of this.services) part.services.add(service);
    return part;
  }

  #request(labels: Labels, value: number): void {
    const { response_code: code = '0', response_flags: flags = '-', grpc_response_status: grpc = '' } = labels;
    this.requests += value;
    if (code === '0' || code.startsWith('5') || (grpc !== '' && grpc !== '0')) this.errors += value;
    else if (code.startsWith('4')) this.clientErrors += value;
    const outcome = [code === '0' ? 'no answer' : code, grpc === '' ? '' : `grpc ${grpc}`, flags === '-' ? '' : flags].filter(Boolean).join(' ');
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + value);
    this.#security(labels, value);
  }

  #security({ connection_security_policy: policy = 'unknown' }: Labels, value: number): void {
    if (policy === 'unknown') return;
    this.secured += value;
    if (policy === 'mutual_tls') this.mutual += value;
  }
}
