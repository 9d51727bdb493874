import type { JwtRule } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import type { TokenOutcome } from '../ports/tokens.ts';
import { testCall } from '../testing/exchange.ts';
import type { FoundToken } from './tokens.ts';
import { afterTokens, forgeable } from './verified.ts';

const rule: JwtRule = {
  resource: 'RequestAuthentication default/jwt',
  issuer: 'i',
  audiences: [],
  keys: { kind: 'discovery' },
  locations: [],
  outputPayloadToHeader: 'x-payload',
  outputClaimToHeaders: [
    { header: 'x-scope', claim: ['scope'] },
    { header: 'x-age', claim: ['age'] },
    { header: 'x-role', claim: ['realm', 'role'] },
    { header: 'x-groups', claim: ['groups'] },
    { header: 'x-name', claim: ['name'] },
    { header: 'x-missing', claim: ['toString'] },
  ],
  forwardOriginalToken: false,
  timeoutMs: 5000,
  spaceDelimitedClaims: [],
};
const found: FoundToken = { token: 't', location: { in: 'header', name: 'authorization', prefix: 'Bearer ' }, rules: [rule] };
const original = { scope: 'read write', age: 7, realm: { role: 'admin' }, groups: ['ä'], name: 'line\r\nbreak' };
const outcome: TokenOutcome = { ok: true, rule, claims: { ...original, scope: ['read', 'write'] }, original, payload: 'e30' };

describe('what is passed on of a token', () => {
  it('is what stood in it, not what policies see', () => {
    const verified = afterTokens(testCall(), forgeable([rule]), [found], [outcome]);
    if (!verified.ok) throw new Error(verified.reason);
    const set = verified.ops.flatMap((op) => (op.op === 'set' ? [[op.name, op.value]] : []));
    expect(set).toEqual([
      ['x-payload', 'e30'],
      ['x-scope', 'read write'],
      ['x-age', '7'],
      ['x-role', 'admin'],
      ['x-groups', Buffer.from('["ä"]').toString('base64')],
    ]);
    expect(verified.claims).toMatchObject({ scope: ['read', 'write'] });
  });

  it('comes after everything a caller could have put there was removed', () => {
    const verified = afterTokens(testCall(), forgeable([rule]), [found], [outcome]);
    if (!verified.ok) throw new Error(verified.reason);
    const names = verified.ops.map(({ op, name }) => `${op} ${name}`);
    expect(names.slice(0, 8)).toEqual([
      'remove x-payload', 'remove x-scope', 'remove x-age', 'remove x-role', 'remove x-groups', 'remove x-name', 'remove x-missing', 'remove authorization',
    ]); // prettier-ignore
  });

  it('is nothing if one of several tokens is bad', () => {
    const bad: TokenOutcome = { ok: false, status: 401, reason: 'Jwt is expired' };
    expect(afterTokens(testCall(), [], [found, found], [outcome, bad])).toBe(bad);
  });
});
