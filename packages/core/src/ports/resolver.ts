import type { Service, ServicePort } from '@inmesh/policy';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Clock } from '../clock.ts';

/** What a look-up can say (Finagle's Addr). A failed look-up keeps the last list. */
export type Resolution =
  | { readonly state: 'pending' }
  /** The complete list, every time. */
  | { readonly state: 'bound'; readonly endpoints: readonly Endpoint[] }
  /** Nobody knows this service. */
  | { readonly state: 'absent' }
  | { readonly state: 'failed'; readonly reason: string };

export interface ServiceRef {
  readonly service: Service;
  readonly port: ServicePort;
}

export interface Closeable {
  close(): void;
}

/** Where endpoints come from. All that handle a service are asked, and their lists are one (`endpoint/merged.ts`). `watch` starts at a cluster's first call and pushes complete lists until closed; it never throws. */
export interface Resolver {
  readonly name: string;
  /** Its endpoints take calls when those of lower numbers are not healthy enough. Default 0. */
  readonly priority?: number;
  /** Does it speak for this service? */
  handles(ref: ServiceRef): boolean;
  watch(
    ref: ServiceRef,
    onChange: (resolution: Resolution) => void,
    tools: { readonly clock: Clock; readonly random: () => number },
  ): Closeable;
}
