import { kinds } from './kinds/index.ts';
import type { Kind } from './kinds/kind.ts';
import type { Schema } from './schema/fields.ts';
import { shapeOf, type Field, type Shape } from './schema/shape.ts';

/** What can be told of a kind, for docs and consoles: derived from the definitions that `parse` uses. */
export interface KindReference {
  readonly kind: string;
  readonly group: string;
  readonly versions: readonly string[];
  readonly summary: string;
  /** Why the kind does nothing yet; null if it does. */
  readonly notHonoured: string | null;
  /** Fields beyond these are let through. */
  readonly open: boolean;
  readonly fields: readonly FieldReference[];
}

export interface FieldReference {
  /** `spec.http[].route[].weight`; `<key>` stands for a key of a map. */
  readonly path: string;
  readonly type: string;
  readonly meaning: string;
  /** '' if there is none. */
  readonly default: string;
  readonly required: boolean;
  /** `HTTP gRPC WebSocket TCP server`, as far as they obey it; '' if nobody does. */
  readonly honoured: string;
  /** Why nobody obeys it; '' else. */
  readonly notHonoured: string;
  /** What to write instead; '' if it is not deprecated. */
  readonly deprecated: string;
}

/** The reference of every kind. */
export const reference = (): readonly KindReference[] => kinds.map(referenceOf);

export function referenceOf({ kind, group, versions, summary, notHonoured, open, body, schema }: Kind): KindReference {
  const fields: FieldReference[] = [];
  collect(shapeOf(schema), body === 'spec' ? 'spec' : '', '', notHonoured ?? '', fields);
  return { kind, group, versions, summary, notHonoured, open, fields };
}

const READERS = { H: 'HTTP', G: 'gRPC', W: 'WebSocket', T: 'TCP', S: 'server' } as const;

/** What a field does not say of itself holds from the one above it. */
function collect(shape: Shape, path: string, honoured: string, ignored: string, into: FieldReference[]): void {
  if (shape.kind === 'list') return collect(shape.item, `${path}[]`, honoured, ignored, into);
  if (shape.kind === 'map') return collect(shape.value, `${path}.<key>`, honoured, ignored, into);
  if (shape.kind === 'leaf') return;
  for (const [name, field] of shape.fields) {
    const at = path === '' ? name : `${path}.${name}`;
    const readers = field.facts.honoured ?? honoured;
    const reason = field.facts.notHonoured ?? ignored;
    into.push({
      path: at,
      type: typeOf(field),
      meaning: field.meaning,
      default: field.facts.default ?? constant(field.fallback),
      required: field.required,
      honoured:
        reason === ''
          ? (Object.keys(READERS) as (keyof typeof READERS)[])
              .filter((letter) => readers.includes(letter))
              .map((letter) => READERS[letter])
              .join(' ')
          : '',
      notHonoured: reason,
      deprecated: field.facts.deprecated ?? '',
    });
    if (messageOf(field.shape) === undefined) collect(field.shape, at, readers, reason, into);
  }
}

/** Messages that stand in many places and are told once, by what they hold. */
function messageOf(shape: Shape): string | undefined {
  if (shape.kind === 'list') return messageOf(shape.item);
  if (shape.kind === 'map') return messageOf(shape.value);
  const keys = shape.kind === 'object' ? [...shape.fields].map(([name, field]) => `${name}:${typeOf(field)}`).join() : '';
  return { 'exact:string,prefix:string,regex:string': 'StringMatch', 'value:number': 'Percent', 'number:number': 'PortSelector' }[keys];
}

/** A constant default in words; empty lists and maps are no news. */
function constant(fallback: unknown): string {
  if (fallback === undefined || (typeof fallback === 'object' && fallback !== null && Object.keys(fallback).length === 0)) return '';
  return typeof fallback === 'string' ? fallback : JSON.stringify(fallback);
}

interface Seen {
  readonly type: string;
  readonly options?: readonly unknown[];
  readonly item?: Seen;
  readonly value?: Seen;
  readonly wrapped?: Seen;
}

function typeOf(field: Field): string {
  const words = (schema: Seen): string => {
    switch (schema.type) {
      case 'optional':
        return schema.wrapped === undefined ? 'any' : words(schema.wrapped);
      case 'array':
        return schema.item === undefined ? 'list' : `list of ${words(schema.item)}`;
      case 'record':
        return schema.value === undefined ? 'map' : `map of ${words(schema.value)}`;
      case 'picklist':
        return (schema.options ?? []).map(String).join(' | ');
      case 'union':
        return (schema.options ?? []).map((option) => words(option as Seen)).join(' | ');
      case 'object':
        return messageOf(shapeOf(schema as unknown as Schema)) ?? 'object';
      default:
        return schema.type;
    }
  };
  return words(field.schema as unknown as Seen);
}
