import type { HashKey } from '../model.ts';

/** Istio's name of a cluster. */
export const clusterName = (port: number, subset: string | undefined, host: string): string => `outbound|${port}|${subset ?? ''}|${host}`;

/** A destination as a rule names it. */
export interface Target {
  /** Full name. */
  readonly host: string;
  readonly subset: string | undefined;
  /** Service port the rule names; undefined: the only one, else the one addressed. */
  readonly port: number | undefined;
}

/** What routes ask of the destinations; asking makes a destination part of the model. */
export interface Destinations {
  /** `addressed` is the port the client addresses, null if any. `missing` says why no such cluster exists. */
  reach(target: Target, addressed: number | null): { readonly cluster: string; readonly missing: string | null };
  /** Key sources of a destination chosen by consistent hash; none if it is not. */
  hashKeys(target: Target): readonly HashKey[];
}
