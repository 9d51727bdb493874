import type { TraceState } from '@opentelemetry/api';

/** W3C Trace Context level 2, §3.3.1.1. */
const MOST_MEMBERS = 32;

/**
 * §3.3.1.3.1, with level 1's form for keys of several tenants, `tenant@system`: level 2 lets `@` stand anywhere, the conformance suite
 * does not.
 */
const KEY = /^(?:[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})$/;
/** §3.3.1.3.2: printable, without `,` and `=`, not ending with a space. */
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

type Member = readonly [key: string, value: string];

/** The members in their order; of a key that stands twice the first. undefined: one is malformed, or there are too many, and all are void. */
export function parseTracestate(text: string): readonly Member[] | undefined {
  const members: Member[] = [];
  for (const part of text.split(',')) {
    const member = part.replace(/^[ \t]+|[ \t]+$/g, '');
    // Empty members are allowed (§3.3.1.1).
    if (member === '') continue;
    const at = member.indexOf('=');
    const key = member.slice(0, at);
    const value = member.slice(at + 1);
    if (at < 0 || !KEY.test(key) || !VALUE.test(value)) return undefined;
    if (!members.some(([known]) => known === key)) members.push([key, value]);
    if (members.length > MOST_MEMBERS) return undefined;
  }
  return members;
}

export const formatTracestate = (members: readonly Member[]): string => members.map(([key, value]) => `${key}=${value}`).join(',');

/** As the API of OpenTelemetry wants it. The API's own drops states of more than 512 characters, which §3.3.1.5 asks to hand on. */
export class MemberList implements TraceState {
  readonly #members: readonly Member[];

  constructor(members: readonly Member[]) {
    this.#members = members;
  }

  /** What was changed last stands first (§3.5). */
  set(key: string, value: string): MemberList {
    const rest = this.#members.filter(([known]) => known !== key);
    if (!KEY.test(key) || !VALUE.test(value)) return this;
    return new MemberList([[key, value] as const, ...rest].slice(0, MOST_MEMBERS));
  }

  unset(key: string): MemberList {
    return new MemberList(this.#members.filter(([known]) => known !== key));
  }

  get(key: string): string | undefined {
    return this.#members.find(([known]) => known === key)?.[1];
  }

  serialize(): string {
    return formatTracestate(this.#members);
  }
}
