import type { MeshStatus } from '@inmesh/core';

/** What the admin port of a process answers with, as far as the console reads it. Everything arrives as JSON. */

export type { Explanation } from '@inmesh/core';
export type { Model } from '@inmesh/policy';

/** What `createMesh` adds to the status of the engine; an admin port opened by hand may have none of it. */
export interface Status extends MeshStatus {
  readonly installed?: string;
  readonly source?: { readonly name: string; readonly trouble: string };
  readonly problems?: readonly {
    readonly severity: string;
    readonly code: string;
    readonly resource: string;
    readonly path: string;
    readonly message: string;
  }[];
  readonly identity?: { readonly source: string; readonly principal: string; readonly expiresAt: number; readonly trouble: string } | null;
  readonly registries?: readonly { readonly name: string; readonly trouble: string }[];
}

export type Cluster = MeshStatus['snapshot']['clusters'][number];

export interface Burn {
  readonly resource: string;
  readonly service: string;
  readonly indicator: unknown;
  readonly objective: number;
  readonly windowMs: number;
  readonly burn: Readonly<Record<string, number | null>>;
  readonly budgetLeft: number;
  readonly state: 'ok' | 'ticket' | 'page';
  readonly enforcing: readonly string[];
}

/** One line of an access log: Istio's keys, who tells it, and who called whom. */
export type Line = Readonly<Record<string, unknown>>;

/** Where the page finds what it shows: `sources.json` beside it. Bases are relative to the page. */
export interface Sources {
  readonly processes: readonly {
    readonly name: string;
    readonly base: string;
    /** What it serves; left out: that is found out. */ readonly pages?: readonly string[];
  }[];
  readonly prometheus: { readonly name: string; readonly base: string } | null;
}
