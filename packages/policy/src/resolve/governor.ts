import type { Metadata } from '../document.ts';
import type { Route } from '../model.ts';

/** Rules that may govern a host: a VirtualService, or the Gateway API routes of one namespace for one service. */
export interface Governor {
  /** As messages name it. */
  readonly resource: string;
  /** Decides who wins among several. */
  readonly metadata: Pick<Metadata, 'createdAt' | 'name' | 'namespace'>;
  /** What it says about calls on a port; null: any port of a host nobody knows. No routes: nothing. */
  on(port: number | null): Governed;
}

export interface Governed {
  readonly routes: readonly Route[];
  /** Sentences for explain. */
  readonly notes: readonly string[];
}

export const NOTHING: Governed = { routes: [], notes: [] };

/** Works a port out once: rules with many hosts are asked for each of them. */
export function perPort(governed: (port: number | null) => Governed): (port: number | null) => Governed {
  const known = new Map<number | null, Governed>();
  return (port) => {
    let found = known.get(port);
    if (found === undefined) known.set(port, (found = governed(port)));
    return found;
  };
}
