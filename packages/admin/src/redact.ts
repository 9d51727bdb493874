/** What stands in place of a secret. */
const REDACTED = '[redacted]';

const SECRET_HEADERS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key', 'x-auth-token']); // prettier-ignore
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
/** Members of a JWK that its owner keeps (RFC 7518 §6.2.2, §6.3.2, §6.4.1). */
const PRIVATE_JWK = /"(d|p|q|dp|dq|qi|k)"(\s*:\s*)"[^"]*"/g;
const SECRET_QUERY = /([?&][^=&#]*(?:token|secret|passw|api_?key|signature|code|session|auth)[^=&#]*=)[^&#]*/gi;

/**
 * A copy of plain data in which nobody finds a secret: private keys, values of headers that carry credentials, private members of
 * JWKS. A policy should hold none of them, and sometimes does.
 */
export function redacted(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(redacted);
  if (value instanceof Map) return new Map([...(value as Map<unknown, unknown>)].map(([key, item]) => [key, redacted(item)]));
  if (value instanceof Set) return new Set([...(value as Set<unknown>)].map(redacted));
  const { name } = value as { readonly name?: unknown };
  const secret = typeof name === 'string' && SECRET_HEADERS.has(name.toLowerCase());
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      typeof item === 'string' && ((secret && key === 'value') || SECRET_HEADERS.has(key.toLowerCase())) ? REDACTED : redacted(item),
    ]),
  );
}

function redactText(text: string): string {
  if (PRIVATE_KEY.test(text)) return REDACTED;
  return text.includes('"kty"') ? text.replaceAll(PRIVATE_JWK, `"$1"$2"${REDACTED}"`) : text;
}

/** A path without the values of parameters that look like credentials. */
export const redactPath = (path: string): string => (path.includes('?') ? path.replaceAll(SECRET_QUERY, `$1${REDACTED}`) : path);
