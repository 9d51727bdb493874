import type * as v from 'valibot';
import type { Metadata } from '../document.ts';
import type { Problem } from '../problem.ts';
import type { Schema } from '../schema/fields.ts';

/** A kind of resource: how it is recognised, what its fields are, and which rules span several fields. One file per kind. */
export interface Kind<Name extends string = string, S extends Schema = Schema> {
  readonly kind: Name;
  /** API group, '' for core Kubernetes. */
  readonly group: string;
  readonly versions: readonly string[];
  /** Has no namespace. */
  readonly clusterScoped: boolean;
  /** One sentence on what it is for. */
  readonly summary: string;
  /** Where the fields of `schema` stand: under `spec`, or beside `metadata`. */
  readonly body: 'spec' | 'root';
  /** Fields the schema does not name are let through (Kubernetes' own objects, of which we read a part). */
  readonly open: boolean;
  readonly schema: S;
  /** Rules over several fields. Each sees what parsed, even where other fields are wrong. */
  readonly checks: readonly Check<v.InferOutput<S>>[];
  /** Why the whole kind does nothing yet, if so. */
  readonly notHonoured: string | null;
}

export type Path = readonly (string | number)[];

/**
 * Takes findings of one resource; paths are relative to the body of the kind (`spec` or the resource itself).
 * An error at a path at or below which something did not parse is dropped: the cause was reported already.
 */
export interface Report {
  error(path: Path, message: string, hint?: string): void;
  /** An error too: fields that exclude each other. It is told whatever did not parse, since their presence is what is wrong. */
  conflict(path: Path, message: string, hint?: string): void;
  warning(path: Path, message: string, hint?: string, code?: string): void;
  info(path: Path, message: string, hint?: string, code?: string): void;
}

// A method, so that a check of one kind can stand in a list of checks of any kind.
export type Check<Spec> = { check(spec: Partly<Spec>, report: Report, metadata: Metadata): void }['check'];

/** What parsed of a value: a part that did not is undefined. */
export type Partly<T> = T extends readonly (infer Item)[]
  ? readonly (Partly<Item> | undefined)[]
  : T extends object
    ? { readonly [Key in keyof T]?: Partly<T[Key]> | undefined }
    : T;

export type Severity = Problem['severity'];

type Given<Name extends string, S extends Schema> = Pick<Kind<Name, S>, 'kind' | 'summary' | 'schema'> & Partial<Kind<Name, S>>;

const kindOf =
  (group: string, versions: readonly string[], open: boolean) =>
  <const Name extends string, S extends Schema>(given: Given<Name, S>): Kind<Name, S> => ({
    group,
    versions,
    open,
    clusterScoped: false,
    body: 'spec',
    checks: [],
    notHonoured: null,
    ...given,
  });

/** A kind of networking.istio.io. */
export const istioKind = kindOf('networking.istio.io', ['v1', 'v1beta1', 'v1alpha3'], false);
/** A kind of security.istio.io. */
export const securityKind = kindOf('security.istio.io', ['v1', 'v1beta1'], false);
/** A kind of telemetry.istio.io. */
export const telemetryKind = kindOf('telemetry.istio.io', ['v1', 'v1alpha1'], false);
/** A kind of the Gateway API. */
export const gatewayApiKind = kindOf('gateway.networking.k8s.io', ['v1', 'v1beta1', 'v1alpha2', 'v1alpha3'], false);
/** A core Kubernetes kind, of which we read a part. */
export const kubernetesKind = kindOf('', ['v1'], true);
/** A kind of our own. */
export const inmeshKind = kindOf('inmesh.dev', ['v1'], false);
