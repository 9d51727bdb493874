import { describe, expect, it } from 'vitest';
import { flagBit } from '../errors.ts';
import type { EndedCall } from '../observer.ts';
import { testEndedCall } from '../testing/index.ts';
import { UpstreamStats } from '../upstream-stats.ts';
import { charging } from './charge.ts';

/** What a cluster is charged for these calls. */
function charged(...calls: Partial<EndedCall>[]): [status: number, count: number][] {
  const stats = new UpstreamStats();
  const told: EndedCall[] = [];
  const observer = charging(stats, { ended: (call) => void told.push(call) });
  for (const call of calls) observer.ended(testEndedCall({ attempts: 1, ...call }));
  expect(told).toHaveLength(calls.length);
  return stats.codes.map(({ status, count }) => [status, count]);
}

describe('a cluster is charged', () => {
  it('with how its calls end, also where a limit or an empty list let none of them be tried', () => {
    expect(
      charged({ status: 200 }, { status: 404 }, { status: 200 }, { status: 503, attempts: 0, flags: flagBit.UO }, { status: 503, attempts: 0, flags: flagBit.UH }),
    ).toEqual([[200, 2], [404, 1], [503, 2]]); // prettier-ignore
  });

  it('not with what an injected fault kept from it, nor with callers who left', () => {
    expect(charged({ status: 500, attempts: 0, flags: flagBit.FI }, { status: 0, flags: flagBit.DC })).toEqual([]);
  });
});
