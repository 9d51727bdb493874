import { type Identity, type Mesh, MeshError, type Placement, type Wire } from '@inmesh/core';
import {
  type Credentials,
  type HopTokens,
  type MutualPlan,
  noIdentity,
  planTls,
  secureNaming,
  servernameOf,
  type TlsPlan,
  wantsMutual,
} from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { connector } from './connect.ts';
import type { HttpRequest } from './request.ts';
import { Pool } from './undici.ts';

/** A pool with the settings it was made for, so that a changed policy gets a new one. */
export class PoolWire implements Wire {
  readonly policy: ClusterPolicy;
  readonly settings: string;
  readonly pool: Pool;
  /**
   * The same for all requests of a pool: undici closes connections when it changes, and would take it from the Host header
   * of each request. Without TLS it has no meaning, but sparing undici the look at the header is worth most of a µs.
   */
  readonly servername: string;
  /** The certificate its connections were made with; undefined where it is not the workload's. */
  readonly identity: Identity | undefined;
  readonly #open: Set<Pool>;

  constructor(policy: ClusterPolicy, settings: string, pool: Pool, servername: string, identity: Identity | undefined, open: Set<Pool>) {
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

/** Names under which one endpoint is kept connected by TLS: a wildcard host would have no end of them. */
const WIRES = 64;

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
    const { policy, wires } = placement;
    const identity = this.#identity(placement, request.scheme);
    const tls = identity === undefined ? planTls(policy, request.scheme, authority) : undefined;
    const key = identity !== undefined ? 'mutual' : tls === undefined ? 'http' : tls.key;
    const wire = wires.get(key) as PoolWire | undefined;
    if (wire !== undefined && wire.policy === policy && wire.identity === identity) return wire;
    const settings = this.#settings(placement, identity);
    if (wire !== undefined && wire.settings === settings) {
      // The document changed, these settings did not: remember the new one so that the next call asks no further.
      const renewed = new PoolWire(policy, settings, wire.pool, wire.servername, identity, this.#open);
      wires.set(key, renewed);
      return renewed;
    }
    // After a rotation too: calls under way finish on the connections of the old certificate, no new one begins there.
    wire?.close();
    if (wire === undefined && wires.size >= WIRES) {
      // A Map keeps the order of insertion: the oldest makes room. Calls on it finish.
      const [oldest, left] = [...wires][0]!;
      wires.delete(oldest);
      left.close();
    }
    const plan = identity === undefined ? tls : this.#mutual(placement, identity);
    const pool = this.#create(placement, plan);
    this.#open.add(pool);
    const made = new PoolWire(policy, settings, pool, plan?.servername ?? placement.endpoint.host, identity, this.#open);
    wires.set(key, made);
    return made;
  }

  /** The workload's certificate, where this connection is to be made with it. */
  #identity({ policy, endpoint }: Placement, scheme: string): Identity | undefined {
    if (!wantsMutual(policy, endpoint, scheme)) return undefined;
    const identity = this.#credentials?.identity();
    if (identity === undefined && policy.tls.mode === 'ISTIO_MUTUAL') throw noIdentity();
    return identity;
  }

  #mutual({ policy, endpoint }: Placement, identity: Identity): MutualPlan {
    return {
      identity,
      verifier: this.#credentials!.verifier,
      clock: this.#mesh.clock,
      servername: servernameOf(policy),
      refuses: secureNaming(policy, endpoint, this.#mesh.settings),
    };
  }

  /** What a pool depends on. Equal text, same pool. */
  #settings({ policy, endpoint }: Placement, identity: Identity | undefined): string {
    const { connectionsPerEndpoint, trustDomain, trustDomainAliases } = this.#mesh.settings;
    const proven =
      identity === undefined ? [] : [identity.version, trustDomain, trustDomainAliases, endpoint.namespace, endpoint.serviceAccount];
    return JSON.stringify([policy.connection, policy.tls, policy.http, connectionsPerEndpoint, ...proven]);
  }

  #create({ endpoint, policy }: Placement, tls: TlsPlan | MutualPlan | undefined): Pool {
    const { connection } = policy;
    const host = endpoint.port === 0 ? 'localhost' : endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
    const http2 = policy.http === 'http2';
    return new Pool(`${tls === undefined ? 'http' : 'https'}://${host}${endpoint.port === 0 ? '' : `:${endpoint.port}`}`, {
      connections: this.#mesh.settings.connectionsPerEndpoint,
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

/** undici knows this option of its Pool (HTTP/2 without TLS and without asking first), its types do not yet. */
function priorKnowledge(useH2c: boolean): object {
  return { useH2c };
}
