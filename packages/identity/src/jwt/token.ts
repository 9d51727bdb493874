import type { Claims } from '@inmesh/core';
import { type Algorithm, ALGORITHMS } from '../jws/algorithms.ts';
import { fromBase64url, splitCompact } from '../jws/compact.ts';
import { type JsonLimits, type JsonObject, parseJsonObject } from '../jws/json.ts';

/** A token as it is written, before anything of it is believed. */
export interface Token {
  readonly algorithm: Algorithm;
  /** Which key is said to have signed it; '' = it does not say. */
  readonly kid: string;
  /** '' = it has none. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Seconds since 1970. */
  readonly notBefore: number | undefined;
  readonly expires: number | undefined;
  /** The payload as base64url. */
  readonly payload: string;
  readonly claims: Claims;
}

/** Longest token that is looked at. */
export const LONGEST_TOKEN = 8 * 1024;

const LIMITS: JsonLimits = { depth: 32, members: 512 };

/** Tokens that say themselves that they give no access: proofs of possession, log-outs, security events (RFC 8725, 3.11). */
const OTHER_PURPOSES: ReadonlySet<string> = new Set(['dpop+jwt', 'logout+jwt', 'secevent+jwt', 'jwk-set+jwt']);

/** Why text is no token, in the words of jwt_verify_lib (src/status.cc) where it has any. */
export const Malformed = {
  form: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  long: `Jwt is longer than ${LONGEST_TOKEN} characters`,
  headerBase64: 'Jwt header is an invalid Base64url encoded',
  headerJson: 'Jwt header is an invalid JSON',
  noAlgorithm: 'Jwt header [alg] field is required and must be a string',
  algorithm: 'Jwt header [alg] is not supported',
  kid: 'Jwt header [kid] field is not a string',
  critical: 'Jwt header [crit] names extensions that are not supported',
  unencoded: 'Jwt header [b64] is not supported',
  type: 'Jwt header [typ] is not that of an access token',
  nested: 'Jwt header [cty] says that it holds another token, which is not supported',
  payloadBase64: 'Jwt payload is an invalid Base64url encoded',
  payloadJson: 'Jwt payload is an invalid JSON',
  audience: 'Jwt payload [aud] field is not a string or string list',
  signature: 'Jwt signature is an invalid Base64url encoded',
} as const;

/** Reads a token, or says why it is none. Stricter than any library that may follow; proves nothing. Never throws. */
export function parseToken(text: string): Token | string {
  if (text.length > LONGEST_TOKEN) return Malformed.long;
  const parts = splitCompact(text);
  if (parts === undefined) return Malformed.form;
  const headerBytes = fromBase64url(parts[0]);
  if (headerBytes === undefined) return Malformed.headerBase64;
  const header = parseJsonObject(headerBytes, LIMITS);
  if (header === undefined) return Malformed.headerJson;
  const algorithm = algorithmOf(header);
  if (typeof algorithm === 'string') return algorithm;
  const payloadBytes = fromBase64url(parts[1]);
  if (payloadBytes === undefined) return Malformed.payloadBase64;
  const claims = parseJsonObject(payloadBytes, LIMITS);
  if (claims === undefined) return Malformed.payloadJson;
  const wrong = wrongClaim(claims);
  if (wrong !== undefined) return wrong;
  if (fromBase64url(parts[2]) === undefined) return Malformed.signature;
  return {
    algorithm,
    kid: (header['kid'] as string | undefined) ?? '',
    issuer: (claims['iss'] as string | undefined) ?? '',
    audiences: audiencesOf(claims)!,
    notBefore: claims['nbf'] as number | undefined,
    expires: claims['exp'] as number | undefined,
    payload: parts[1],
    claims,
  };
}

/** The algorithm, if this is the header of a token we can judge. Keys and addresses of keys in it (jwk, jku, x5u, x5c) are not even looked at. */
function algorithmOf(header: JsonObject): Algorithm | string {
  const { alg, kid, typ, cty } = header;
  if (typeof alg !== 'string') return Malformed.noAlgorithm;
  const algorithm = ALGORITHMS.get(alg);
  if (algorithm === undefined) return Malformed.algorithm;
  if (kid !== undefined && typeof kid !== 'string') return Malformed.kid;
  // RFC 7515, 4.1.11: we understand none of them. RFC 7797: an unencoded payload would be another text than the one we read.
  if (header['crit'] !== undefined) return Malformed.critical;
  if (header['b64'] !== undefined && header['b64'] !== true) return Malformed.unencoded;
  if (typ !== undefined && (typeof typ !== 'string' || OTHER_PURPOSES.has(mediaType(typ)))) return Malformed.type;
  if (cty !== undefined && (typeof cty !== 'string' || mediaType(cty) === 'jwt')) return Malformed.nested;
  return algorithm;
}

const mediaType = (text: string): string => text.toLowerCase().replace(/^application\//, '');

function wrongClaim(claims: JsonObject): string | undefined {
  for (const name of ['iss', 'sub', 'jti']) {
    if (claims[name] !== undefined && typeof claims[name] !== 'string') return `Jwt payload [${name}] field is not a string`;
  }
  for (const name of ['iat', 'nbf', 'exp']) {
    const value = claims[name];
    if (value === undefined) continue;
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) return `Jwt payload [${name}] field is not an integer`;
    if (value < 0) return `Jwt payload [${name}] field must be a positive integer`;
  }
  return audiencesOf(claims) === undefined ? Malformed.audience : undefined;
}

function audiencesOf({ aud }: JsonObject): readonly string[] | undefined {
  if (aud === undefined) return [];
  if (typeof aud === 'string') return [aud];
  return Array.isArray(aud) && aud.every((one) => typeof one === 'string') ? aud : undefined;
}
