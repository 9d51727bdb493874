/** The compact serialization of a JWS (RFC 7515, 7.1), read without any leniency. */

/** Bytes of a part in canonical base64url; undefined: it is empty, or could be written another way. Node's decoder passes over what it does not know. */
export function fromBase64url(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return part !== '' && bytes.toString('base64url') === part ? bytes : undefined;
}

/** Header, payload and signature as they are written; undefined: there are not exactly three. */
export function splitCompact(token: string): readonly [header: string, payload: string, signature: string] | undefined {
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  if (first < 0 || second < 0 || token.includes('.', second + 1)) return undefined;
  return [token.slice(0, first), token.slice(first + 1, second), token.slice(second + 1)];
}
