import type { PeerRule, Service } from '@inmesh/policy';
import type { Clock } from '../clock.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { watchAll } from '../endpoint/merged.ts';
import type { Lease } from '../lease.ts';
import type { HealthChecks, HealthWatch } from '../ports/health.ts';
import type { Closeable, Resolution, Resolver, ServiceRef } from '../ports/resolver.ts';
import { obeyPeers } from './peers.ts';
import { same } from './same.ts';

/** What a feed needs of the mesh: resolvers, time and chance for them. */
export interface FeedTools {
  readonly resolvers: readonly Resolver[];
  readonly health?: HealthChecks | undefined;
  readonly clock: Clock;
  readonly random: () => number;
}

/** The feed of one service port, shared by all its subsets and found again by every snapshot. `lease` belongs to the whole mesh. */
export function leaseFeed(lease: Lease, service: Service, port: number, tools: FeedTools): EndpointFeed {
  return lease(
    `feed|${port}|${service.host}`,
    () => new EndpointFeed(service, port, tools),
    (feed) => feed.close(),
  );
}

/**
 * Where the endpoints of one service port come from. Nothing runs until the first subscriber; from then on it holds what
 * the resolver last said. A look-up that fails keeps the last list: old endpoints beat none.
 */
export class EndpointFeed {
  #service: Service;
  readonly #port: number;
  readonly #tools: FeedTools;
  readonly #listeners = new Set<() => void>();
  #resolution: Resolution = { state: 'pending' };
  #endpoints: readonly Endpoint[] | undefined = undefined;
  /** As the resolver told them, before policy and health were looked at. */
  #listed: readonly Endpoint[] = [];
  #peers: readonly PeerRule[] = [];
  #health: HealthWatch | undefined = undefined;
  readonly #probes = { success: 0, failure: 0 };
  #watch: Closeable | undefined = undefined;
  /** Counts watches, so that a late word of a closed one is not heard. */
  #era = 0;
  #started = false;

  constructor(service: Service, port: number, tools: FeedTools) {
    this.#service = service;
    this.#port = port;
    this.#tools = tools;
  }

  /** The resolver's latest word; `pending` before the first. */
  get resolution(): Resolution {
    return this.#resolution;
  }

  /** The list calls go by: the last one known, also while look-ups fail. undefined before the first, and if nobody knows the service. */
  get endpoints(): readonly Endpoint[] | undefined {
    return this.#endpoints;
  }

  /** What members that are asked how they are have answered; undefined where nobody is asked. */
  get probes(): { readonly success: number; readonly failure: number } | undefined {
    return this.#health === undefined ? undefined : this.#probes;
  }

  /** Hears of every change from now on. The first subscriber starts the resolver, which may answer before this returns. */
  subscribe(listener: () => void): Closeable {
    this.#listeners.add(listener);
    if (!this.#started) {
      this.#started = true;
      this.#begin();
    }
    return { close: () => void this.#listeners.delete(listener) };
  }

  /** The service as the newest policy has it. The old list serves until the new one is known. */
  use(service: Service): void {
    if (same(service, this.#service)) return;
    this.#service = service;
    if (this.#started) this.#begin();
  }

  /** Who takes no mutual TLS, as the newest policy has it: holds at once, also for endpoints known before. */
  obey(peers: readonly PeerRule[]): void {
    if (same(peers, this.#peers)) return;
    this.#peers = peers;
    this.#judgeAgain();
  }

  close(): void {
    this.#era += 1;
    this.#started = false;
    this.#watch?.close();
    this.#watch = undefined;
    this.#health?.close();
    this.#health = undefined;
    this.#listeners.clear();
  }

  #begin(): void {
    this.#era += 1;
    const era = this.#era;
    // Closed last: what the resolvers know and both of them follow is not forgotten in between, which they might not learn again now.
    const before = this.#watch;
    this.#watch = undefined;
    const { clock, random } = this.#tools;
    const ref: ServiceRef = { service: this.#service, port: this.#servicePort() };
    try {
      const resolvers = this.#tools.resolvers.filter((one) => one.handles(ref));
      if (resolvers.length === 0) {
        this.#hear({ state: 'absent' });
        return;
      }
      const hear = (resolution: Resolution): void => {
        if (era === this.#era) this.#hear(resolution);
      };
      const [only] = resolvers;
      const alone = resolvers.length === 1 && (only!.priority ?? 0) === 0;
      const watch = alone ? only!.watch(ref, hear, { clock, random }) : watchAll(resolvers, ref, hear, { clock, random });
      // A listener may have closed the feed, or changed its service, while the resolver gave its first answer.
      if (era === this.#era) this.#watch = watch;
      else watch.close();
    } catch (error) {
      // Resolvers are written by others; one that breaks is a failed look-up, not a broken mesh.
      if (era === this.#era) this.#hear({ state: 'failed', reason: error instanceof Error ? error.message : String(error) });
    } finally {
      before?.close();
    }
  }

  /** A port the service does not list is still a port that can be dialled (headless services, resolution none). */
  #servicePort(): ServiceRef['port'] {
    return this.#service.ports.find(({ number }) => number === this.#port) ?? { number: this.#port, name: '', protocol: 'UNSUPPORTED' };
  }

  #hear(resolution: Resolution): void {
    if (resolution.state === 'pending' && this.#resolution.state !== 'pending') return;
    this.#resolution = resolution;
    if (resolution.state === 'bound') this.#list(resolution.endpoints);
    else if (resolution.state === 'absent') {
      this.#endpoints = undefined;
      this.#health?.judge([]);
    }
    this.#tell();
  }

  #list(endpoints: readonly Endpoint[]): void {
    this.#listed = endpoints;
    if (endpoints.some(({ probe }) => probe !== undefined))
      this.#health ??= this.#tools.health?.follow(() => this.#judgeAgain(), { ...this.#tools, answered: (well) => this.#count(well) });
    const obedient = obeyPeers(endpoints, this.#peers);
    this.#endpoints = this.#health?.judge(obedient) ?? obedient;
  }

  #count(well: boolean): void {
    if (well) this.#probes.success += 1;
    else this.#probes.failure += 1;
  }

  #judgeAgain(): void {
    if (this.#endpoints === undefined) return;
    this.#list(this.#listed);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
