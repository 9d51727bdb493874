import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSpiffeId, trustDomainProblem } from './id.ts';

const reasonOf = (text: string): string => {
  const parsed = parseSpiffeId(text);
  return parsed.ok ? '' : parsed.reason;
};

describe('parseSpiffeId', () => {
  it("reads an identity in Istio's form", () => {
    expect(parseSpiffeId('spiffe://cluster.local/ns/default/sa/reviews-v1.2_x')).toEqual({
      ok: true,
      principal: {
        uri: 'spiffe://cluster.local/ns/default/sa/reviews-v1.2_x',
        trustDomain: 'cluster.local',
        namespace: 'default',
        serviceAccount: 'reviews-v1.2_x',
      },
    });
  });

  it("reads one of Consul's CA: the service is the account", () => {
    const uri = 'spiffe://0f1e2d3c-aaaa-bbbb-cccc-0123456789ab.consul/ns/default/dc/dc1/svc/api';
    expect(parseSpiffeId(uri)).toEqual({
      ok: true,
      principal: { uri, trustDomain: '0f1e2d3c-aaaa-bbbb-cccc-0123456789ab.consul', namespace: 'default', serviceAccount: 'api' },
    });
  });

  it.each([
    ['', 'it must begin with spiffe://'],
    ['https://td/ns/a/sa/b', 'it must begin with spiffe://'],
    ['SPIFFE://td/ns/a/sa/b', 'it must begin with spiffe://'],
    [' spiffe://td/ns/a/sa/b', 'it must begin with spiffe://'],
    ['spiffe:/td/ns/a/sa/b', 'it must begin with spiffe://'],
    ['spiffe:///ns/a/sa/b', 'its trust domain is empty'],
    [`spiffe://${'a'.repeat(256)}/ns/a/sa/b`, 'its trust domain is longer than 255 bytes'],
    ['spiffe://TD/ns/a/sa/b', 'its trust domain may only have'],
    ['spiffe://t%64/ns/a/sa/b', 'its trust domain may only have'],
    ['spiffe://td:443/ns/a/sa/b', 'its trust domain may only have'],
    ['spiffe://user@td/ns/a/sa/b', 'its trust domain may only have'],
    ['spiffe://*/ns/a/sa/b', 'its trust domain may only have'],
    ['spiffe://td?x/ns/a/sa/b', 'its trust domain may only have'],
    ['spiffe://tд/ns/a/sa/b', 'its trust domain may only have'],
    ['spiffe://td', 'its path must be /ns/NAMESPACE/sa/ACCOUNT'],
    ['spiffe://td/', 'its path has an empty segment'],
    ['spiffe://td/ns/a/sa/b/', 'its path has an empty segment'],
    ['spiffe://td//ns/a/sa/b', 'its path has an empty segment'],
    ['spiffe://td/ns/a//sa/b', 'its path has an empty segment'],
    ['spiffe://td/ns/./sa/b', 'its path has a dot segment'],
    ['spiffe://td/ns/x/../a/sa/b', 'its path has a dot segment'],
    ['spiffe://td/ns/%61/sa/b', 'its path may only have'],
    ['spiffe://td/ns/a/sa/b?x=1', 'its path may only have'],
    ['spiffe://td/ns/a/sa/b#x', 'its path may only have'],
    ['spiffe://td/ns/a/sa/b,URI:spiffe:', 'its path may only have'],
    ['spiffe://td/ns/a/sa/b\0', 'its path may only have'],
    ['spiffe://td/ns/a/sa/b\n', 'its path may only have'],
    ['spiffe://td/ns/a\\b/sa/b', 'its path may only have'],
    ['spiffe://td/workload', 'its path must be'],
    ['spiffe://td/ns/a/sa', 'its path must be'],
    ['spiffe://td/ns/evil/x/ns/good/sa/y', 'its path must be'],
    ['spiffe://td/ns/a/sa/b/c', 'its path must be'],
    ['spiffe://td/NS/a/sa/b', 'its path must be'],
    ['spiffe://td/sa/b/ns/a', 'its path must be'],
    ['spiffe://td/ns/a/dc/b/svc', 'its path must be'],
    ['spiffe://td/ns/a/svc/c/dc/b', 'its path must be'],
    ['spiffe://td/ns/a/dc/b/svc/c/sa/d', 'its path must be'],
    ['spiffe://td/ns/a/dc/b/sa/c', 'its path must be'],
    ['spiffe://td/agent/server/dc/dc1', 'its path must be'],
    [`spiffe://td/ns/a/sa/${'b'.repeat(2048)}`, 'it is longer than 2048 bytes'],
  ])('refuses %j', (text, reason) => {
    expect(reasonOf(text)).toContain(reason);
    expect(reasonOf(text).length).toBeLessThan(250);
  });

  it('takes apart what it puts together, and no text means two identities', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/).filter((text) => text !== '.' && text !== '..');
    const domain = fc.stringMatching(/^[a-z0-9._-]{1,20}$/);
    fc.assert(
      fc.property(domain, segment, segment, (trustDomain, namespace, serviceAccount) => {
        const uri = `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
        expect(parseSpiffeId(uri)).toEqual({ ok: true, principal: { uri, trustDomain, namespace, serviceAccount } });
      }),
    );
  });

  it('never throws, and accepts nothing but the form', () => {
    const hostile = fc.oneof(
      fc.string(),
      fc
        .array(
          fc.constantFrom('spiffe://', 'td', '/', 'ns', 'sa', 'dc', 'svc', 'a', '..', '.', '%2f', '\0', ',', ':', '@', '?', '#', 'Ä'),
          {
            maxLength: 14,
          },
        )
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        const parsed = parseSpiffeId(text);
        expect(parsed.ok).toBe(
          /^spiffe:\/\/[a-z0-9._-]+\/ns\/(?!\.{1,2}\/)[\w.-]+\/(sa|dc\/(?!\.{1,2}\/)[\w.-]+\/svc)\/(?!\.{1,2}$)[\w.-]+$/.test(text) &&
            !/\n/.test(text),
        );
      }),
      { numRuns: 2000 },
    );
  });
});

describe('trustDomainProblem', () => {
  it('has nothing against a trust domain', () => {
    expect(['cluster.local', 'a', 'prod_1.example-2.org', '10.0.0.1'].map(trustDomainProblem)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
