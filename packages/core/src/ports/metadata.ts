import type { PeerMetadata } from '../peer.ts';

/** How workloads of the mesh tell each other who they are, for telemetry: what each sends with its calls, and how it is read. Nothing is proven by it. */
export interface MetadataExchange {
  /** Sent with every call to a service of the mesh. */
  readonly header: readonly [name: string, value: string];
  /** What a caller said under that name; undefined: nothing that makes sense. Equal texts yield one object. Never throws. */
  readonly read: (value: string) => PeerMetadata | undefined;
}
