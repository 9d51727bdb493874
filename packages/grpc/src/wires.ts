import type { Channel, ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';
import type { Mesh, Placement } from '@inmesh/core';
import { type Credentials, type HopTokens, type KeptWire, keptWire, type MutualPlan, planConnection, tlsOf } from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { endpointCredentials } from './credentials.ts';
import { grpcJs } from './grpc-js.ts';
import type { Target } from './request.ts';

/** A channel of grpc-js to one endpoint, with the settings it was made for. */
export class ChannelWire implements KeptWire {
  policy: ClusterPolicy;
  identity: MutualPlan['identity'] | undefined;
  readonly settings: string;
  readonly channel: Channel;

  constructor(policy: ClusterPolicy, settings: string, channel: Channel, identity: ChannelWire['identity']) {
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

/** A new connection is tried soon and often: who is called is the mesh's choice, so a channel that rests costs calls to others only. */
const RECONNECT = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1000 };

/** The mesh does these itself, or they make no sense for a channel to one endpoint. */
const OURS: ChannelOptions = {
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
};

/** Options of grpc-js that a program gives its client and that hold for each connection: sizes, keepalive, compression. */
export interface ClientSettings {
  readonly options: ChannelOptions;
  /** The key of connections of these settings that are secured as a plan's key says. Made once for each. */
  readonly keyOf: (plan: string) => string;
}

export function clientSettings(given: ChannelOptions): ClientSettings {
  const options = Object.fromEntries(
    Object.entries(given).filter(([name]) => name.startsWith('grpc') && !(name in OURS) && !NOT_THEIRS.has(name)),
  );
  const text = JSON.stringify(options);
  const keys = new Map<string, string>();
  const keyOf = (plan: string): string => {
    let key = keys.get(plan);
    if (key === undefined) {
      // Under a wildcard host plans have no end.
      if (keys.size >= KEYS) keys.clear();
      keys.set(plan, (key = `grpc ${plan} ${text}`));
    }
    return key;
  };
  return { options, keyOf };
}

const KEYS = 64;

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

  get(placement: Placement, authority: string, client: ClientSettings): ChannelWire {
    const plan = planConnection(this.#credentials, placement, 'http', authority);
    return keptWire(placement, client.keyOf(plan.key), plan, this.#mesh, (settings) => {
      const { policy } = placement;
      const credentials = endpointCredentials(tlsOf(placement, plan, this.#mesh, this.#credentials));
      const channel = new (grpcJs().Channel)(targetOf(placement), credentials, {
        ...RECONNECT,
        ...idleOf(policy),
        ...client.options,
        ...OURS,
      });
      return new ChannelWire(policy, settings, channel, plan.identity);
    });
  }

  /** For a host outside the mesh: as without a mesh, with all that the program gave its client. */
  outside({ host, port, authority }: Target, credentials: ChannelCredentials, options: ChannelOptions): Channel {
    return new (grpcJs().Channel)(`dns:${host}:${port}`, credentials, { ...options, 'grpc.default_authority': authority });
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
