import type { Answer as Record_ } from 'dns-packet';
import type { Answer, Family } from './answer.ts';
import { isNone, lookupError } from './errors.ts';
import { ask, type AskOptions } from './exchange.ts';

/** Addresses of a host, of the families that are wanted. Rejects with ENOTFOUND or ENODATA where there are none. */
export async function addressesOf(host: string, family: Family, options: AskOptions): Promise<readonly Answer[]> {
  const of = (type: 'A' | 'AAAA'): Promise<readonly Answer[]> => recordsOf(host, type, options);
  const [first, second] = family.startsWith('V6') ? (['AAAA', 'A'] as const) : (['A', 'AAAA'] as const);
  if (family === 'ALL') return both(of, host);
  if (family.endsWith('ONLY')) return of(first);
  return of(first).catch((error: unknown) => {
    if (isNone(error)) return of(second);
    throw error;
  });
}

async function recordsOf(host: string, type: 'A' | 'AAAA', options: AskOptions): Promise<readonly Answer[]> {
  const { answers } = await ask(host, type, options);
  // Behind an alias (CNAME) its TTL counts as well.
  const ttlMs = Math.min(...answers.filter((record) => record.type === 'CNAME').map(ttlOf));
  const found = answers.flatMap((record) =>
    record.type === type ? [{ address: record.data, ttlMs: Math.min(ttlMs, ttlOf(record)) }] : [],
  );
  if (found.length === 0) throw lookupError('ENODATA', type === 'A' ? 'queryA' : 'queryAaaa', host);
  return found;
}

/** Both families at once; one may have nothing. A failure of either fails both, or half of the endpoints would vanish. */
async function both(of: (type: 'A' | 'AAAA') => Promise<readonly Answer[]>, host: string): Promise<readonly Answer[]> {
  const orNothing = (error: unknown): Answer[] => {
    if (isNone(error)) return [];
    throw error;
  };
  const found = (await Promise.all([of('A').catch(orNothing), of('AAAA').catch(orNothing)])).flat();
  if (found.length === 0) throw lookupError('ENODATA', 'query', host);
  return found;
}

/** Milliseconds a record may be used. */
export const ttlOf = (record: Record_): number => ('ttl' in record && record.ttl !== undefined ? record.ttl * 1000 : Infinity);
