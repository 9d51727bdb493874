import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** Who vouches for the visitors of the shop. */
export const ISSUER = 'https://login.shop.example';

const trusted = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** The keys tokens are verified with, as RequestAuthentication takes them. */
export const jwks = (): string =>
  JSON.stringify({ keys: [{ ...trusted.publicKey.export({ format: 'jwk' }), kid: 'shop', alg: 'ES256', use: 'sig' }] });

/** A token of the issuer's. */
export const goodToken = (): string => token(trusted.privateKey);

/** The same claims, signed by somebody else. */
export const forgedToken = (): string => token(stranger.privateKey);

function token(key: KeyObject): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: ISSUER, sub: 'jason', exp: Math.floor(Date.now() / 1000) + 300 };
  const content = `${part({ alg: 'ES256', kid: 'shop' })}.${part(claims)}`;
  return `${content}.${sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
