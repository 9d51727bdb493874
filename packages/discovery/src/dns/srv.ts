import type { Answer as Record_ } from 'dns-packet';
import { isNone, lookupError } from './errors.ts';
import { ask, type AskOptions } from './exchange.ts';
import { ttlOf } from './addresses.ts';
import type { Answer, Family } from './answer.ts';

export interface SrvTools extends AskOptions {
  readonly family: Family;
  /** Addresses of a target the answer brought none of. */
  readonly addressesOf: (host: string) => Promise<readonly Answer[]>;
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** So many times the share of a target of weight 0 has the one of weight 1 (RFC 2782: "a very small chance"). */
const ABOVE_ZERO = 100;

/**
 * Who offers a service (RFC 2782): each address of each target is an answer with port, weight and priority. Addresses come from the
 * additional section where it has them, else they are looked up. A target that has none is left out; one that cannot be looked up fails
 * the whole, or the others would draw its load. Rejects with ENODATA where nobody offers it, which a lone target `.` says as well.
 */
export async function lookupSrv(name: string, { family, addressesOf, ...options }: SrvTools): Promise<readonly Answer[]> {
  const { answers, additionals } = await ask(name, 'SRV', options);
  const targets = targetsOf(answers);
  const ttlMs = Math.min(...answers.map(ttlOf));
  const hosts = [...new Set(targets.map(({ host }) => host))];
  const addresses = new Map(
    await Promise.all(
      hosts.map(async (host): Promise<readonly [string, readonly Answer[]]> => {
        const brought = broughtFor(host, additionals, family);
        return [host, brought.length > 0 ? brought : await addressesOf(host).catch(noneOnly)];
      }),
    ),
  );
  const found = targets.flatMap(({ host, port, priority, weight }) =>
    addresses
      .get(host)!
      .map((answer): Answer => ({ address: answer.address, ttlMs: Math.min(ttlMs, answer.ttlMs ?? Infinity), port, priority, weight })),
  );
  if (found.length === 0) throw lookupError('ENODATA', 'querySrv', name);
  return found;
}

/** By priority, weights ≥ 1; an address named twice is met at its better priority first. */
function targetsOf(answers: readonly Record_[]): Target[] {
  const records = answers.flatMap((record) => {
    if (record.type !== 'SRV' || record.data.target === '.' || record.data.target === '') return [];
    const { target, port, priority = 0, weight = 0 } = record.data;
    return [{ host: target.toLowerCase(), port, priority, weight }];
  });
  // Weights count among targets of one priority.
  const zeros = new Set(records.filter(({ weight }) => weight === 0).map(({ priority }) => priority));
  return records
    .map((record) => ({ ...record, weight: record.weight === 0 ? 1 : record.weight * (zeros.has(record.priority) ? ABOVE_ZERO : 1) }))
    .toSorted((a, b) => a.priority - b.priority);
}

/** Addresses in the additional section, if they are of the family that is wanted first: of others there may be more. */
function broughtFor(host: string, additionals: readonly Record_[], family: Family): Answer[] {
  const of = (type: 'A' | 'AAAA'): Answer[] =>
    additionals.flatMap((record) =>
      record.type === type && record.name.toLowerCase() === host ? [{ address: record.data, ttlMs: ttlOf(record) }] : [],
    );
  if (family === 'ALL') {
    const [four, six] = [of('A'), of('AAAA')];
    return four.length > 0 && six.length > 0 ? [...four, ...six] : [];
  }
  return of(family.startsWith('V6') ? 'AAAA' : 'A');
}

function noneOnly(error: unknown): readonly Answer[] {
  if (isNone(error)) return [];
  throw error;
}
