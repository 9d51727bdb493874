import type { ResourceOf } from '../kinds/index.ts';
import type { HeaderMatch, PathMatch, RouteMatch } from '../model.ts';
import { byAgeAndPath } from './order.ts';
import { MATCH_ALL } from './routes.ts';

/** Matches of Gateway API routes, and which of them is asked first. */

export type HttpRoute = ResourceOf<'HTTPRoute'>;
export type GrpcRoute = ResourceOf<'GRPCRoute'>;
export type AnyRoute = HttpRoute | GrpcRoute;
export type Rule = HttpRoute['spec']['rules'][number] | GrpcRoute['spec']['rules'][number];

/** One match of one rule, with what decides its place. */
export interface Ranked {
  readonly route: AnyRoute;
  readonly rule: Rule;
  readonly index: number;
  readonly match: RouteMatch;
  /** Compared from left to right, the greater first. */
  readonly rank: readonly number[];
}

/** Ties: the oldest route, then namespace/name, then the order of rules and matches, which sorting keeps. */
export function byPrecedence(a: Ranked, b: Ranked): number {
  for (const [at, value] of a.rank.entries()) {
    const other = b.rank[at] ?? 0;
    if (other !== value) return other - value;
  }
  return byAgeAndPath(a.route.metadata, b.route.metadata);
}

const PATH_RANK: Readonly<Record<string, number>> = { Exact: 3, PathPrefix: 2, RegularExpression: 1 };

/** Exact before prefix before regex, the longer before the shorter, then method, count of headers, count of query parameters (Istio sortHTTPRoutes). */
export const rankHttp = (route: HttpRoute): Ranked[] =>
  route.spec.rules.flatMap((rule, index) =>
    rule.matches.map(({ path: { type, value }, headers, queryParams, method }): Ranked => {
      const match = {
        ...MATCH_ALL,
        path: httpPath(type, value),
        method: method === undefined ? null : ({ kind: 'exact', value: method } as const),
        headers: conditions(headers, (name) => name.toLowerCase()),
        query: conditions(queryParams, (name) => name),
      };
      return {
        route,
        rule,
        index,
        match,
        rank: [PATH_RANK[type] ?? 0, match.path.value.length, method === undefined ? 0 : 1, match.headers.length, match.query.length],
      };
    }),
  );

function httpPath(type: string, value: string): PathMatch {
  if (type === 'Exact') return { kind: 'exact', value, ignoreCase: false };
  return type === 'RegularExpression' ? { kind: 'regex', value } : { kind: 'segments', value: segments(value), ignoreCase: false };
}

/** Whole segments: `/foo/` and `/foo` are the same, and `/` is everything. */
const segments = (value: string): string => value.replace(/\/+$/, '');

/** Of entries of the same name the first counts. */
function conditions(
  list: readonly { readonly type: string; readonly name: string; readonly value: string }[],
  key: (name: string) => string,
): HeaderMatch[] {
  const seen = new Map<string, HeaderMatch>();
  for (const { type, name, value } of list)
    if (!seen.has(key(name)))
      seen.set(key(name), { name: key(name), match: { kind: type === 'RegularExpression' ? 'regex' : 'exact', value }, invert: false });
  return [...seen.values()];
}

/** The longer service name, then the longer method name, then more headers (GRPCRoute, precedence of matches). */
export const rankGrpc = (route: GrpcRoute): Ranked[] =>
  route.spec.rules.flatMap((rule, index) =>
    (rule.matches.length === 0 ? [{ method: undefined, headers: [] }] : rule.matches).map(({ method, headers }): Ranked => ({
      route,
      rule,
      index,
      match: { ...MATCH_ALL, path: grpcPath(method), headers: conditions(headers, (name) => name.toLowerCase()) },
      rank: [method?.service?.length ?? 0, method?.method?.length ?? 0, headers.length],
    })),
  );

/** A call's path is /package.Service/Method (Istio createGRPCURIMatch). */
function grpcPath(match: GrpcRoute['spec']['rules'][number]['matches'][number]['method']): PathMatch | null {
  const { type, service, method } = match ?? {};
  if (service === undefined && method === undefined) return null;
  if (type === 'RegularExpression') return { kind: 'regex', value: `/${service ?? '[^/]+'}/${method ?? '.+'}` };
  if (method === undefined) return { kind: 'prefix', value: `/${service}/`, ignoreCase: false };
  return service === undefined
    ? { kind: 'regex', value: `/[^/]+/${method}` }
    : { kind: 'exact', value: `/${service}/${method}`, ignoreCase: false };
}
