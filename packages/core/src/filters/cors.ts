import type { Cors, HeaderOp } from '@inmesh/policy';
import type { Call } from '../call.ts';
import type { FilterKind } from '../kind.ts';
import { compileText } from '../match/text.ts';
import { localAnswer } from './answers.ts';

export interface CorsRules {
  /** The rules of the route a call matches; undefined: none. */
  readonly find: (call: Call) => CompiledCors | undefined;
}

export interface CompiledCors {
  /** Where the rules stand. */
  readonly resource: string;
  readonly allows: (origin: string) => boolean;
  /** Headers of the answer to a preflight, and operations on any other answer; the origin comes on top. */
  readonly preflight: readonly (readonly [name: string, value: string])[];
  readonly response: readonly HeaderOp[];
  readonly unmatchedPreflights: Cors['unmatchedPreflights'];
}

/** A browser asking whether it may ask (Fetch standard, CORS-preflight request). Without an origin it is none. */
export const isPreflight = (call: Call): boolean =>
  call.method === 'OPTIONS' && Boolean(call.header('origin')) && Boolean(call.header('access-control-request-method'));

type Headers = readonly (readonly [name: string, value: string])[];

export type CorsVerdict =
  /** Not cross-origin, no rules, or another origin: the call goes on as it is. */
  | { readonly kind: 'pass' }
  /** A preflight that is answered here, without permission if there are no headers. */
  | { readonly kind: 'answer'; readonly headers: Headers; readonly resource: string }
  | { readonly kind: 'edit'; readonly ops: readonly HeaderOp[]; readonly resource: string };

const PASS: CorsVerdict = { kind: 'pass' };

export function judgeCors(call: Call, find: CorsRules['find'] | undefined): CorsVerdict {
  const origin = call.header('origin');
  if (find === undefined || origin === undefined || origin === '') return PASS;
  const rules = find(call);
  if (rules === undefined) return PASS;
  const { preflight, response, resource, unmatchedPreflights } = rules;
  const allowed = rules.allows(origin);
  if (isPreflight(call)) {
    if (allowed) return { kind: 'answer', headers: [[ALLOW_ORIGIN, origin], ...preflight], resource };
    return unmatchedPreflights === 'IGNORE' ? { kind: 'answer', headers: [], resource } : PASS;
  }
  return allowed ? { kind: 'edit', ops: [{ op: 'set', name: ALLOW_ORIGIN, value: origin }, ...response], resource } : PASS;
}

/** Cross-origin rules as Envoy's cors filter applies them. Before authentication: a preflight carries no credentials. */
export const cors: FilterKind<CorsRules> = {
  name: 'cors',
  inbound:
    ({ find }) =>
    (next) =>
    (exchange, transport) => {
      const verdict = judgeCors(exchange.call, find);
      if (verdict.kind === 'answer') {
        exchange.life.answeredBy('cors_response');
        return Promise.resolve(transport.answer(exchange, localAnswer(200, '', '', verdict.headers)));
      }
      if (verdict.kind === 'edit') exchange.edits = { ...exchange.edits, response: [...exchange.edits.response, ...verdict.ops] };
      return next(exchange, transport);
    },
};

const ALLOW_ORIGIN = 'access-control-allow-origin';

export function compileCors(cors: Cors, resource: string): CompiledCors {
  const origins = cors.allowOrigins.map(compileText);
  const credentials: readonly (readonly [string, string])[] = cors.allowCredentials ? [['access-control-allow-credentials', 'true']] : [];
  const listed = (name: string, values: readonly string[]): readonly (readonly [string, string])[] =>
    values.length === 0 ? [] : [[name, values.join(',')]];
  const { allowMethods, allowHeaders, exposeHeaders, maxAgeSeconds, unmatchedPreflights } = cors;
  return {
    resource,
    allows: (origin) => origins.some((matches) => matches(origin)),
    preflight: [
      ...credentials,
      ...listed('access-control-allow-methods', allowMethods),
      ...listed('access-control-allow-headers', allowHeaders),
      ...(maxAgeSeconds === null ? [] : [['access-control-max-age', String(maxAgeSeconds)] as const]),
    ],
    response: [...credentials, ...listed('access-control-expose-headers', exposeHeaders)].map(([name, value]) => ({
      op: 'set',
      name,
      value,
    })),
    unmatchedPreflights,
  };
}
