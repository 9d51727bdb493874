import type { Buckets } from './quantile.ts';
import { DURATION_BUCKET, type Labels, REQUESTS, type Sample, TCP_OPENED, TCP_RECEIVED, TCP_SENT } from './sample.ts';

const NUMBERS = ['requests', 'errors', 'clientErrors', 'connections', 'sentBytes', 'receivedBytes', 'mutual', 'secured'] as const;

function addAll<K>(to: Map<K, number>, from: ReadonlyMap<K, number>, share: number): void {
  for (const [key, value] of from) to.set(key, (to.get(key) ?? 0) + value * share);
}

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

  /** This share of it. */
  scaled(share: number): Traffic {
    return new Traffic().join(this, share);
  }

  /** Adds what somebody else tells, or a share of it. */
  join(other: Traffic, share = 1): this {
    for (const name of NUMBERS) this[name] += other[name] * share;
    addAll(this.outcomes, other.outcomes, share);
    addAll(this.buckets, other.buckets, share);
    for (const protocol of other.protocols) this.protocols.add(protocol);
    for (const service of other.services) this.services.add(service);
    return this;
  }

  #request(labels: Labels, value: number): void {
    // A label may be missing: a Telemetry resource can take it away.
    const { response_code: code = '', response_flags: flags = '-', grpc_response_status: grpc = '' } = labels;
    this.requests += value;
    if (code === '0' || code.startsWith('5') || (grpc !== '' && grpc !== '0')) this.errors += value;
    else if (code.startsWith('4')) this.clientErrors += value;
    const outcome = [code === '0' ? 'no answer' : code, grpc === '' ? '' : `grpc ${grpc}`, flags === '-' ? '' : flags]
      .filter(Boolean)
      .join(' ');
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + value);
    this.#security(labels, value);
  }

  #security({ connection_security_policy: policy = 'unknown' }: Labels, value: number): void {
    if (policy === 'unknown') return;
    this.secured += value;
    if (policy === 'mutual_tls') this.mutual += value;
  }
}
