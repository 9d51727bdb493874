import type { Finding } from './finding.ts';
import type { Locate, Place } from './place.ts';

/** A document of a text as plain data. Untrusted: nothing is known of it but that it is not too deep. */
export interface ReadValue {
  readonly value: unknown;
  readonly locate: Locate;
}

export interface Read {
  readonly values: readonly ReadValue[];
  readonly problems: readonly (Place & { readonly finding: Finding })[];
}
