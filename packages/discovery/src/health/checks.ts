import type { Endpoint, HealthChecks, HealthWatch } from '@inmesh/core';
import { type Ask, type Asks, dialledFor } from './ask.ts';
import { realAsks } from './asks.ts';
import { Check, Turns } from './check.ts';

export interface HealthChecksOptions {
  /** Questions under way at a time, of the whole process; the others wait. Default 16. */
  readonly concurrency?: number;
  /** Who asks, by kind of probe. Default: real ones. */
  readonly asks?: Asks;
}

/**
 * Asks endpoints how they are (WorkloadGroup.probe), those of services in use, one and the same of several services once. Until
 * `failureThreshold` questions in a row have failed an endpoint is as its registry says: a process that has just started must be able
 * to call. What comes of it when all fail is for the panic threshold of the cluster to say.
 */
export function healthChecks({ concurrency = 16, asks = realAsks }: HealthChecksOptions = {}): HealthChecks {
  const checks = new Map<string, Check>();
  const turns = new Turns(concurrency);
  return {
    follow: (onChange, { clock, random, answered }): HealthWatch => {
      let mine = new Map<string, Check>();
      const leave = (key: string, check: Check): void => {
        check.leave(onChange);
        if (check.idle && checks.get(key) === check) checks.delete(key);
      };
      return {
        judge: (endpoints) => {
          const now = new Map<string, Check>();
          let changed = false;
          const judged = endpoints.map((endpoint): Endpoint => {
            const { probe } = endpoint;
            if (probe === undefined) return endpoint;
            const to = dialledFor(probe, endpoint);
            const key = JSON.stringify([to, probe]);
            let check = checks.get(key);
            if (check === undefined) {
              const ask = (signal: AbortSignal): Promise<void> => (asks[probe.ask.kind] as Ask)(probe.ask, to, signal);
              // Spread over a period from the start: whoever has a thousand endpoints does not ask all of them in the first moment.
              const firstMs = probe.initialDelayMs + probe.periodMs * random();
              checks.set(key, (check = new Check({ pace: probe, ask, healthy: true, firstMs, clock, random, turns })));
            }
            now.set(key, check);
            // What a registry says against an endpoint is not outweighed by an answer of it.
            if (check.healthy || endpoint.health !== 'healthy') return endpoint;
            changed = true;
            return { ...endpoint, health: 'unhealthy' };
          });
          for (const [key, check] of now) if (!mine.has(key)) check.join(onChange, answered);
          for (const [key, check] of mine) if (!now.has(key)) leave(key, check);
          mine = now;
          return changed ? judged : endpoints;
        },
        close: () => {
          for (const [key, check] of mine) leave(key, check);
          mine = new Map();
        },
      };
    },
  };
}
