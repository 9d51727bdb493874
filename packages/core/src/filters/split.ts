import type { Destination } from '@inmesh/policy';
import { MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import type { FilterKind } from '../kind.ts';
import type { RouteObserver } from '../observer.ts';

/** One way a call can go: its share, what handles it from here on, and who counts it. */
export interface Way {
  /** ≥ 1; the share is weight / total. */
  readonly weight: number;
  readonly handler: Handler;
  readonly observer: RouteObserver;
}

/**
 * Sends each call to one of several destinations, drawn by weight. Drawn once and above retry: a retry stays in the
 * cluster its call was drawn to, as in Envoy. The end of a stack: what comes after it is each destination's own.
 */
export const split: FilterKind<readonly Way[]> = {
  name: 'split',
  outbound: (ways, { random }) => {
    const [only] = ways;
    if (only === undefined) throw new MeshError('POLICY_INVALID', 'a route forwards to no destination');
    if (ways.length === 1) return () => go(only);
    const ends: number[] = [];
    let total = 0;
    for (const { weight } of ways) ends.push((total += weight));
    const last = ways.length - 1;
    return () => (exchange, transport) => {
      const drawn = random() * total;
      let at = 0;
      while (at < last && drawn >= ends[at]!) at += 1;
      const way = ways[at]!;
      exchange.life.observer = way.observer;
      return way.handler(exchange, transport);
    };
  },
};

function go({ handler, observer }: Way): Handler {
  return (exchange, transport) => {
    exchange.life.observer = observer;
    return handler(exchange, transport);
  };
}

/**
 * In place of a destination that does not exist: only the share drawn to it fails. 503 with flag NC for a VirtualService,
 * 500 for an HTTPRoute, whose spec asks for that.
 */
export function missing(destination: Pick<Destination, 'cluster'> & { readonly missing: NonNullable<Destination['missing']> }): Handler {
  const { status, why } = destination.missing;
  const message = `${destination.cluster} does not exist: ${why}`;
  return () => {
    throw status === 503 ? new MeshError('NO_CLUSTER', message) : new MeshError('ROUTE_INVALID', message, { status });
  };
}
