import type { ChannelCredentials, ClientOptions } from '@grpc/grpc-js';
import type { Mesh } from '@inmesh/core';
import type { Credentials } from '@inmesh/net';
import { MeshChannel } from './channel.ts';
import { grpcJs } from './grpc-js.ts';
import { WireTable } from './wires.ts';

/** The client side of gRPC: `new Ratings('mesh:///ratings', mesh.grpc.credentials(), mesh.grpc.options())`. */
export interface GrpcClients {
  /**
   * Whether and how a connection of the mesh is secured is the policy's to say; this satisfies the constructor, and a host outside the mesh
   * is spoken to in clear text. grpc-js's own (`credentials.createSsl()`) hold there, and wherever the policy says nothing of TLS.
   */
  readonly credentials: () => ChannelCredentials;
  /** Options for the constructor of a client. `given`: grpc-js's own, for message sizes, keepalive, compression, interceptors. */
  readonly options: (given?: ClientOptions) => ClientOptions;
}

export interface GrpcClientOptions {
  /** Request bytes of a call kept for another try. Default 64 KiB; beyond it there is no retry. */
  readonly replayBytes?: number | undefined;
  /** The workload's certificate, for mutual TLS. Default: none. */
  readonly credentials?: Credentials | undefined;
}

const DEFAULT_REPLAY_BYTES = 64 * 1024;

export function createGrpcClients(mesh: Mesh, { replayBytes = DEFAULT_REPLAY_BYTES, credentials }: GrpcClientOptions = {}): GrpcClients {
  const wires = new WireTable(mesh, credentials);
  return {
    credentials: () => grpcJs().ChannelCredentials.createInsecure(),
    options: (given = {}) => ({
      ...given,
      channelFactoryOverride: (address, own, options) => new MeshChannel(address, own, options, { mesh, wires, replayBytes }),
    }),
  };
}
