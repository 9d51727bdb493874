import type { Mesh } from '@inmesh/core';
import type { Server } from 'node:http';
import type { Http2SecureServer, Http2Server } from 'node:http2';
import type { Credentials } from '../credentials.ts';

/** Servers of Node that the mesh can stand in front of. */
export type AnyServer = Server | Http2Server | Http2SecureServer;

/** What the inbound side of one process shares. */
export interface InboundWiring {
  readonly mesh: Mesh;
  readonly credentials: Credentials | undefined;
}

export type Emit = (event: string, ...args: unknown[]) => boolean;
