import type { Channel, ChannelOptions } from '@grpc/grpc-js';
import type { Mesh, Placement, Wire } from '@inmesh/core';
import {
  type Credentials,
  type HopTokens,
  type MutualPlan,
  noIdentity,
  planTls,
  secureNaming,
  servernameOf,
  wantsMutual,
} from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { endpointCredentials } from './credentials.ts';
import { grpcJs } from './grpc-js.ts';
import type { Target } from './request.ts';

type Identity = MutualPlan['identity'];

/** A channel of grpc-js to one endpoint, with the settings it was made for. */
export class ChannelWire implements Wire {
  readonly policy: ClusterPolicy;
  readonly settings: string;
  readonly channel: Channel;
  /** The certificate its connections are made with; undefined where it is not the workload's. */
  readonly identity: Identity | undefined;

  constructor(policy: ClusterPolicy, settings: string, channel: Channel, identity: Identity | undefined) {
    this.policy = policy;
    this.settings = settings;
    this.channel = channel;
    this.identity = identity;
  }

  /** Calls that are on it finish. */
  close(): void {
    this.channel.close();
  }
}

/** Channels of one endpoint that are kept at a time: clients may have settings of their own without end. */
const WIRES = 64;

/** A new connection is tried soon and often: who is called is the mesh's choice, so a channel that rests costs calls to others only. */
const RECONNECT = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1000 };

/** The mesh does these itself, or they make no sense for a channel to one endpoint. */
const OURS: ChannelOptions = {
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
};

/** Options of grpc-js that a program gives its client and that hold for each connection, as a key: sizes, keepalive, compression. */
export interface ClientSettings {
  readonly options: ChannelOptions;
  readonly key: string;
}

export function clientSettings(given: ChannelOptions): ClientSettings {
  const options = Object.fromEntries(
    Object.entries(given).filter(([name]) => name.startsWith('grpc') && !(name in OURS) && !NOT_THEIRS.has(name)),
  );
  return { options, key: JSON.stringify(options) };
}

const NOT_THEIRS: ReadonlySet<string> = new Set([
  'grpc.service_config',
  'grpc.default_authority',
  'grpc.ssl_target_name_override',
  'grpc.lb_policy_name',
]);

/** Finds the channel to an endpoint: one per endpoint, TLS identity and settings of the client, kept with the endpoint itself. */
export class WireTable {
  readonly #mesh: Mesh;
  readonly #credentials: Credentials | undefined;

  constructor(mesh: Mesh, credentials: Credentials | undefined) {
    this.#mesh = mesh;
    this.#credentials = credentials;
  }

  get hops(): HopTokens | undefined {
    return this.#credentials?.hops;
  }

  get(placement: Placement, authority: string, settings: ClientSettings): ChannelWire {
    const { policy, wires, endpoint } = placement;
    const identity = this.#identity(placement);
    const tls = identity === undefined ? planTls(policy, 'http', authority) : undefined;
    const key = `grpc ${identity !== undefined ? 'mutual' : (tls?.key ?? '')} ${settings.key}`;
    const wire = wires.get(key) as ChannelWire | undefined;
    if (wire !== undefined && wire.policy === policy && wire.identity === identity) return wire;
    const depends = JSON.stringify([
      policy.connection,
      policy.tls,
      identity?.version,
      endpoint.serviceAccount,
      this.#mesh.settings.trustDomain,
    ]);
    if (wire !== undefined && wire.settings === depends) {
      // The document changed, these settings did not.
      const renewed = new ChannelWire(policy, depends, wire.channel, identity);
      wires.set(key, renewed);
      return renewed;
    }
    // After a rotation too: calls under way finish on the connection of the old certificate, no new one begins there.
    wire?.close();
    if (wire === undefined && wires.size >= WIRES) {
      const [oldest, left] = [...wires][0]!;
      wires.delete(oldest);
      left.close();
    }
    const plan = identity === undefined ? tls : this.#mutual(placement, identity);
    const channel = new (grpcJs().Channel)(targetOf(placement), endpointCredentials(plan), {
      ...RECONNECT,
      ...idleOf(policy),
      ...settings.options,
      ...OURS,
      'grpc.default_authority': authority,
    });
    const made = new ChannelWire(policy, depends, channel, identity);
    wires.set(key, made);
    return made;
  }

  /** For a host outside the mesh: as without a mesh. */
  outside({ host, port, authority }: Target, settings: ClientSettings): Channel {
    const { Channel: Plain, ChannelCredentials } = grpcJs();
    return new Plain(`dns:${host}:${port}`, ChannelCredentials.createInsecure(), {
      ...settings.options,
      'grpc.default_authority': authority,
    });
  }

  #identity({ policy, endpoint }: Placement): Identity | undefined {
    if (!wantsMutual(policy, endpoint, 'http')) return undefined;
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
}

function targetOf({ endpoint: { host, port } }: Placement): string {
  if (port === 0) return `unix:${host}`;
  if (host.includes(':')) return `ipv6:[${host}]:${port}`;
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(host)) return `ipv4:${host}:${port}`;
  return `dns:${host}:${port}`;
}

/** A DestinationRule's idleTimeout. */
function idleOf({ connection: { idleTimeoutMs } }: ClusterPolicy): ChannelOptions {
  return idleTimeoutMs === null || idleTimeoutMs <= 0 ? {} : { 'grpc.client_idle_timeout_ms': Math.max(1000, idleTimeoutMs) };
}
