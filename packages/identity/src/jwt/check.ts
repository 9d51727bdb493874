import type { Claims } from '@inmesh/core';
import type { JwtRule } from '@inmesh/policy';
import type { Token } from './token.ts';

/** Seconds by which clocks may differ (jwt_verify_lib kClockSkewInSecond). */
const SKEW = 60;

/** Why a token is refused at this moment, in Envoy's words. Its end is past it even if it is 0, which jwt_verify_lib takes for none. */
export function timeProblem({ notBefore, expires }: Pick<Token, 'notBefore' | 'expires'>, now: number): string | undefined {
  const seconds = Math.floor(now / 1000);
  if (notBefore !== undefined && notBefore > seconds + SKEW) return 'Jwt not yet valid';
  if (expires !== undefined && expires + SKEW < seconds) return 'Jwt is expired';
  return undefined;
}

/** Whether a token names one of the audiences a rule allows; a rule without any allows all. */
export function audienceAllowed({ audiences }: Token, allowed: ReadonlySet<string>): boolean {
  return allowed.size === 0 || audiences.some((audience) => allowed.has(bareAudience(audience)));
}

/** An audience without its scheme and last slash, which do not count (jwt_verify_lib check_audience.cc). */
export const bareAudience = (audience: string): string => audience.replace(/^https?:\/\//, '').replace(/\/$/, '');

/** Claims as policies see them: `scope`, `permission` and what the rule names are lists, not texts with spaces between. Frozen, since calls share them. */
export function claimsFor({ claims }: Token, { spaceDelimitedClaims }: JwtRule): Claims {
  const split: Record<string, unknown> = { ...claims };
  for (const name of ['scope', 'permission', ...spaceDelimitedClaims]) {
    const value = Object.hasOwn(split, name) ? split[name] : undefined;
    if (typeof value === 'string') split[name] = value.split(' ').filter((part) => part !== '');
  }
  return frozen(split);
}

/** `value` and all it holds, unchangeable. JSON is as deep as its parser let it be. */
function frozen<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) frozen(part as object);
  return Object.freeze(value);
}
