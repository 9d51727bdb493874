import type { Model } from './shapes.ts';

type Match = Model['hosts'][number]['routes'][number]['match'];
type StringMatch = NonNullable<Match['method']>;

const SIGN = { exact: '=', prefix: 'begins', regex: '~', present: 'present' } as const;
const text = (name: string, match: StringMatch): string =>
  `${name} ${SIGN[match.kind]}${match.kind === 'present' ? '' : ` ${match.value}`}`;

/** The conditions of a route in one line. */
export function matchText({ path, method, scheme, authority, headers, query }: Match): string {
  const conditions = [
    ...(path === null || (path.kind === 'segments' && path.value === '') || (path.kind === 'prefix' && path.value === '/') ? [] : [`path ${path.kind === 'segments' ? 'below' : SIGN[path.kind]} ${path.value}`]), // prettier-ignore
    ...(method === null ? [] : [text('method', method)]),
    ...(scheme === null ? [] : [text('scheme', scheme)]),
    ...(authority === null ? [] : [text('authority', authority)]),
    ...headers.map(({ name, match, invert }) => `${invert ? 'not ' : ''}${text(name, match)}`),
    ...query.map(({ name, match, invert }) => `${invert ? 'not ' : ''}?${text(name, match)}`),
  ];
  return conditions.length === 0 ? 'every call' : conditions.join(' and ');
}
