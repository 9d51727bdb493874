import { createRequire } from 'node:module';
import type * as Cel from '@marcbachmann/cel-js';
import * as v from 'valibot';
import { must } from './fields.ts';
import { clip } from './scalars.ts';

// Loaded at the first expression only: most documents have none.
const require = createRequire(import.meta.url);
let cel: typeof Cel | undefined;

const LONGEST = 16_384;

/** Why this is no CEL expression, or undefined. Its form alone is judged: what there is to ask about, only a call tells. */
export function celFault(expression: string): string | undefined {
  if (expression.length > LONGEST) return `the expression is longer than ${LONGEST} characters`;
  const { parse } = (cel ??= require('@marcbachmann/cel-js') as typeof Cel);
  try {
    parse(expression);
    return undefined;
  } catch (error) {
    const [cause = ''] = (error instanceof Error ? error.message : '').split('\n');
    return `"${clip(expression)}" is not a CEL expression: ${cause}\nwrite such as request.method, response.code >= 400, or 'a text' in quotes`;
  }
}

/** A CEL expression over Envoy's attributes (`request.url_path`, `response.code`, …). */
export const celExpression = v.pipe(v.string(), v.minLength(1, 'is empty\nwrite an expression, or remove the field'), must(celFault));
