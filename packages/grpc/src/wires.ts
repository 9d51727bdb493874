import type { Channel, ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';
import type { Mesh, Placement } from '@inmesh/core';
import { counted } from './connections.ts';
import { type Credentials, type HopTokens, type KeptWire, keptWire, type MutualPlan, planConnection, tlsOf } from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { endpointCredentials } from './credentials.ts';
import { grpcJs } from './grpc-js.ts';
import type { Target } from './request.ts';

/** A connection (a channel of grpc-js with one address) and the calls on it. */
export class Lane {
  readonly channel: Channel;
  readonly #openedAt: number;
  #calls = 0;
  #begun = 0;
  /** No new call begins here; it closes after the last. */
  #leaving = false;

  constructor(channel: Channel, openedAt: number) {
    this.channel = channel;
    this.#openedAt = openedAt;
  }

  get calls(): number {
    return this.#calls;
  }

  /** Has it served what the policy lets a connection serve? */
  spent({ maxRequestsPerConnection, maxConnectionDurationMs }: ClusterPolicy['connection'], now: number): boolean {
    return (
      (maxRequestsPerConnection > 0 && this.#begun >= maxRequestsPerConnection) ||
      (maxConnectionDurationMs !== null && now - this.#openedAt >= maxConnectionDurationMs)
    );
  }

  begin(): void {
    this.#calls += 1;
    this.#begun += 1;
  }

  /** Once for each `begin`. */
  end(): void {
    this.#calls -= 1;
    if (this.#leaving && this.#calls === 0) this.channel.close();
  }

  /** Not at once: a channel that closes lets streams finish, but not calls that wait for it to connect. */
  leave(): void {
    this.#leaving = true;
    if (this.#calls === 0) this.channel.close();
  }
}

/** The connections to one endpoint that are made with the same settings. One does, unless the policy bounds its streams. */
export class ChannelWire implements KeptWire {
  policy: ClusterPolicy;
  identity: MutualPlan['identity'] | undefined;
  readonly settings: string;
  readonly #mesh: Mesh;
  readonly #open: () => Channel;
  #lanes: Lane[] = [];

  constructor(policy: ClusterPolicy, settings: string, identity: ChannelWire['identity'], mesh: Mesh, open: () => Channel) {
    this.policy = policy;
    this.settings = settings;
    this.identity = identity;
    this.#mesh = mesh;
    this.#open = open;
  }

  /** The connection for another call, which has begun on it by then. */
  begin(): Lane {
    const { connection, limits } = this.policy;
    const now = this.#mesh.now();
    let least: Lane | undefined;
    for (const lane of this.#lanes) {
      if (lane.spent(connection, now)) this.#retire(lane);
      else if (least === undefined || lane.calls < least.calls) least = lane;
    }
    const most = Math.min(this.#mesh.settings.connectionsPerEndpoint, limits.connections ?? Infinity);
    // At the bound calls share what there is, as Envoy's pool lets them wait: the other side's own limit queues them.
    if (least === undefined || (least.calls >= connection.maxConcurrentStreams && this.#lanes.length < most)) {
      this.#lanes.push((least = new Lane(this.#open(), now)));
    }
    least.begin();
    return least;
  }

  close(): void {
    for (const lane of this.#lanes) this.#retire(lane);
  }

  #retire(lane: Lane): void {
    // A new list: whoever goes through the old one goes on.
    this.#lanes = this.#lanes.filter((one) => one !== lane);
    lane.leave();
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
  /** What the program secures its client with; undefined where it leaves that to the policy. */
  readonly secured: ChannelCredentials | undefined;
  /** The key of connections of these settings that are secured as a plan's key says. Made once for each. */
  readonly keyOf: (plan: string) => string;
}

export function clientSettings(given: ChannelOptions, credentials: ChannelCredentials): ClientSettings {
  const secured = credentials._isSecure() ? credentials : undefined;
  const options = Object.fromEntries(
    Object.entries(given).filter(([name]) => name.startsWith('grpc') && !(name in OURS) && !NOT_THEIRS.has(name)),
  );
  const text = `${secured === undefined ? '' : numberOf(secured)} ${JSON.stringify(options)}`;
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
  return { options, secured, keyOf };
}

/** Credentials are one or another: they have no other name. */
const numbers = new WeakMap<ChannelCredentials, number>();
let latest = 0;

function numberOf(credentials: ChannelCredentials): number {
  let number = numbers.get(credentials);
  if (number === undefined) numbers.set(credentials, (number = latest += 1));
  return number;
}

const KEYS = 64;

const NOT_THEIRS: ReadonlySet<string> = new Set([
  'grpc.service_config',
  'grpc.default_authority',
  'grpc.ssl_target_name_override',
  'grpc.lb_policy_name',
]);

/** Finds the connections to an endpoint: by endpoint, TLS identity and settings of the client, kept with the endpoint itself. */
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
    // What the policy leaves in clear text a program may still want secured: it is, by its own credentials.
    const own = plan.identity === undefined && plan.tls === undefined ? client.secured : undefined;
    const key = client.keyOf(own === undefined ? plan.key : `own ${authority}`);
    return keptWire(placement, key, plan, this.#mesh, (settings) => {
      const { policy } = placement;
      const tls = tlsOf(placement, plan, this.#mesh, this.#credentials);
      const target = targetOf(placement);
      const options = { ...RECONNECT, ...idleOf(policy), ...client.options, ...OURS, ...(own === undefined ? {} : nameOf(authority)) };
      const { stats } = placement;
      const open = (): Channel => {
        const credentials = own ?? endpointCredentials(tls, policy.connection);
        return counted(new (grpcJs().Channel)(target, credentials, options), stats, this.#mesh.clock);
      };
      return new ChannelWire(policy, settings, plan.identity, this.#mesh, open);
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

/** The server is who the program calls, not the address that the mesh chose. */
function nameOf(authority: string): ChannelOptions {
  return { 'grpc.ssl_target_name_override': authority.replace(/:\d+$/, ''), 'grpc.default_authority': authority };
}

/** A DestinationRule's idleTimeout. */
function idleOf({ connection: { idleTimeoutMs } }: ClusterPolicy): ChannelOptions {
  return idleTimeoutMs === null || idleTimeoutMs <= 0 ? {} : { 'grpc.client_idle_timeout_ms': Math.max(1000, idleTimeoutMs) };
}
