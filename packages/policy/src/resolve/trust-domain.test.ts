import { describe, expect, it } from 'vitest';
import { expandPrincipals, expandTrustDomains } from './trust-domain.ts';

const mesh = (trustDomain: string, ...trustDomainAliases: string[]) => ({ trustDomain, trustDomainAliases });
const rest = '/ns/foo/sa/bar';

describe('the trust domain of a principal', () => {
  it.each<readonly [name: string, domains: ReturnType<typeof mesh>, given: string, expected: readonly string[]]>([
    ['of the mesh without aliases stays', mesh('td1'), `td1${rest}`, [`td1${rest}`]],
    ['of the mesh means its aliases', mesh('td1', 'td2', 'td3'), `td1${rest}`, [`td1${rest}`, `td2${rest}`, `td3${rest}`]],
    ['that is an alias means the others', mesh('td1', 'td2'), `td2${rest}`, [`td1${rest}`, `td2${rest}`]],
    ['cluster.local means the mesh, whatever its name', mesh('td1', 'td2'), `cluster.local${rest}`, [`td1${rest}`, `td2${rest}`]],
    ['of another mesh stays', mesh('td1', 'td2'), `other${rest}`, [`other${rest}`]],
    ['* stays', mesh('td1', 'td2'), `*${rest}`, [`*${rest}`]],
    ['by its end covers what it fits, and means the others', mesh('some-td', 'other'), `*-td${rest}`, [`*-td${rest}`, `other${rest}`]],
    ['by its end that fits all is one', mesh('some-td', 'other-td'), `*-td${rest}`, [`*-td${rest}`]],
    ['by its end that fits none stays', mesh('td1', 'td2'), `*-x${rest}`, [`*-x${rest}`]],
    ['of a pattern over the account is renamed', mesh('td1', 'td2'), 'td1/ns/foo/sa/*', ['td1/ns/foo/sa/*', 'td2/ns/foo/sa/*']],
    ['of a pattern over the namespace stays', mesh('td1', 'td2'), 'td1/ns/*', ['td1/ns/*']],
    ['of another form stays', mesh('td1', 'td2'), 'td1/a/b/c/d/e', ['td1/a/b/c/d/e']],
    ['of any principal stays', mesh('td1', 'td2'), '*', ['*']],
    ['that repeats is one', mesh('td1', 'td1', 'td2'), `td1${rest}`, [`td1${rest}`, `td2${rest}`]],
  ])('%s', (_, domains, given, expected) => {
    expect(expandPrincipals([given], domains)).toEqual(expected);
  });
});

describe('a trust domain', () => {
  it.each<readonly [given: string, expected: readonly string[]]>([
    ['td1', ['td1', 'td2']],
    ['td2', ['td1', 'td2']],
    ['cluster.local', ['td1', 'td2']],
    ['other', ['other']],
    ['*', ['*']],
    ['td*', ['td*']],
  ])('%s of a mesh with an alias', (given, expected) => {
    expect(expandTrustDomains([given], mesh('td1', 'td2'))).toEqual(expected);
  });
});
