import * as v from 'valibot';
import { defaulted, flag, list } from '../../schema/fields.ts';
import { clip, isHttpToken, whole } from '../../schema/scalars.ts';
import type { Partly, Path, Report } from '../kind.ts';

const S = { honoured: 'S' } as const;

/** The CORS filter of the Gateway API (GEP-1767). */
export const corsFilter = v.object({
  allowOrigins: list(
    v.string(),
    'Origins that may call: `https://a.example.com`, with a wildcard `https://*.example.com`, or `*` for any.',
    S,
  ),
  allowCredentials: flag('Whether callers may send credentials.', S),
  allowMethods: list(v.string(), 'Methods for Access-Control-Allow-Methods.', S),
  allowHeaders: list(v.string(), 'Headers for Access-Control-Allow-Headers.', S),
  exposeHeaders: list(v.string(), 'Headers for Access-Control-Expose-Headers.', S),
  maxAge: defaulted(whole(1, 2_147_483_647), 5, 'How long the answer to a preflight may be kept, seconds.', S),
});

export type CorsFilter = v.InferOutput<typeof corsFilter>;

const ORIGIN = /^(?:\*|[a-zA-Z][\w+.-]*:\/\/(?:\*\.?)?[^*:/?#\s]*(?::\d{1,5})?)$/;
const METHOD = /^(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|\*)$/;

/** The rules of its CRD. */
export function checkCorsFilter(cors: Partly<CorsFilter>, at: Path, report: Report): void {
  const each = (
    field: 'allowOrigins' | 'allowMethods' | 'allowHeaders' | 'exposeHeaders',
    good: (text: string) => boolean,
    what: string,
  ): void => {
    const values = cors[field] ?? [];
    if (values.length > 1 && values.includes('*'))
      report.error([...at, field], `"*" stands beside others in ${field}`, 'keep it, or the others');
    for (const [index, value] of values.entries())
      if (value !== undefined && !good(value)) report.error([...at, field, index], `"${clip(value)}" is not ${what}`);
  };
  each('allowOrigins', (text) => ORIGIN.test(text) && !text.endsWith('://'), 'an origin');
  each('allowMethods', (text) => METHOD.test(text), 'an HTTP method, in capitals');
  each('allowHeaders', isHttpToken, 'a header name');
  each('exposeHeaders', isHttpToken, 'a header name');
}
