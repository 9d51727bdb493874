import * as v from 'valibot';

/** Any schema of ours. */
export type Schema = v.GenericSchema;

/** What is known of a field beside its type. Validation, docs and editors all read it from here. */
export interface Facts {
  /** The default in words, where it is not a constant of the schema. */
  readonly default?: string;
  /** Accepted, but without meaning for a mesh inside the process: the reason. Reported as info. */
  readonly notHonoured?: string;
  /** Istio or the Gateway API deprecated it: what to write instead. Reported as a warning. */
  readonly deprecated?: string;
  /** Which callers obey it: H HTTP client, G gRPC client, W WebSocket, T raw TCP/TLS client, S server side. */
  readonly honoured?: string;
}

/** A schema with its one-line meaning; the type stays that of the schema. */
export function documented<S extends Schema>(schema: S, meaning: string, facts: Facts = {}): S {
  return v.pipe(schema, v.description(meaning), v.metadata({ ...facts })) as unknown as S;
}

/** A field that must be there. */
export const required = <S extends Schema>(schema: S, meaning: string, facts?: Facts): S => documented(schema, meaning, facts);

/** A field whose absence carries meaning: it stays undefined. */
export const optional = <S extends Schema>(schema: S, meaning: string, facts?: Facts): v.OptionalSchema<S, undefined> =>
  v.optional(documented(schema, meaning, facts));

/** A field with a constant default. */
export const defaulted = <S extends Schema, const D extends v.InferInput<S>>(schema: S, fallback: D, meaning: string, facts?: Facts) =>
  v.optional(documented(schema, meaning, facts), fallback);

/** A list; absent means empty. */
export const list = <S extends Schema>(item: S, meaning: string, facts?: Facts) =>
  v.optional(documented(v.array(item), meaning, facts), []);

/** A list of so many `things` at most; absent means empty. */
export const listOf = <S extends Schema>(most: number, things: string, item: S, meaning: string, facts?: Facts) =>
  v.optional(documented(v.pipe(v.array(item), v.maxLength(most, `holds more than ${most} ${things}`)), meaning, facts), []);

/** A list that needs at least one entry. */
export const filled = <S extends Schema>(item: S, meaning: string, facts?: Facts) =>
  documented(v.pipe(v.array(item), v.minLength(1, 'is empty\nadd at least one entry, or remove the field')), meaning, facts);

/** A map with free keys; absent means empty. */
export const mapOf = <S extends Schema>(value: S, meaning: string, facts?: Facts) =>
  v.optional(documented(v.record(v.string(), value), meaning, facts), {});

/** A boolean that is false unless said otherwise. */
export const flag = (meaning: string, facts?: Facts) => v.optional(documented(v.boolean(), meaning, facts), false);

/** Rules out one value with a message; `reason` returns undefined if all is well. First line the fault, the rest the remedy. */
export const must = <Value>(reason: (value: Value) => string | undefined) =>
  v.rawCheck<Value>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const message = reason(dataset.value);
    if (message !== undefined) addIssue({ message });
  });

/** Text that may end up in a header or a request line: a line break there would begin another one (RFC 9110, 5.5). */
export const oneLine = v.pipe(
  v.string(),
  must<string>((value) => (hasControl(value) ? 'contains a line break or another control character\nwrite it on one line' : undefined)),
);

function hasControl(value: string): boolean {
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if ((code < 32 && code !== 9) || code === 127) return true;
  }
  return false;
}

/** An optional text where '' means the same as nothing, as in protobuf. */
export const text = (meaning: string, facts?: Facts) => optional(v.pipe(oneLine, v.transform(emptyIsNothing)), meaning, facts);

const emptyIsNothing = (value: string): string | undefined => (value === '' ? undefined : value);
