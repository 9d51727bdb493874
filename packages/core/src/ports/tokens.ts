import type { JwtRule } from '@inmesh/policy';
import type { Clock } from '../clock.ts';
import type { MeshEvent } from '../observer.ts';
import type { Claims } from '../peer.ts';
import type { Closeable } from './resolver.ts';

export type TokenOutcome =
  | {
      readonly ok: true;
      readonly rule: JwtRule;
      /** As policies see them: `scope`, `permission` and `spaceDelimitedClaims` are lists. */
      readonly claims: Claims;
      /** As they stood in the token: what is passed on. */
      readonly original: Claims;
      /** The payload as it stood in the token: base64url without padding. */
      readonly payload: string;
    }
  /** 401, or 403 for an audience that is not allowed. `reason` is the body of the answer (Envoy's status text). */
  | { readonly ok: false; readonly status: 401 | 403; readonly reason: string };

/** Verifies tokens under the rules it was prepared for. */
export interface TokenVerifier extends Closeable {
  /** `rules`: those that accept tokens at the place this one was found. At once if the token or its keys are known. Never throws or rejects. */
  verify(token: string, rules: readonly JwtRule[]): TokenOutcome | Promise<TokenOutcome>;
}

/** Makes verifiers. Keys and verified tokens are shared between those it made, so that a new policy fetches nothing twice. */
export interface TokenVerifiers {
  /** Begins to fetch the keys of the rules in the background. */
  prepare(
    rules: readonly JwtRule[],
    tools: { readonly clock: Clock; readonly random: () => number; readonly onEvent: (event: MeshEvent) => void },
  ): TokenVerifier;
}
