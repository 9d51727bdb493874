import * as v from 'valibot';
import { defaulted, optional, text } from '../../schema/fields.ts';
import { positiveDuration, whole } from '../../schema/scalars.ts';
import { nearest } from '../../schema/nearest.ts';
import type { Partly, Path, Report } from '../kind.ts';
import { RETRY_WORDS, retryPartFault } from './retry-on.ts';

/** Istio's HTTPRetry. */
export const retries = v.object({
  attempts: defaulted(whole(-2_147_483_648, 2_147_483_647), 0, 'Retries beyond the first try; 0: none.', { honoured: 'HGW' }),
  perTryTimeout: optional(positiveDuration, 'Time of each try, the first included.', { default: 'that of the route', honoured: 'HG' }),
  retryOn: text('Conditions of Envoy and status codes, joined by commas.', {
    default: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes',
    honoured: 'HGW',
  }),
  retryRemoteLocalities: optional(v.boolean(), 'Retries may go to localities of lower priority.', { default: 'false', honoured: 'HG' }),
  retryIgnorePreviousHosts: optional(v.boolean(), 'Retries avoid endpoints already tried.', { default: 'true', honoured: 'HG' }),
  backoff: optional(positiveDuration, 'Base of the random pause before a retry; it grows to ten times this.', {
    default: '25ms',
    honoured: 'HG',
  }),
});

export type Retries = v.InferOutput<typeof retries>;

/** Istio's validateHTTPRetry. */
export function checkRetries(policy: Partly<Retries> | undefined, path: Path, report: Report): void {
  if (policy === undefined) return;
  const { attempts, retryOn } = policy;
  if (attempts !== undefined && attempts < 0) report.error([...path, 'attempts'], `${attempts} attempts are negative`, 'write 0 for none');
  if (attempts === 0)
    for (const field of ['perTryTimeout', 'retryOn', 'retryRemoteLocalities'] as const)
      if (policy[field] !== undefined)
        report.conflict([...path, field], `attempts: 0 switches retries off and excludes ${field}`, `remove ${field}, or raise attempts`);
  for (const part of retryOn?.split(',') ?? []) {
    const fault = retryPartFault(part);
    if (fault === undefined) continue;
    const guess = nearest(part.trim(), RETRY_WORDS);
    report.error(
      [...path, 'retryOn'],
      fault,
      guess === undefined ? `the conditions are ${RETRY_WORDS.join(', ')}, and status codes` : `did you mean ${guess}?`,
    );
  }
}
