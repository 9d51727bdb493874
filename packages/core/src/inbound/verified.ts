import type { HeaderOp, JwtRule } from '@inmesh/policy';
import type { Call } from '../call.ts';
import type { Claims } from '../peer.ts';
import type { TokenOutcome, TokenVerifier } from '../ports/tokens.ts';
import { claimAt } from './conditions.ts';
import { type FoundToken, withoutParameter } from './tokens.ts';

/** What becomes of a call once its tokens were looked at. */
export type Verified =
  | {
      readonly ok: true;
      /** Of the first token; undefined without one. */
      readonly claims: Claims | undefined;
      readonly ops: readonly HeaderOp[];
      /** Without the tokens that were in it. */
      readonly query: string;
    }
  | { readonly ok: false; readonly status: 401 | 403; readonly reason: string };

/** Headers that carry what was verified are taken from what came in first: a client must not forge them. */
export function forgeable(rules: readonly JwtRule[]): readonly HeaderOp[] {
  return [...new Set(rules.flatMap(outputsOf))].map((name) => ({ op: 'remove', name }));
}

const outputsOf = ({ outputPayloadToHeader, outputClaimToHeaders }: JwtRule): string[] => [
  ...(outputPayloadToHeader === null ? [] : [outputPayloadToHeader]),
  ...outputClaimToHeaders.map(({ header }) => header),
];

/** One bad token refuses the call; good ones leave it, unless their rule says otherwise, and what they say is put into headers. */
export function afterTokens(
  call: Call,
  forged: readonly HeaderOp[],
  tokens: readonly FoundToken[],
  outcomes: readonly TokenOutcome[],
): Verified {
  const taken = [...forged];
  const given: HeaderOp[] = [];
  let claims: Claims | undefined;
  let { query } = call;
  for (let index = 0; index < outcomes.length; index += 1) {
    const outcome = outcomes[index]!;
    if (!outcome.ok) return outcome;
    const { rule, original, payload } = outcome;
    const { location } = tokens[index]!;
    claims ??= outcome.claims;
    if (!rule.forwardOriginalToken) {
      if (location.in === 'header') taken.push({ op: 'remove', name: location.name });
      if (location.in === 'query') query = withoutParameter(query, location.name);
    }
    if (rule.outputPayloadToHeader !== null) given.push({ op: 'set', name: rule.outputPayloadToHeader, value: payload });
    for (const { header, claim } of rule.outputClaimToHeaders) {
      const value = headerValue(claimAt(original, claim));
      if (value !== undefined) given.push({ op: 'set', name: header, value });
    }
  }
  // What one token puts there, taking away another must not remove.
  return { ok: true, claims, ops: given.length === 0 ? taken : [...taken, ...given], query };
}

/** Where a policy demands that tokens are verified and nobody can: none passes. */
export const NOBODY_VERIFIES: TokenVerifier = {
  verify: () => ({ ok: false, status: 401, reason: 'Jwt cannot be verified: this mesh was made without a verifier of tokens' }),
  close: () => {},
};

/** Text, whole numbers and truth as they are, anything else as base64 of its JSON (Envoy). What no header may hold is left out. */
function headerValue(claim: unknown): string | undefined {
  if (claim === undefined || claim === null) return undefined;
  if (typeof claim === 'object') return btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claim))));
  const text = String(claim as string | number | boolean);
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text) ? text : undefined;
}
