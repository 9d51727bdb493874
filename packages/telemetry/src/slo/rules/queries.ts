import type { DeclaredObjective } from '@inmesh/policy';
import { DEFAULT_BUCKETS } from '../../calls.ts';
import { GRPC_SERVER_ERRORS } from '../outcome.ts';

/** Selectors of Istio's metrics. */
export interface Selectors {
  readonly good: string;
  readonly total: string;
}

/**
 * What the callers of a service say (`reporter="source"`): a server cannot tell of calls that never reached it. Calls that were given up
 * by who made them are not counted; those that were never answered (response code 0) are bad.
 */
export function selectors(objective: DeclaredObjective): Selectors {
  const counted = `${callsTo(objective)},response_flags!="DC",grpc_response_status!="1"`;
  const answered = `response_code!~"5..|0",grpc_response_status!~"${GRPC_SERVER_ERRORS.join('|')}"`;
  if (objective.indicator.kind === 'availability')
    return { good: `istio_requests_total{${counted},${answered}}`, total: `istio_requests_total{${counted}}` };
  const duration = 'istio_request_duration_milliseconds';
  const le = boundOf(objective.indicator.thresholdMs);
  return { good: `${duration}_bucket{${counted},${answered},le="${le}"}`, total: `${duration}_count{${counted}}` };
}

export const callsTo = ({ service }: DeclaredObjective): string => `reporter="source",destination_service="${service}"`;

/** The bound of Istio's histogram a latency is judged by: the next lower one, so that no call is taken for better than it was. */
export const boundOf = (thresholdMs: number): number => DEFAULT_BUCKETS.findLast((bound) => bound <= thresholdMs) ?? DEFAULT_BUCKETS[0]!;

/** Where the rules say something else than the objective. */
export function remarks({ indicator }: DeclaredObjective): readonly string[] {
  if (indicator.kind === 'availability') return [];
  const bound = boundOf(indicator.thresholdMs);
  if (bound === indicator.thresholdMs) return [];
  return [`${indicator.thresholdMs}ms is no bound of Istio's histogram: calls within ${bound}ms are good here`];
}

/** `reviews answers 99.9 % of its calls, over 30d`. */
export function describe(objective: DeclaredObjective): string {
  const { indicator, service, objective: percent, windowMs } = objective;
  const promise = indicator.kind === 'availability' ? 'are answered without an error of the server' : `are answered within ${boundOf(indicator.thresholdMs)}ms`; // prettier-ignore
  return `${percent} % of the calls to ${service} ${promise}, over ${promDuration(windowMs)}`;
}

/** Labels or names need one word for an objective. */
export const idOf = ({ namespace, name }: DeclaredObjective): string => `${namespace}-${name}`;

const UNITS = [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000], ['ms', 1]] as const; // prettier-ignore

/** As Prometheus writes durations, in one unit: `30d`. */
export function promDuration(ms: number): string {
  const [unit, size] = UNITS.find(([, each]) => ms % each === 0)!;
  return `${ms / size}${unit}`;
}

/** Without the dust of binary fractions: 1 − 0.999. */
export const tidy = (value: number): number => Number(value.toPrecision(9));
