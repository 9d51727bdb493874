/** Codes of look-ups, as node:dns names them; ETRUNCATED is ours. */
export type LookupCode =
  'ENOTFOUND' | 'ENODATA' | 'ESERVFAIL' | 'EREFUSED' | 'ENOTIMP' | 'EBADRESP' | 'ETIMEOUT' | 'ECONNREFUSED' | 'ECANCELLED' | 'ETRUNCATED';

export interface LookupError extends Error {
  readonly code: LookupCode;
}

/** `querySrv ESERVFAIL _http._tcp.reviews.internal`, as node:dns would say it. */
export function lookupError(code: LookupCode, what: string, name: string): LookupError {
  return Object.assign(new Error(`${what} ${code} ${name}`), { code });
}

/** Somebody who must know says that there is no such name (NXDOMAIN), or no such record of it: other than that nobody could say. */
export function isNone(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code === 'ENOTFOUND' || code === 'ENODATA';
}
