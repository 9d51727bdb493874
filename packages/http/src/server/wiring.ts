import type { Mesh } from '@inmesh/core';
import type { Credentials } from '@inmesh/net';
import type { Server } from 'node:http';
import type { Http2SecureServer, Http2Server } from 'node:http2';

/** Servers of Node that the mesh can stand in front of. */
export type AnyServer = Server | Http2Server | Http2SecureServer;

/** What the inbound side of one process shares. */
export interface InboundWiring {
  readonly mesh: Mesh;
  readonly credentials: Credentials | undefined;
}

export type Emit = (event: string, ...args: unknown[]) => boolean;
