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
  readonly allows: (origin: string) => boolean;
  /** Headers of the answer to a preflight, and operations on any other answer; the origin comes on top. */
  readonly preflight: readonly (readonly [name: string, value: string])[];
  readonly response: readonly HeaderOp[];
  readonly unmatchedPreflights: Cors['unmatchedPreflights'];
}

/** A browser asking whether it may ask (Fetch standard, CORS-preflight request). Without an origin it is none. */
export const isPreflight = (call: Call): boolean =>
  call.method === 'OPTIONS' && Boolean(call.header('origin')) && Boolean(call.header('access-control-request-method'));

/** Cross-origin rules as Envoy's cors filter applies them. Before authentication: a preflight carries no credentials. */
export const cors: FilterKind<CorsRules> = {
  name: 'cors',
  inbound:
    ({ find }) =>
    (next) =>
    (exchange, transport) => {
      const { call } = exchange;
      const origin = call.header('origin');
      if (origin === undefined || origin === '') return next(exchange, transport);
      const rules = find(call);
      if (rules === undefined) return next(exchange, transport);
      const allowed = rules.allows(origin);
      if (isPreflight(call)) {
        if (allowed)
          return Promise.resolve(transport.answer(exchange, localAnswer(200, '', '', [[ALLOW_ORIGIN, origin], ...rules.preflight])));
        if (rules.unmatchedPreflights === 'IGNORE') return Promise.resolve(transport.answer(exchange, localAnswer(200, '', '')));
      } else if (allowed) {
        const response: HeaderOp[] = [...exchange.edits.response, { op: 'set', name: ALLOW_ORIGIN, value: origin }, ...rules.response];
        exchange.edits = { ...exchange.edits, response };
      }
      return next(exchange, transport);
    },
};

const ALLOW_ORIGIN = 'access-control-allow-origin';

export function compileCors(cors: Cors): CompiledCors {
  const origins = cors.allowOrigins.map(compileText);
  const credentials: readonly (readonly [string, string])[] = cors.allowCredentials ? [['access-control-allow-credentials', 'true']] : [];
  const listed = (name: string, values: readonly string[]): readonly (readonly [string, string])[] =>
    values.length === 0 ? [] : [[name, values.join(',')]];
  const { allowMethods, allowHeaders, exposeHeaders, maxAgeSeconds, unmatchedPreflights } = cors;
  return {
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
