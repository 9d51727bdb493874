import * as v from 'valibot';
import type { StringMatch } from '../model.ts';
import { must } from './fields.ts';
import { regexFault } from './scalars.ts';

const entries = {
  exact: v.optional(v.pipe(v.string(), v.description('The whole value, case-sensitive.'))),
  prefix: v.optional(v.pipe(v.string(), v.description('The beginning of the value.'))),
  regex: v.optional(v.pipe(v.string(), v.description('RE2 expression over the whole value.'))),
};

const match = (emptyPrefix: boolean, starIsPresent: boolean) =>
  v.pipe(
    v.object(entries),
    v.rawTransform<v.InferOutput<v.ObjectSchema<typeof entries, undefined>>, StringMatch>(({ dataset: { value }, addIssue, NEVER }) => {
      const { exact, prefix, regex } = value;
      const set = [exact, prefix, regex].filter((part) => part !== undefined).length;
      const refuse = (key: 'prefix' | 'regex', message: string): typeof NEVER => {
        addIssue({ message, path: [{ type: 'object', origin: 'value', input: value as Record<string, unknown>, key, value: value[key] }] });
        return NEVER;
      };
      if (set > 1) {
        addIssue({ message: 'has more than one of exact, prefix, regex\nkeep one; for alternatives write several match blocks' });
        return NEVER;
      }
      if (exact !== undefined) return { kind: 'exact', value: exact };
      if (prefix !== undefined) {
        if (prefix !== '' || emptyPrefix) return { kind: 'prefix', value: prefix };
        return refuse('prefix', 'the prefix is empty\nwrite {} to ask only that a value is present');
      }
      if (regex === undefined || (starIsPresent && regex === '*')) return { kind: 'present' };
      const fault = regex === '' ? 'the regular expression is empty' : regexFault(regex);
      return fault === undefined ? { kind: 'regex', value: regex } : refuse('regex', fault);
    }),
  );

/** Istio's StringMatch over a header, query parameter, method, scheme or authority: `{}` and regex `*` mean "is present". */
export const valueMatch = match(false, true);

/** Istio's StringMatch over a path: an empty prefix matches all, and so does `{}` (kind `present`). */
export const uriMatch = match(true, false);

/** Istio's StringMatch over an origin of CORS. */
export const originMatch = v.pipe(
  match(false, false),
  must<StringMatch>((value) => (value.kind === 'present' ? 'needs one of exact, prefix, regex' : undefined)),
);
