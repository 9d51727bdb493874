/** The conditions of a route in the model, outbound and inbound alike. */

/** All conditions must hold. Static ones (gateways, sourceLabels, port) were decided by resolve. */
export interface RouteMatch {
  readonly path: PathMatch | null;
  readonly method: StringMatch | null;
  readonly scheme: StringMatch | null;
  readonly authority: StringMatch | null;
  readonly headers: readonly HeaderMatch[];
  /** First occurrence counts, compared without URL-decoding. */
  readonly query: readonly HeaderMatch[];
}

export type PathMatch =
  | { readonly kind: 'exact'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'prefix'; readonly value: string; readonly ignoreCase: boolean }
  /** Gateway API PathPrefix: whole segments; value has no trailing slash ('' matches all). */
  | { readonly kind: 'segments'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly value: string };

/** regex is RE2 over the whole value. `present` asks only that a value exists. */
export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string }
  | { readonly kind: 'present' };

/** name is lower-case for headers; pseudo headers (`:method`, `:path`, `:authority`, `:scheme`) are allowed. */
export interface HeaderMatch {
  readonly name: string;
  readonly match: StringMatch;
  /** withoutHeaders: the condition is negated, and a missing value counts as '' (unless match is `present`). */
  readonly invert: boolean;
}
