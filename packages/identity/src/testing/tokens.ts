import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JwtRule } from '@inmesh/policy';
import { ALGORITHMS } from '../jws/algorithms.ts';
import { NOW } from './pki.ts';

/** Seconds at which the tests play. */
export const SECONDS = NOW / 1000;
export const ISSUER = 'https://issuer.test';

export interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const KEYS = {
  rsa,
  otherRsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
} as const satisfies Record<string, Pair>;

/** A public key as issuers publish it. */
export const jwk = ({ publicKey }: Pair, fields: object = {}): object => ({ ...publicKey.export({ format: 'jwk' }), ...fields });

export const jwks = (...keys: readonly unknown[]): string => JSON.stringify({ keys });

export const base64url = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** What every good token says. */
export const CLAIMS = { iss: ISSUER, sub: 'alice', aud: 'shop', iat: SECONDS, exp: SECONDS + 3600 };

export interface TokenSpec {
  /** JSON text, or a value. */
  readonly header?: unknown;
  readonly payload?: unknown;
  /** Signs: default the RSA key. A string: the secret of an HMAC. */
  readonly key?: KeyObject | string | Buffer;
  /** How: default as the header says. */
  readonly alg?: string;
}

/** A token that is right in every respect but those the test changes. */
export function testToken({
  header = { alg: 'RS256', kid: 'k1' },
  payload = CLAIMS,
  key = KEYS.rsa.privateKey,
  alg,
}: TokenSpec = {}): string {
  const signed = `${base64url(header)}.${base64url(payload)}`;
  return `${signed}.${signature(signed, alg ?? algOf(header), key)}`;
}

const algOf = (header: unknown): string =>
  typeof header === 'object' && header !== null && 'alg' in header ? String((header as { alg: unknown }).alg) : 'RS256';

function signature(text: string, name: string, key: KeyObject | string | Buffer): string {
  const algorithm = ALGORITHMS.get(name) ?? ALGORITHMS.get('RS256')!;
  if (typeof key === 'string' || Buffer.isBuffer(key))
    return createHmac(algorithm.hash ?? 'sha256', key)
      .update(text)
      .digest('base64url');
  const padding = algorithm.pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: algorithm.hashBytes } : {};
  return sign(algorithm.hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363', ...padding }).toString('base64url');
}

/** A rule that accepts the good token by an inline key. */
export function testRule(fields: Partial<JwtRule> = {}): JwtRule {
  return {
    resource: 'RequestAuthentication default/jwt',
    issuer: ISSUER,
    audiences: [],
    keys: { kind: 'inline', jwks: jwks(jwk(KEYS.rsa, { kid: 'k1' })) },
    locations: [{ in: 'header', name: 'authorization', prefix: 'Bearer ' }],
    outputPayloadToHeader: null,
    outputClaimToHeaders: [],
    forwardOriginalToken: false,
    timeoutMs: 5000,
    spaceDelimitedClaims: [],
    ...fields,
  };
}

/** An issuer's server: counts what it is asked, answers as it is told. */
export class KeyServer {
  readonly asked: string[] = [];
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => response.end(jwks());
  #server: Server | undefined;

  async listen(): Promise<string> {
    const server = (this.#server = createServer((request, response) => {
      this.asked.push(request.url!);
      this.answer(request, response);
    }));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  serve(...keys: readonly unknown[]): void {
    this.answer = (_, response) => response.end(jwks(...keys));
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }
}
