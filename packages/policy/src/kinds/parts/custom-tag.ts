import * as v from 'valibot';
import type { CustomTag } from '../../telemetry.ts';

const word = v.pipe(v.string(), v.minLength(1, 'is empty'));
const fallback = v.optional(v.pipe(v.string(), v.description('Value where there is none; the tag is left out without it.')), '');

const entries = {
  literal: v.optional(
    v.pipe(v.object({ value: v.pipe(word, v.description('The value of the tag.')) }), v.description('The same for every span.')),
  ),
  environment: v.optional(
    v.pipe(
      v.object({ name: v.pipe(word, v.description('Name of the variable.')), defaultValue: fallback }),
      v.description('An environment variable of the process.'),
    ),
  ),
  header: v.optional(
    v.pipe(
      v.object({ name: v.pipe(word, v.description('Name of the header.')), defaultValue: fallback }),
      v.description('A header of the request.'),
    ),
  ),
  formatter: v.optional(
    v.pipe(
      v.object({ value: v.pipe(word, v.description('A format of access logs, such as `%RESPONSE_FLAGS%`.')) }),
      v.description('What an access log would say.'),
    ),
  ),
};

/** Istio's Tracing.CustomTag: one of literal, environment, header, formatter. */
export const customTag = v.pipe(
  v.object(entries),
  v.rawTransform<v.InferOutput<v.ObjectSchema<typeof entries, undefined>>, CustomTag>(({ dataset: { value }, addIssue, NEVER }) => {
    const { literal, environment, header, formatter } = value;
    const set = [literal, environment, header, formatter].filter((part) => part !== undefined).length;
    if (set > 1) addIssue({ message: 'has more than one of literal, environment, header, formatter\nkeep one' });
    else if (literal !== undefined) return { kind: 'literal', value: literal.value };
    else if (environment !== undefined) return { kind: 'environment', ...environment };
    else if (header !== undefined) return { kind: 'header', ...header };
    else if (formatter !== undefined) return { kind: 'formatter', format: formatter.value };
    else addIssue({ message: 'needs one of literal, environment, header, formatter' });
    return NEVER;
  }),
);

/** Custom tags by name. */
export const customTags = v.record(v.pipe(v.string(), v.minLength(1, 'has a tag without a name')), customTag);
