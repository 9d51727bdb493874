import type { SpecOf } from '../kinds/index.ts';
import type { Analyzer } from './analyzer.ts';

type HttpRoute = SpecOf<'VirtualService'>['http'][number];
type HttpMatch = HttpRoute['match'][number];

/** HTTP rules behind one that takes every call (IST0130), and matches that repeat an earlier one (IST0130, IST0131). */
export const unreachableRules: Analyzer = (world, tell) => {
  for (const rule of world.all('VirtualService')) {
    let taker: number | undefined;
    const seen = new Map<string, number>();
    for (const [index, route] of rule.spec.http.entries()) {
      const at = ['spec', 'http', index];
      if (taker !== undefined) {
        tell(
          rule,
          'warning',
          'IST0130',
          at,
          `no call reaches this rule: http[${taker}] takes every call`,
          'put it before that rule, or remove it',
        );
        continue;
      }
      const repeated = route.match.map((match) => seen.get(JSON.stringify(conditions(match))));
      if (route.match.length > 0 && repeated.every((first) => first !== undefined))
        tell(
          rule,
          'warning',
          'IST0130',
          at,
          `no call reaches this rule: http[${repeated[0]}] has the same matches`,
          'change the matches, or remove it',
        );
      else
        for (const [number, first] of repeated.entries())
          if (first !== undefined)
            tell(
              rule,
              'info',
              'IST0131',
              [...at, 'match', number],
              `no call is matched here: http[${first}] has the same match`,
              'remove the match',
            );
      for (const match of route.match) {
        const key = JSON.stringify(conditions(match));
        if (!seen.has(key)) seen.set(key, index);
      }
      // What a delegate leaves over goes on to the next rule.
      if (route.delegate === undefined && (route.match.length === 0 || route.match.some(takesAll))) taker = index;
    }
    for (const list of ['tcp'] as const) {
      const first = rule.spec[list].findIndex(({ match }) => match.length === 0);
      if (first >= 0)
        for (let index = first + 1; index < rule.spec[list].length; index++)
          tell(
            rule,
            'warning',
            'IST0130',
            ['spec', list, index],
            `no connection reaches this rule: ${list}[${first}] takes every connection`,
            'put it before that rule, or remove it',
          );
    }
  }
};

const conditions = ({ name: _name, statPrefix: _statPrefix, ...rest }: HttpMatch): unknown => rest;

/** Istio's isCatchAllMatch: any path, and nothing else asked for. */
function takesAll(match: HttpMatch): boolean {
  const { uri, scheme, method, authority, port, sourceNamespace } = match;
  const anyPath =
    uri === undefined ||
    uri.kind === 'present' ||
    (uri.kind === 'prefix' && (uri.value === '/' || uri.value === '')) ||
    (uri.kind === 'regex' && uri.value === '.*');
  const none = [scheme, method, authority, port, sourceNamespace].every((condition) => condition === undefined);
  return (
    anyPath &&
    none &&
    match.gateways.length === 0 &&
    [match.headers, match.withoutHeaders, match.queryParams, match.sourceLabels].every((map) => Object.keys(map).length === 0)
  );
}
