import type { Problem } from './problem.ts';

/** Text to parse, with the name problems shall be reported under. YAML (several documents) or JSON. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
  /** Its resources give way to those of the same name in texts before it: what a registry says of a service the policy declares. */
  readonly yields?: boolean;
}

/** One accepted resource: `spec` is complete and typed by its kind (see `kinds/`). */
export interface Resource<Kind extends string = string, Spec = unknown> {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: Metadata;
  readonly spec: Spec;
  readonly origin: { readonly file: string; readonly line: number };
}

export interface Metadata {
  readonly name: string;
  /** `default` where the document names none; '' for cluster-scoped kinds. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Milliseconds since 1970; resources without one count as oldest. Equals go by name, then namespace, as in Istio. */
  readonly createdAt: number;
}

/** A complete, checked document: every resource in it compiles. */
export interface Document {
  readonly resources: readonly Resource[];
  /** sha-256 over the canonical resources: same fingerprint, same meaning. */
  readonly fingerprint: string;
  /** Resources of API groups that are not ours, by `group/Kind`. */
  readonly skipped: Readonly<Record<string, number>>;
  /** Warnings and infos (a document with errors is never made). */
  readonly problems: readonly Problem[];
}

/** A document, or all that is wrong with it; never both, never a throw. */
export type Parsed = { readonly ok: true; readonly document: Document } | { readonly ok: false; readonly problems: readonly Problem[] };
