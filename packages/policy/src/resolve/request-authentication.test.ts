import { describe, expect, it } from 'vitest';
import type { JwtRule, Workload } from '../index.ts';
import { aged, meshConfig, modelOf, requestAuthentication } from './trying.ts';

const root = { namespace: 'istio-system' };
const rules = (documents: readonly string[], who: Partial<Workload> = { labels: { app: 'a' } }): readonly JwtRule[] =>
  modelOf(documents, who).inbound.jwt;
const issuers = (documents: readonly string[], who?: Partial<Workload>): readonly string[] =>
  rules(documents, who).map(({ issuer }) => issuer);
const trusting = (name: string, issuer: string, metadata: object = {}, more: object = {}): string =>
  requestAuthentication(name, { jwtRules: [{ issuer, jwksUri: 'https://a.b/keys' }], ...more }, metadata);
const one = (rule: object): JwtRule =>
  rules([requestAuthentication('r', { jwtRules: [{ issuer: 'me', jwksUri: 'https://a.b/k', ...rule }] })])[0]!;

describe('the tokens a workload takes', () => {
  it('are those of all RequestAuthentications that select it, by issuer', () => {
    const forApp = (app: string): object => ({ selector: { matchLabels: { app } } });
    const documents = [
      trusting('z', 'c', aged(1)),
      trusting('y', 'a', {}, forApp('a')),
      trusting('x', 'd', {}, forApp('b')),
      trusting('w', 'e', { namespace: 'far' }),
      trusting('v', 'b', root),
      trusting('u', 'f', {}, { targetRefs: [{ kind: 'Service', name: 'a' }] }),
    ];
    expect(issuers(documents)).toEqual(['a', 'b', 'c']);
    expect(issuers(documents, { namespace: 'far' })).toEqual(['b', 'e']);
    expect(issuers([...documents, meshConfig({ rootNamespace: 'far' })])).toEqual(['a', 'c', 'e']);
  });

  it('of one issuer stand side by side, in the order of their resources', () => {
    const documents = [trusting('b', 'me'), trusting('a', 'me')];
    expect(rules(documents).map(({ resource }) => resource)).toEqual([
      'RequestAuthentication default/a',
      'RequestAuthentication default/b',
    ]);
    expect(rules(documents.toReversed())).toEqual(rules(documents));
  });

  it('have every default filled in', () => {
    expect(one({})).toEqual({
      resource: 'RequestAuthentication default/r',
      issuer: 'me',
      audiences: [],
      keys: { kind: 'uri', uri: 'https://a.b/k' },
      locations: [
        { in: 'header', name: 'authorization', prefix: 'Bearer ' },
        { in: 'query', name: 'access_token' },
      ],
      outputPayloadToHeader: null,
      outputClaimToHeaders: [],
      forwardOriginalToken: false,
      timeoutMs: 5000,
      spaceDelimitedClaims: [],
    });
  });

  it('are looked for where the rule says, and only there', () => {
    expect(one({ fromCookies: ['sid'] }).locations).toEqual([{ in: 'cookie', name: 'sid' }]);
    expect(one({ fromParams: ['T'], fromHeaders: [{ name: 'X-Token' }, { name: 'X-Other', prefix: 'Token ' }] }).locations).toEqual([
      { in: 'header', name: 'x-token', prefix: '' },
      { in: 'header', name: 'x-other', prefix: 'Token ' },
      { in: 'query', name: 'T' },
    ]);
  });

  it('have their keys from a URL, from the document, or by discovery', () => {
    expect(one({ jwksUri: undefined, jwks_uri: 'https://c.d/k' }).keys).toEqual({ kind: 'uri', uri: 'https://c.d/k' });
    expect(one({ jwksUri: undefined, jwks: '{"keys":[]}' }).keys).toEqual({ kind: 'inline', jwks: '{"keys":[]}' });
    expect(one({ jwksUri: undefined, issuer: 'https://me.test' }).keys).toEqual({ kind: 'discovery' });
    expect(one({ issuer: '' }).issuer).toBe('');
  });

  it('are passed on as the rule says', () => {
    expect(
      one({
        audiences: ['b', 'a', 'b'],
        outputPayloadToHeader: 'X-Payload',
        outputClaimToHeaders: [{ header: 'X-Group', claim: 'user.group' }],
        forwardOriginalToken: true,
        timeout: '250ms',
        spaceDelimitedClaims: ['roles'],
      }),
    ).toMatchObject({
      audiences: ['a', 'b'],
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [{ header: 'x-group', claim: ['user', 'group'] }],
      forwardOriginalToken: true,
      timeoutMs: 250,
      spaceDelimitedClaims: ['roles'],
    });
  });
});
