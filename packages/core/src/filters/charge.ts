import { flagBit } from '../errors.ts';
import type { RouteObserver } from '../observer.ts';
import type { UpstreamStats } from '../upstream-stats.ts';

/** What ends without an attempt, and still because of the cluster: nobody there, a limit, time spent waiting for a connection. */
const UNPLACED = flagBit.UH | flagBit.UO | flagBit.UT;

/** Envoy's statistics of the cluster count how its calls end; not those that an injected fault kept from it. */
export function charging(stats: UpstreamStats, observer: RouteObserver): RouteObserver {
  return {
    ended: (call) => {
      const { status, attempts, flags } = call;
      if (status > 0 && (attempts > 0 || (flags & UNPLACED) !== 0)) stats.charge(status);
      observer.ended(call);
    },
    messages: (call, requests, responses) => observer.messages?.(call, requests, responses),
    opened: (connection) => observer.opened?.(connection),
    bytes: (connection, received, sent) => observer.bytes?.(connection, received, sent),
  };
}
