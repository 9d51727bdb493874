import type { Channel, ChannelInterface, ChannelOptions } from '@grpc/grpc-js';
import { grpcPortOf, type Mesh, MeshError } from '@inmesh/core';
import { type ClientWiring, MeshCall } from './call.ts';
import { grpcJs } from './grpc-js.ts';
import type { Target } from './request.ts';
import { clientSettings, type WireTable } from './wires.ts';

type ChannelRef = ReturnType<ChannelInterface['getChannelzRef']>;

/** Counts calls for grpc-js's traces. */
let calls = 0;

/**
 * A channel to a name of the mesh: each call finds its own way by the policy in force. It has no connection of its own; those belong to
 * the endpoints, and clients share them.
 */
export class MeshChannel implements ChannelInterface {
  readonly #mesh: Mesh;
  readonly #wiring: ClientWiring;
  readonly #name: Omit<Target, 'port'> & { readonly port: number | undefined };
  #outside: Channel | undefined = undefined;
  #closed = false;

  /** `address`: `mesh:///ratings`, with a port or without. */
  constructor(address: string, options: ChannelOptions, mesh: Mesh, wires: WireTable, replayBytes: number) {
    this.#mesh = mesh;
    this.#name = parseName(address);
    const settings = clientSettings(options);
    const outside = (): Channel => (this.#outside ??= wires.outside(this.#target(), settings));
    this.#wiring = { mesh, wires, settings, replayBytes, outside };
  }

  createCall(
    method: string,
    deadline: Date | number,
    host: string | null | undefined,
    parentCall: Parameters<ChannelInterface['createCall']>[3],
    propagateFlags: number | null | undefined,
  ): MeshCall {
    if (this.#closed) throw new Error('Channel has been closed');
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
  }

  getTarget(): string {
    return `mesh:///${this.#name.authority}`;
  }

  /** Always ready: whether somebody is there is known when a call asks. */
  getConnectivityState(): number {
    const { READY, SHUTDOWN } = grpcJs().connectivityState;
    return this.#closed ? SHUTDOWN : READY;
  }

  watchConnectivityState(_current: number, deadline: Date | number, callback: (error?: Error) => void): void {
    // It never changes but by `close`.
    const ms = Number(deadline) - this.#mesh.clock.wall();
    if (ms < Infinity)
      this.#mesh.clock.after(Math.max(0, ms), () => callback(new Error('Deadline passed without connectivity state change')));
  }

  getChannelzRef(): ChannelRef {
    // grpc-js's own word for a channel that channelz does not follow.
    return { kind: 'channel' as ChannelRef['kind'], id: -1, name: this.getTarget() };
  }
}

const NAME = /^(?:mesh:(?:\/\/\/?)?)?((\[[0-9a-f:.]+\]|[^:/?#]+)(?::(\d{1,5}))?)$/i;

function parseName(address: string): { authority: string; host: string; port: number | undefined } {
  const [, authority, host, port] = NAME.exec(address) ?? [];
  if (authority === undefined || host === undefined)
    throw new MeshError('MISUSE', `"${address}" is no target of the mesh; write mesh:///SERVICE or mesh:///SERVICE:PORT`);
  return { authority, host: host.replace(/^\[|\]$/g, '').toLowerCase(), port: port === undefined ? undefined : Number(port) };
}
