import type { Clock, Placement, Wire } from '@inmesh/core';
import type { ClusterPolicy } from '@inmesh/policy';
import { connector } from './connect.ts';
import type { HttpRequest } from './request.ts';
import { Pool } from './undici.ts';
import { type TlsPlan, planTls } from './tls.ts';

/** A pool with the settings it was made for, so that a changed policy gets a new one. */
class PoolWire implements Wire {
  readonly policy: ClusterPolicy;
  readonly settings: string;
  readonly pool: Pool;

  constructor(policy: ClusterPolicy, settings: string, pool: Pool) {
    this.policy = policy;
    this.settings = settings;
    this.pool = pool;
  }

  close(): void {
    // Waits for the calls that are on it; a pool that fails to close has nothing left to free.
    this.pool.close().catch(() => {});
  }
}

/** Finds the connection pool of an endpoint: one per endpoint and TLS identity, kept with the endpoint itself. */
export class PoolTable {
  readonly #clock: Clock;
  readonly #connectionsPerEndpoint: () => number;

  constructor(clock: Clock, connectionsPerEndpoint: () => number) {
    this.#clock = clock;
    this.#connectionsPerEndpoint = connectionsPerEndpoint;
  }

  now(): number {
    return this.#clock.now();
  }

  /** Throws if the TLS material of the policy cannot be read. */
  get(placement: Placement, request: HttpRequest, authority: string): Pool {
    const { policy, wires } = placement;
    const tls = planTls(policy, request.scheme, authority);
    const key = tls === undefined ? 'http' : tls.key;
    const wire = wires.get(key) as PoolWire | undefined;
    if (wire !== undefined && wire.policy === policy) return wire.pool;
    const settings = settingsOf(policy, this.#connectionsPerEndpoint());
    if (wire !== undefined && wire.settings === settings) {
      // The document changed, these settings did not: remember the new one so that the next call asks no further.
      wires.set(key, new PoolWire(policy, settings, wire.pool));
      return wire.pool;
    }
    wire?.close();
    const made = new PoolWire(policy, settings, this.#create(placement, tls));
    wires.set(key, made);
    return made.pool;
  }

  #create({ endpoint, policy }: Placement, tls: TlsPlan | undefined): Pool {
    const { connection } = policy;
    const host = endpoint.port === 0 ? 'localhost' : endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
    const http2 = policy.http === 'http2';
    return new Pool(`${tls === undefined ? 'http' : 'https'}://${host}${endpoint.port === 0 ? '' : `:${endpoint.port}`}`, {
      connections: this.#connectionsPerEndpoint(),
      connect: connector(endpoint, policy, tls),
      allowH2: http2,
      ...priorKnowledge(http2 && tls === undefined),
      // One request at a time on an HTTP/1.1 connection: a slow answer must not hold up others.
      pipelining: http2 ? undefined : 1,
      ...(http2 && connection.maxConcurrentStreams < 2 ** 31 - 1 ? { maxConcurrentStreams: connection.maxConcurrentStreams } : {}),
      ...(connection.maxRequestsPerConnection > 0 ? { maxRequestsPerClient: connection.maxRequestsPerConnection } : {}),
      ...(connection.maxConnectionDurationMs === null ? {} : { clientTtl: connection.maxConnectionDurationMs }),
      // undici's own default of 4 s stays below the 5 s after which Node servers close; a server's Keep-Alive hint lowers it.
      ...(connection.idleTimeoutMs === null ? {} : { keepAliveTimeout: Math.max(1, connection.idleTimeoutMs) }),
    });
  }
}

/** What a pool depends on. Equal text, same pool. */
function settingsOf(policy: ClusterPolicy, connections: number): string {
  return JSON.stringify([policy.connection, policy.tls, policy.http, connections]);
}

/** undici knows this option of its Pool (HTTP/2 without TLS and without asking first), its types do not yet. */
function priorKnowledge(useH2c: boolean): object {
  return { useH2c };
}
