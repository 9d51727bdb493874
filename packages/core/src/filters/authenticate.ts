import type { HeaderOp, JwtRule } from '@inmesh/policy';
import type { Call, Exchange, Reply, Transport } from '../call.ts';
import { MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import { claimAt } from '../inbound/conditions.ts';
import { EditedCall } from '../inbound/edited-call.ts';
import { findTokens, type FoundToken, tokenPlaces, withoutParameter } from '../inbound/tokens.ts';
import type { FilterKind } from '../kind.ts';
import type { TokenOutcome, TokenVerifier } from '../ports/tokens.ts';
import { isPreflight } from './cors.ts';

export interface Authenticate {
  readonly rules: readonly JwtRule[];
  readonly verifier: TokenVerifier;
}

/**
 * Verifies every token a call carries (RequestAuthentication; Envoy's jwt_authn as Istio configures it). One that is bad
 * refuses the call, none at all lets it pass without a request identity. Headers that carry what was verified are
 * taken from what came in first: a client must not forge them.
 */
export const authenticate: FilterKind<Authenticate> = {
  name: 'authenticate',
  inbound: ({ rules, verifier }) => {
    const places = tokenPlaces(rules);
    const forged: readonly HeaderOp[] = [...new Set(rules.flatMap(outputsOf))].map((name) => ({ op: 'remove', name }));
    return (next) => (exchange, transport) => {
      const { call } = exchange;
      const tokens = isPreflight(call) ? [] : findTokens(places, call);
      if ('ambiguous' in tokens)
        throw refused(call, 401, `Jwt is not in the form of Header.Payload.Signature: ${tokens.ambiguous} stands twice`);
      if (tokens.length === 0) {
        // Nothing to strip is the rule, and costs nothing.
        const strip = forged.filter(({ name }) => call.headerValues(name).length > 0);
        return strip.length === 0 ? next(exchange, transport) : next(edit(exchange, strip), transport);
      }
      const outcomes = tokens.map(({ token, rules: accepting }) => verifier.verify(token, accepting));
      // A known token is judged at once; only one that must be looked into is waited for.
      if (!outcomes.some((outcome) => outcome instanceof Promise))
        return proceed(outcomes as TokenOutcome[], tokens, exchange, transport, next);
      return Promise.all(outcomes.map((outcome) => Promise.resolve(outcome))).then((settled) =>
        proceed(settled, tokens, exchange, transport, next),
      );
    };

    function proceed<T>(
      outcomes: readonly TokenOutcome[],
      tokens: readonly FoundToken[],
      exchange: Exchange,
      transport: Transport<T>,
      next: Handler,
    ): Promise<Reply<T>> {
      const { call } = exchange;
      const ops: HeaderOp[] = [...forged];
      let { query } = call;
      for (const [index, outcome] of outcomes.entries()) {
        if (!outcome.ok) throw refused(call, outcome.status, outcome.reason);
        const { rule, claims, original, payload } = outcome;
        const { location } = tokens[index]!;
        call.peer!.claims ??= claims;
        if (!rule.forwardOriginalToken) {
          if (location.in === 'header') ops.push({ op: 'remove', name: location.name });
          if (location.in === 'query') query = withoutParameter(query, location.name);
        }
        if (rule.outputPayloadToHeader !== null) ops.push({ op: 'set', name: rule.outputPayloadToHeader, value: payload });
        for (const { header, claim } of rule.outputClaimToHeaders) {
          const value = headerValue(claimAt(original, claim));
          if (value !== undefined) ops.push({ op: 'set', name: header, value });
        }
      }
      if (ops.length === 0 && query === call.query) return next(exchange, transport);
      return next(edit(exchange, ops, query), transport);
    }
  },
};

function outputsOf({ outputPayloadToHeader, outputClaimToHeaders }: JwtRule): string[] {
  return [...(outputPayloadToHeader === null ? [] : [outputPayloadToHeader]), ...outputClaimToHeaders.map(({ header }) => header)];
}

/** Text, whole numbers and truth as they are, anything else as base64 of its JSON (Envoy). What no header may hold is left out. */
function headerValue(claim: unknown): string | undefined {
  if (claim === undefined || claim === null) return undefined;
  if (typeof claim === 'object') return btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claim))));
  const text = String(claim as string | number | boolean);
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text) ? text : undefined;
}

function edit(exchange: Exchange, ops: readonly HeaderOp[], query?: string): Exchange {
  const { call, edits } = exchange;
  return {
    ...exchange,
    call: new EditedCall(call, ops),
    edits: { ...edits, request: [...edits.request, ...ops], ...(query === undefined || query === call.query ? {} : { query }) },
  };
}

/** Longest URI in a challenge (Envoy jwt_authn filter.cc). */
const REALM = 256;

function refused({ scheme, authority, path, query }: Call, status: 401 | 403, reason: string): MeshError {
  const uri = `${scheme}://${authority}${path}${query === '' ? '' : `?${query}`}`
    .slice(0, REALM)
    .replaceAll(/[^\x21\x23-\x5b\x5d-\x7e]/g, '');
  const headers: [string, string][] = status === 401 ? [['www-authenticate', `Bearer realm="${uri}", error="invalid_token"`]] : [];
  return new MeshError(status === 401 ? 'UNAUTHENTICATED' : 'PERMISSION_DENIED', reason, { answer: { body: reason, headers } });
}
