import { addressOf, type Clock, type Closeable, type Endpoint, type Resolution, type Resolver, type ServiceRef } from '@inmesh/core';
import { follow } from './blocking.ts';
import type { ConsulClient } from './client.ts';
import { Damping } from '../damping.ts';
import { type Instance, readInstances } from './instances.ts';
import { type ConsulName, consulName, type NamesOptions } from './names.ts';
import type { Seats } from './seats.ts';
import type { Troubles } from './trouble.ts';

interface Tools {
  readonly clock: Clock;
  readonly random: () => number;
}

/** What the parts of one registry share. */
export interface ConsulParts {
  readonly client: ConsulClient;
  readonly seats: Seats;
  readonly troubles: Troubles;
}

/** Endpoints of services by their health in Consul. Ports and subsets of one service share one watch. */
export function consulResolver(parts: ConsulParts, options: NamesOptions & { readonly priority?: number }): Resolver {
  const watches = new Map<string, ServiceWatch>();
  return {
    name: parts.client.settings.name,
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    handles: (ref) => {
      const name = consulName(ref, options);
      const { datacenter } = parts.client.settings;
      // A service without endpoints of its own (NONE) goes where the caller says.
      if (name === undefined || ref.service.resolution === 'none') return false;
      // A registry of one datacenter leaves others to theirs.
      return name.datacenter === '' || datacenter === '' || name.datacenter === datacenter;
    },
    watch: (ref, onChange, tools) => {
      const name = consulName(ref, options)!;
      const key = `${name.datacenter}/${name.service}`;
      let watch = watches.get(key);
      if (watch === undefined) watches.set(key, (watch = new ServiceWatch(name, parts, tools)));
      const shared = watch;
      const tell = teller(ref, onChange);
      const listening = shared.listen((state) => tell(state));
      return {
        close: () => {
          listening.close();
          if (shared.idle && watches.get(key) === shared) watches.delete(key);
        },
      };
    },
  };
}

/** What is known of a service. After a failure the instances before it stay. */
interface State {
  /** Undefined before the first answer. */
  readonly instances: readonly Instance[] | undefined;
  readonly failure: string | undefined;
}

/** One service of Consul, followed for as long as anyone listens. */
class ServiceWatch {
  readonly #name: ConsulName;
  readonly #parts: ConsulParts;
  readonly #tools: Tools;
  readonly #listeners = new Set<(state: State) => void>();
  #state: State = { instances: undefined, failure: undefined };
  #following: Closeable | undefined;

  constructor(name: ConsulName, parts: ConsulParts, tools: Tools) {
    this.#name = name;
    this.#parts = parts;
    this.#tools = tools;
  }

  get idle(): boolean {
    return this.#listeners.size === 0;
  }

  /** Tells what is known at once. The first listener starts it, the last one stops it. */
  listen(onState: (state: State) => void): Closeable {
    const listener = (state: State): void => onState(state);
    this.#listeners.add(listener);
    this.#following ??= this.#begin();
    listener(this.#state);
    return {
      close: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size > 0) return;
        this.#following?.close();
        this.#following = undefined;
      },
    };
  }

  #begin(): Closeable {
    const { client, seats, troubles } = this.#parts;
    const { service, datacenter } = this.#name;
    const key = `service ${datacenter}/${service}`;
    const damping = new Damping<Instance>({
      clock: this.#tools.clock,
      keyOf: (instance) => instance.key,
      onOver: () => this.#become({ instances: damping.current(), failure: this.#state.failure }),
    });
    const fail = (reason: string): void => {
      troubles.set(key, reason);
      damping.hold();
      this.#become({ instances: this.#state.instances, failure: reason });
    };
    const following = follow(
      {
        ask: async (since) => {
          const answer = await client.health(service, datacenter === '' ? client.settings.datacenter : datacenter, since);
          if (answer.filtered && Array.isArray(answer.body) && answer.body.length === 0)
            throw new Error(`the token may not see service "${service}" (it needs service:read and node:read)`);
          return answer;
        },
        read: readInstances,
        onAnswer: (instances, { doubtUntil }) => {
          troubles.clear(key);
          this.#become({ instances: damping.list(instances, { doubtUntil }), failure: undefined });
        },
        onFailure: fail,
      },
      { ...this.#tools, seats, waitMs: client.settings.waitMs },
    );
    return {
      close: () => {
        troubles.clear(key);
        damping.close();
        following.close();
      },
    };
  }

  #become(state: State): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}

/** Tells a list when it differs, a failure when it is a new one, and the list again when the failures are over. */
function teller(ref: ServiceRef, onChange: (resolution: Resolution) => void): (state: State) => void {
  let list: string | undefined;
  let reason: string | undefined;
  return ({ instances, failure }) => {
    const recovered = failure === undefined && reason !== undefined;
    const news = failure !== reason;
    reason = failure;
    if (failure !== undefined) {
      if (news) onChange({ state: 'failed', reason: failure });
      return;
    }
    if (instances === undefined) return;
    const endpoints = endpointsOf(instances, ref);
    const next = JSON.stringify(endpoints);
    if (next === list && !recovered) return;
    list = next;
    onChange(instances.length === 0 ? { state: 'absent' } : { state: 'bound', endpoints });
  };
}

/** Of the first port of a service the instance's own; of others what the instance says by name. Sorted, so that the same set is the same list. */
function endpointsOf(instances: readonly Instance[], { service, port }: ServiceRef): readonly Endpoint[] {
  const own = service.ports.length === 0 || service.ports[0]!.number === port.number;
  const found = new Map<string, Endpoint>();
  for (const { key: _, ports, ...instance } of instances) {
    const dial = ports[port.name] ?? (own ? instance.port : undefined);
    if (dial === undefined || dial === 0) continue;
    const address = addressOf(instance.host, dial);
    if (!found.has(address)) found.set(address, { ...instance, address, port: dial });
  }
  return [...found.values()].sort((a, b) => (a.address < b.address ? -1 : 1));
}
