import type { Channel, ChannelCredentials, ChannelInterface, ChannelOptions } from '@grpc/grpc-js';
import { grpcPortOf, type Mesh, MeshError, type Timer } from '@inmesh/core';
import { type ClientWiring, MeshCall } from './call.ts';
import { grpcJs } from './grpc-js.ts';
import type { Target } from './request.ts';
import { clientSettings } from './wires.ts';

type ChannelRef = ReturnType<ChannelInterface['getChannelzRef']>;

/** Counts calls for grpc-js's traces. */
let calls = 0;

/** What the channels of one mesh are made with. */
export type ChannelTools = Pick<ClientWiring, 'mesh' | 'wires' | 'replayBytes'>;

/**
 * A channel to a name of the mesh: each call finds its own way by the policy in force. It has no connection of its own; those belong to
 * the endpoints, and clients share them.
 */
export class MeshChannel implements ChannelInterface {
  readonly #mesh: Mesh;
  readonly #wiring: ClientWiring;
  readonly #name: Omit<Target, 'port'> & { readonly port: number | undefined };
  readonly #watchers = new Map<() => void, Timer | undefined>();
  #outside: Channel | undefined = undefined;
  #closed = false;

  /** `address`: `mesh:///ratings`, with a port or without. `credentials`: the program's own, for a host outside the mesh. */
  constructor(address: string, credentials: ChannelCredentials, options: ChannelOptions, { mesh, wires, replayBytes }: ChannelTools) {
    this.#mesh = mesh;
    this.#name = parseName(address);
    const settings = clientSettings(options, credentials);
    const outside = (): Channel => (this.#outside ??= wires.outside(this.#target(), credentials, options));
    this.#wiring = { mesh, wires, settings, replayBytes, outside };
  }

  createCall(
    method: string,
    deadline: Date | number,
    host: string | null | undefined,
    parentCall: Parameters<ChannelInterface['createCall']>[3],
    propagateFlags: number | null | undefined,
  ): MeshCall {
    this.#open();
    const { propagate } = grpcJs();
    const flags = propagateFlags ?? propagate.DEFAULTS;
    const parent = parentCall ?? undefined;
    return new MeshCall(this.#wiring, {
      target: typeof host === 'string' ? { ...this.#target(), ...parseName(host), port: this.#target().port } : this.#target(),
      path: method,
      deadline: Math.min(Number(deadline), (flags & propagate.DEADLINE) === 0 ? Infinity : Number(parent?.getDeadline() ?? Infinity)),
      parent: (flags & propagate.CANCELLATION) === 0 ? undefined : parent,
      number: (calls += 1),
    });
  }

  /** A port that is not written is the service's own: asked for anew each time, for policies change. */
  #target(): Target {
    const { authority, host, port } = this.#name;
    return { authority, host, port: port ?? grpcPortOf(this.#mesh.model, host) };
  }

  /** Closes the channel, not the connections, which are the mesh's. */
  close(): void {
    this.#closed = true;
    this.#outside?.close();
    for (const [changed, timer] of this.#watchers) {
      timer?.cancel();
      changed();
    }
    this.#watchers.clear();
  }

  /** grpc-js's own words for who comes too late. */
  #open(): void {
    if (this.#closed) throw new Error('Channel has been shut down');
  }

  getTarget(): string {
    return `mesh:///${this.#name.authority}`;
  }

  /** Always ready: whether somebody is there is known when a call asks. */
  getConnectivityState(): number {
    const { READY, SHUTDOWN } = grpcJs().connectivityState;
    return this.#closed ? SHUTDOWN : READY;
  }

  /** It never changes but by `close`. */
  watchConnectivityState(current: number, deadline: Date | number, callback: (error?: Error) => void): void {
    this.#open();
    const changed = (): void => callback();
    if (current !== grpcJs().connectivityState.READY) return process.nextTick(changed);
    const late = (): void => {
      this.#watchers.delete(changed);
      callback(new Error('Deadline passed without connectivity state change'));
    };
    const ms = Number(deadline) - this.#mesh.clock.wall();
    this.#watchers.set(changed, ms < Infinity ? this.#mesh.clock.after(Math.max(0, ms), late) : undefined);
  }

  getChannelzRef(): ChannelRef {
    // grpc-js's own word for a channel that channelz does not follow.
    return { kind: 'channel' as ChannelRef['kind'], id: -1, name: this.getTarget() };
  }
}

/** `dns:` is how grpc-js writes a target: it names a service as well, and where it is looked up is the mesh's choice. */
const NAME = /^(?:mesh:(?:\/\/\/?)?|dns:(?:\/\/\/)?)?((\[[0-9a-f:.]+\]|[^:/?#]+)(?::(\d{1,5}))?)$/i;

function parseName(address: string): { authority: string; host: string; port: number | undefined } {
  const [, authority, host, port] = NAME.exec(address) ?? [];
  if (authority === undefined || host === undefined)
    throw new MeshError('MISUSE', `"${address}" is no target of the mesh; write mesh:///SERVICE or mesh:///SERVICE:PORT`);
  return { authority, host: host.replace(/^\[|\]$/g, '').toLowerCase(), port: port === undefined ? undefined : Number(port) };
}
