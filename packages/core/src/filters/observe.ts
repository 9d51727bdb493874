import type { FilterKind } from '../kind.ts';
import type { RouteObserver } from '../observer.ts';

export interface Observe {
  readonly observer: RouteObserver;
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
};
