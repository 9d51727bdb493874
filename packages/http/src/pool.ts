import { type Mesh, MeshError, type Placement } from '@inmesh/core';
import {
  type Credentials,
  type HopTokens,
  type KeptWire,
  keptWire,
  type MutualPlan,
  planConnection,
  type TlsPlan,
  tlsOf,
} from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { connector } from './connect.ts';
import type { HttpRequest } from './request.ts';
import type { Pool } from 'undici';
import { undici } from './undici.ts';

/** A pool with the settings it was made for, so that a changed policy gets a new one. */
export class PoolWire implements KeptWire {
  policy: ClusterPolicy;
  identity: MutualPlan['identity'] | undefined;
  readonly settings: string;
  readonly pool: Pool;
  /**
   * The same for all requests of a pool: undici closes connections when it changes, and would take it from the Host header
   * of each request. Without TLS it has no meaning, but sparing undici the look at the header is worth most of a µs.
   */
  readonly servername: string;
  readonly #open: Set<Pool>;

  constructor(policy: ClusterPolicy, settings: string, pool: Pool, servername: string, identity: PoolWire['identity'], open: Set<Pool>) {
    this.policy = policy;
    this.identity = identity;
    this.settings = settings;
    this.pool = pool;
    this.servername = servername;
    this.#open = open;
  }

  close(): void {
    // Waits for the calls that are on it; a pool that fails to close has nothing left to free.
    const closed = (): boolean => this.#open.delete(this.pool);
    this.pool.close().then(closed, closed);
  }
}

/** Does the request go over HTTP/2? gRPC always does, whatever its port says. */
export function isHttp2({ policy }: Placement, request: HttpRequest): boolean {
  return policy.http === 'http2' || request.protocol === 'grpc';
}

/** Finds the connection pool of an endpoint: one per endpoint and TLS identity, kept with the endpoint itself. */
export class PoolTable {
  readonly #mesh: Mesh;
  readonly #credentials: Credentials | undefined;
  /** All that may hold a connection, those that are closing too. */
  readonly #open = new Set<Pool>();
  #destroyed: MeshError | undefined = undefined;

  constructor(mesh: Mesh, credentials?: Credentials) {
    this.#mesh = mesh;
    this.#credentials = credentials;
  }

  /** Who this workload is, for services of the mesh. */
  get metadata(): readonly [name: string, value: string] | undefined {
    return this.#mesh.metadata?.header;
  }

  get hops(): HopTokens | undefined {
    return this.#credentials?.hops;
  }

  now(): number {
    return this.#mesh.now();
  }

  /** Ends the calls on all pools, and those that come later. */
  async destroy(): Promise<void> {
    const error = (this.#destroyed ??= new MeshError('CLOSED', 'the mesh was closed and this call took longer than it was given'));
    await Promise.allSettled([...this.#open].map((pool) => pool.destroy(error)));
    this.#open.clear();
  }

  /** Throws CLOSED after `destroy`. */
  get(placement: Placement, request: HttpRequest, authority: string): PoolWire {
    if (this.#destroyed !== undefined) throw this.#destroyed;
    const plan = planConnection(this.#credentials, placement, request.scheme, authority);
    // Connections of their own, for calls that are not of gRPC stay on what the port says.
    const upgraded = placement.policy.http !== 'http2' && isHttp2(placement, request);
    return keptWire(placement, upgraded ? `${plan.key} h2` : plan.key, plan, this.#mesh, (settings) => {
      const tls = tlsOf(placement, plan, this.#mesh, this.#credentials);
      const pool = this.#create(placement, upgraded ? { ...placement.policy, http: 'http2' } : placement.policy, tls);
      this.#open.add(pool);
      return new PoolWire(placement.policy, settings, pool, tls?.servername ?? placement.endpoint.host, plan.identity, this.#open);
    });
  }

  #create({ endpoint, stats }: Placement, policy: ClusterPolicy, tls: TlsPlan | MutualPlan | undefined): Pool {
    const { connection } = policy;
    const host = endpoint.port === 0 ? 'localhost' : endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
    const http2 = policy.http === 'http2';
    return new undici.Pool(`${tls === undefined ? 'http' : 'https'}://${host}${endpoint.port === 0 ? '' : `:${endpoint.port}`}`, {
      connections: this.#mesh.settings.connectionsPerEndpoint,
      connect: connector(endpoint, policy, tls, { stats, clock: this.#mesh.clock }),
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

/** undici knows this option of its Pool and Agent (HTTP/2 without TLS and without asking first), its types do not yet. */
export function priorKnowledge(useH2c: boolean): object {
  return { useH2c };
}
