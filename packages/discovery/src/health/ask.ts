import type { Endpoint } from '@inmesh/core';
import type { Probe } from '@inmesh/policy';

/** What is dialled to ask an endpoint how it is: the endpoint's own host, or its socket. */
export type Dialled = { readonly host: string; readonly port: number } | { readonly path: string };

/** One question to an endpoint. Resolves if it is well, rejects with why not, or when `signal` aborts: then nobody waits any more. */
export type Ask<Kind extends Probe['ask']['kind'] = Probe['ask']['kind']> = (
  ask: Extract<Probe['ask'], { readonly kind: Kind }>,
  to: Dialled,
  signal: AbortSignal,
) => Promise<void>;

/** Who asks, by kind of probe. */
export type Asks = { readonly [Kind in Probe['ask']['kind']]: Ask<Kind> };

/** A port of its own may be asked; a Unix socket is all there is of its endpoint. */
export function dialledFor({ ask }: Probe, { host, port }: Endpoint): Dialled {
  return port === 0 ? { path: host } : { host, port: ask.port ?? port };
}
