import type { FilterKind } from '../kind.ts';
import type { RouteObserver } from '../observer.ts';
import type { Peer } from '../peer.ts';

export interface Observe {
  readonly observer: RouteObserver;
  /** Inbound: counts by who calls. */
  readonly observerOf?: (peer: Peer) => RouteObserver;
}

/** Counts the call under one route and destination. First in the stack, so that refusals further down are counted too. */
export const observe: FilterKind<Observe> = {
  name: 'observe',
  outbound:
    ({ observer }) =>
    (next) =>
    (exchange, transport) => {
      exchange.life.observer = observer;
      return next(exchange, transport);
    },
  inbound:
    ({ observer, observerOf }) =>
    (next) =>
    (exchange, transport) => {
      const { peer } = exchange.call;
      exchange.life.observer = peer === undefined || observerOf === undefined ? observer : observerOf(peer);
      return next(exchange, transport);
    },
};
