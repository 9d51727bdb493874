import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const R = 'spec.jwtRules[0]';
const rule = (more: object): object => ({ jwtRules: [{ issuer: 'me', jwksUri: 'https://a.b/keys', ...more }] });
const keys = (jwks: string): object => ({ jwtRules: [{ issuer: 'me', jwks }] });
const uri = (jwksUri: string): object => rule({ jwksUri });

const rows: readonly Row[] = [
  ['no rules', {}, null],
  ['issuer and keys', rule({}), null],
  ['an issuer whose keys are discovered', { jwtRules: [{ issuer: 'https://issuer.example.com' }] }, null],
  ['an issuer whose keys cannot be discovered', { jwtRules: [{ issuer: 'me' }] }, `${R}.issuer`, /no keys can be found/, 'warning'],
  ['no issuer, with jwksUri', { jwtRules: [{ jwksUri: 'https://a.b/keys' }] }, null],
  ['an empty issuer, with jwksUri', rule({ issuer: '' }), null],
  ['no issuer, with jwks', { jwtRules: [{ jwks: '{"keys":[]}' }] }, `${R}.issuer`, /required/],
  ['nothing at all', { jwtRules: [{}] }, `${R}.issuer`, /required/],
  ['keys twice', rule({ jwks: '{"keys":[]}' }), `${R}.jwks`, /excludes/],
  ['keys under both names', rule({ jwks_uri: 'https://a.b/keys' }), `${R}.jwks_uri`, /excludes/],
  ['the old name of jwksUri', { jwtRules: [{ issuer: 'me', jwks_uri: 'https://a.b/keys' }] }, `${R}.jwks_uri`, /deprecated/, 'warning'],
  ['jwksUri of a file', uri('file:///etc/passwd'), `${R}.jwksUri`, /http or https/],
  ['jwksUri without scheme', uri('a.b/keys'), `${R}.jwksUri`, /http or https/],
  ['jwksUri without host', uri('https:///keys'), `${R}.jwksUri`, /http or https/],
  ['jwksUri with a password', uri('https://u:p@a.b/keys'), `${R}.jwksUri`, /user or a password/],
  ['jwksUri of 3000 characters', uri(`https://a.b/${'x'.repeat(3000)}`), `${R}.jwksUri`, /longer than 2048/],
  ['an empty jwksUri', uri(''), `${R}.jwksUri`, /empty/],
  ['keys', keys('{"keys":[{"kty":"RSA"}]}'), null],
  ['keys that are no JSON', keys('keys'), `${R}.jwks`, /not JSON/],
  ['keys that are a list', keys('[]'), `${R}.jwks`, /no list of keys/],
  ['one key', keys('{"kty":"RSA"}'), `${R}.jwks`, /no list of keys/],
  ['keys that are no keys', keys('{"keys":["a"]}'), `${R}.jwks`, /no list of keys/],
  ['keys null', keys('null'), `${R}.jwks`, /no list of keys/],
  ['an empty audience', rule({ audiences: ['a', ''] }), `${R}.audiences[1]`, /empty/],
  ['a location', rule({ fromHeaders: [{ name: 'x-token', prefix: 'Bearer ' }], fromParams: ['t'], fromCookies: ['c'] }), null],
  ['a header without name', rule({ fromHeaders: [{ prefix: 'Bearer ' }] }), `${R}.fromHeaders[0].name`, /required/],
  ['a header with an empty name', rule({ fromHeaders: [{ name: '' }] }), `${R}.fromHeaders[0].name`, /not a header name/],
  ['a header that is none', rule({ fromHeaders: [{ name: 'x y' }] }), `${R}.fromHeaders[0].name`, /not a header name/],
  ['an empty parameter', rule({ fromParams: [''] }), `${R}.fromParams[0]`, /empty/],
  ['an empty cookie', rule({ fromCookies: [''] }), `${R}.fromCookies[0]`, /empty/],
  ['a payload header that is none', rule({ outputPayloadToHeader: 'a\u0000b' }), `${R}.outputPayloadToHeader`, /control/],
  ['a payload header with a space', rule({ outputPayloadToHeader: 'x y' }), `${R}.outputPayloadToHeader`, /not a header name/],
  ['a payload in the host', rule({ outputPayloadToHeader: 'Host' }), `${R}.outputPayloadToHeader`, /how the call travels/],
  ['a claim without header', rule({ outputClaimToHeaders: [{ claim: 'a' }] }), `${R}.outputClaimToHeaders[0].header`, /required/],
  ['a claim without name', rule({ outputClaimToHeaders: [{ header: 'x', claim: '' }] }), `${R}.outputClaimToHeaders[0].claim`, /empty/],
  ['a claim in a header with a dot', rule({ outputClaimToHeaders: [{ header: 'x.y', claim: 'a' }] }), `${R}.outputClaimToHeaders[0].header`, /other characters/],
  ['two claims in one header', rule({ outputClaimToHeaders: [{ header: 'x-a', claim: 'a' }, { header: 'X-A', claim: 'b' }] }), `${R}.outputClaimToHeaders[1].header`, /set twice/],
  ['payload and claim in one header', rule({ outputPayloadToHeader: 'X-A', outputClaimToHeaders: [{ header: 'x-a', claim: 'a' }] }), `${R}.outputClaimToHeaders[0].header`, /set twice/],
  ['a timeout of 0', rule({ timeout: '0s' }), `${R}.timeout`, /0 means/],
  ['a timeout without unit', rule({ timeout: 5 }), `${R}.timeout`, /no unit/],
  ['65 claims with spaces', rule({ spaceDelimitedClaims: Array.from({ length: 65 }, (_, index) => `c${index}`) }), `${R}.spaceDelimitedClaims`, /64/],
  ['4097 rules', { jwtRules: Array.from({ length: 4097 }, (_, index) => ({ issuer: `https://i${index}` })) }, 'spec.jwtRules', /4096/],
  ['a selector beside targets', { selector: { matchLabels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 'a' }], ...rule({}) }, 'spec.targetRefs', /excludes/],
  ['a target', { targetRefs: [{ kind: 'Service', name: 'a' }] }, 'spec.targetRefs', /not honoured: Istio applies it at gateways/, 'info'],
]; // prettier-ignore

describe('RequestAuthentication', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('RequestAuthentication', row));

  it('cannot run dry', () =>
    judge('RequestAuthentication', ['', {}, 'metadata.annotations["istio.io/dry-run"]', /no meaning/], {
      annotations: { 'istio.io/dry-run': 'false' },
    }));

  it("fills Istio's defaults", () => {
    const [found] = documentOf(resource('RequestAuthentication', rule({}))).resources.filter(isKind('RequestAuthentication'));
    expect(found?.spec.jwtRules[0]).toMatchObject({ timeout: 5000, forwardOriginalToken: false, audiences: [], fromHeaders: [] });
  });
});
