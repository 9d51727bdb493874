import * as v from 'valibot';
import type { Facts, Schema } from './fields.ts';

/**
 * The skeleton of a schema: which keys there are, and what is known of each. valibot validates values; what it cannot do
 * over all keys at once (unknown keys, deprecated and ignored fields, docs) walks this.
 */
export type Shape =
  | { readonly kind: 'object'; readonly fields: ReadonlyMap<string, Field> }
  | { readonly kind: 'list'; readonly item: Shape }
  | { readonly kind: 'map'; readonly value: Shape }
  | { readonly kind: 'leaf' };

export interface Field {
  readonly shape: Shape;
  readonly meaning: string;
  readonly facts: Facts;
  readonly required: boolean;
  /** Constant default, undefined if there is none. */
  readonly fallback: unknown;
  readonly schema: Schema;
}

// The parts of valibot's schemas that are read here; a pipe carries those of its first schema.
interface Seen {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly item?: Schema;
  readonly value?: Schema;
  readonly wrapped?: Schema;
  readonly default?: unknown;
}

const LEAF: Shape = { kind: 'leaf' };
const known = new WeakMap<Schema, Shape>();

export function shapeOf(schema: Schema): Shape {
  let shape = known.get(schema);
  if (shape === undefined) known.set(schema, (shape = build(schema as unknown as Seen)));
  return shape;
}

function build(schema: Seen): Shape {
  if (schema.wrapped !== undefined) return shapeOf(schema.wrapped);
  if (schema.entries !== undefined)
    return { kind: 'object', fields: new Map(Object.entries(schema.entries).map(([name, entry]) => [name, fieldOf(entry)])) };
  if (schema.type === 'array' && schema.item !== undefined) return { kind: 'list', item: shapeOf(schema.item) };
  if (schema.type === 'record' && schema.value !== undefined) return { kind: 'map', value: shapeOf(schema.value) };
  return LEAF;
}

function fieldOf(entry: Schema): Field {
  const { wrapped, default: fallback } = entry as unknown as Seen;
  const schema = wrapped ?? entry;
  return {
    shape: shapeOf(schema),
    meaning: v.getDescription(schema) ?? '',
    facts: v.getMetadata(schema),
    required: wrapped === undefined,
    fallback,
    schema,
  };
}
