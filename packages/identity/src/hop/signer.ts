import { createPrivateKey, type KeyObject, randomUUID, sign } from 'node:crypto';
import type { Clock, Identity } from '@inmesh/core';
import { BoundedMap } from '../bounded-map.ts';
import type { Algorithm } from '../jws/algorithms.ts';
import { pemBlocks } from '../verify/pem.ts';
import { audienceOf, HOP_TYPE, hopAlgorithm, LIFETIME, signing } from './token.ts';

/** A token for a service, to be sent as HOP_HEADER; undefined: this process can prove nothing at the moment. */
export type HopTokenSigner = (audience: string) => string | undefined;

/** Seconds a token is used for before the next: what is left of its life is for its way. */
const USED_FOR = LIFETIME / 2;
/** Services whose tokens are kept. */
const MOST = 1024;

interface Pen {
  readonly version: string;
  readonly expiresAt: number;
  readonly key: KeyObject;
  readonly algorithm: Algorithm;
  /** The header of every token, as base64url. */
  readonly header: string;
}

/** Signs with the identity in use, one token per service every half minute: most calls are given one that is there. */
export function hopTokenSigner(currentIdentity: () => Identity | undefined, clock: Clock): HopTokenSigner {
  const tokens = new BoundedMap<{ readonly token: string; readonly until: number }>(MOST);
  let pen: Pen | undefined;
  return (authority) => {
    const identity = currentIdentity();
    if (identity === undefined) return undefined;
    if (pen?.version !== identity.version) {
      tokens.clear();
      pen = penOf(identity);
    }
    const now = Math.floor(clock.wall() / 1000);
    if (pen === undefined || pen.expiresAt <= now) return undefined;
    const audience = audienceOf(authority);
    const known = tokens.get(audience);
    // Nor is one kept that a clock set back would have issued in the future.
    if (known !== undefined && now < known.until && known.until - now <= USED_FOR) return known.token;
    const token = write(pen, { aud: audience, iat: now, exp: Math.min(now + LIFETIME, pen.expiresAt), jti: randomUUID() });
    tokens.set(audience, { token, until: Math.min(now + USED_FOR, pen.expiresAt) });
    return token;
  };
}

function penOf({ version, certificate, privateKey, expiresAt }: Identity): Pen | undefined {
  const chain = pemBlocks(certificate, 'CERTIFICATE');
  let key: KeyObject;
  try {
    key = createPrivateKey(privateKey);
  } catch {
    return undefined;
  }
  const algorithm = hopAlgorithm(key);
  if (algorithm === undefined || typeof chain === 'string') return undefined;
  const header = { alg: algorithm.name, typ: HOP_TYPE, x5c: chain.map((der) => Buffer.from(der).toString('base64')) };
  return { version, expiresAt: Math.floor(expiresAt / 1000), key, algorithm, header: base64url(header) };
}

function write({ key, algorithm, header }: Pen, payload: object): string {
  const signed = `${header}.${base64url(payload)}`;
  return `${signed}.${sign(algorithm.hash, Buffer.from(signed), { key, ...signing(algorithm) }).toString('base64url')}`;
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
