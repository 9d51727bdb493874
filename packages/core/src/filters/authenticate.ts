import type { HeaderOp, JwtRule } from '@inmesh/policy';
import type { Call } from '../call.ts';
import type { Exchange, Reply, Transport } from '../exchange.ts';
import { MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import { EditedCall } from '../inbound/edited-call.ts';
import type { Ledger } from '../inbound/ledger.ts';
import { findTokens, type FoundToken, tokenPlaces } from '../inbound/tokens.ts';
import { afterTokens, forgeable } from '../inbound/verified.ts';
import type { FilterKind } from '../kind.ts';
import type { TokenOutcome, TokenVerifier } from '../ports/tokens.ts';
import { isPreflight } from './cors.ts';

export interface Authenticate {
  readonly rules: readonly JwtRule[];
  readonly verifier: TokenVerifier;
  readonly ledger: Ledger | undefined;
}

/**
 * Verifies every token a call carries (RequestAuthentication; Envoy's jwt_authn as Istio configures it). One that is bad
 * refuses the call, none at all lets it pass without a request identity.
 */
export const authenticate: FilterKind<Authenticate> = {
  name: 'authenticate',
  inbound: ({ rules, verifier, ledger }) => {
    const places = tokenPlaces(rules);
    const forged = forgeable(rules);
    return (next) => (exchange, transport) => {
      const { call } = exchange;
      const tokens = isPreflight(call) ? NONE : findTokens(places, call);
      if ('ambiguous' in tokens) throw refused(call, 401, tokens.ambiguous);
      if (tokens.length === 0) {
        // Nothing to strip is the rule, and costs nothing.
        const strip = forged.filter(({ name }) => call.headerValues(name).length > 0);
        return strip.length === 0 ? next(exchange, transport) : next(edit(exchange, strip, call.query), transport);
      }
      const outcomes: (TokenOutcome | Promise<TokenOutcome>)[] = [];
      let settled = true;
      for (const { token, rules: accepting } of tokens) {
        const outcome = verifier.verify(token, accepting);
        if (outcome instanceof Promise) settled = false;
        outcomes.push(outcome);
      }
      // A known token is judged at once; only one that must be looked into is waited for.
      if (settled) return proceed(outcomes as readonly TokenOutcome[], tokens, exchange, transport, next);
      return Promise.all(outcomes.map((outcome) => Promise.resolve(outcome))).then((all) =>
        proceed(all, tokens, exchange, transport, next),
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
      const verified = afterTokens(call, forged, tokens, outcomes);
      if (!verified.ok) throw refused(call, verified.status, verified.reason);
      call.peer!.claims = verified.claims;
      const unchanged = verified.ops.length === 0 && verified.query === call.query;
      return next(unchanged ? exchange : edit(exchange, verified.ops, verified.query), transport);
    }

    function refused(call: Call, status: 401 | 403, reason: string): MeshError {
      ledger?.refused(call, status, '');
      return challenge(call, status, reason);
    }
  },
};

const NONE: readonly never[] = [];

function edit(exchange: Exchange, ops: readonly HeaderOp[], query: string): Exchange {
  const { call, edits } = exchange;
  const request = edits.request.length === 0 ? ops : [...edits.request, ...ops];
  return {
    ...exchange,
    call: new EditedCall(call, ops),
    edits: query === call.query ? { ...edits, request } : { ...edits, request, query },
  };
}

/** Longest URI in a challenge (Envoy jwt_authn filter.cc). */
const REALM = 256;

/** Without the query: it may be where the token was. */
function challenge({ scheme, authority, path }: Call, status: 401 | 403, reason: string): MeshError {
  const uri = `${scheme}://${authority}${path}`.replaceAll(/[^\x21\x23-\x5b\x5d-\x7e]/g, '').slice(0, REALM);
  const headers: [string, string][] = status === 401 ? [['www-authenticate', `Bearer realm="${uri}", error="invalid_token"`]] : [];
  // Envoy jwt_authn: generateRcDetails(error_msg).
  const details = `jwt_authn_access_denied{${reason.replaceAll(/\s+/g, '_')}}`;
  return new MeshError(status === 401 ? 'UNAUTHENTICATED' : 'PERMISSION_DENIED', reason, { details, answer: { body: reason, headers } });
}
