import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** Who may talk to the registry; '' if he may, else why not. */
export type Access = (request: IncomingMessage) => string;

/**
 * With tokens: who shows one of them, compared in constant time. Without any the registry is on loopback, and open to whatever runs on
 * the machine but not to pages in its browser: a name that was made to point here (DNS rebinding) is refused.
 */
export function accessBy(tokens: readonly string[]): Access {
  if (tokens.length === 0)
    return ({ headers: { host = '' } }) =>
      isLocalName(host) ? '' : `"${host}" is no name of this registry: it is open on this machine only`;
  const known = tokens.map(hash);
  return ({ headers: { authorization = '' } }) => {
    const shown = /^Bearer +([^\s]+) *$/i.exec(authorization)?.[1];
    const shownHash = hash(shown ?? '');
    // All are compared, so that the time tells nothing of which one.
    const matches = known.filter((one) => timingSafeEqual(one, shownHash)).length > 0;
    return shown !== undefined && matches ? '' : 'a token is needed: Authorization: Bearer TOKEN';
  };
}

const hash = (token: string): Buffer => createHash('sha256').update(token).digest();

function isLocalName(host: string): boolean {
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0;
}
