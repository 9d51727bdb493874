import { describe, expect, it } from 'vitest';
import { memberEndpoint, parseMember, parseMembers } from './members.ts';

const lists = (...texts: readonly string[]) => parseMembers(texts.map((text, index) => ({ file: `${index}.yaml`, text })));

describe('lists of members', () => {
  it('name services by their hosts, in YAML or JSON, also in several texts', () => {
    const yaml = 'Reviews.shop.svc.cluster.local:\n- address: 10.0.0.1\n  ports: { http: 9080 }\n  weight: 3\n';
    const json = '{"reviews.shop.svc.cluster.local":[{"address":"10.0.0.2","health":"draining"}],"ratings":[]}';
    const found = lists(yaml, json);
    expect(found.ok && Object.fromEntries(found.services)).toMatchObject({
      'reviews.shop.svc.cluster.local': [
        { address: '10.0.0.1', ports: { http: 9080 }, weight: 3 },
        { address: '10.0.0.2', health: 'draining' },
      ],
      ratings: [],
    });
  });

  it('tell all that is wrong with them, with its place', () => {
    const found = lists(
      'reviews:\n- adress: 10.0.0.1\n- { address: 10.0.0.2, health: tired }\n- { network: eu }\n',
      'ratings: {}\n',
      'a: [\n',
    );
    expect(found.ok ? [] : found.problems).toEqual([
      expect.stringMatching(/^0\.yaml:2:3: reviews\[0\]\.adress: unknown field "adress" \(did you mean address\?\)$/),
      expect.stringMatching(/^0\.yaml:3:32: reviews\[1\]\.health: .*tired/),
      expect.stringMatching(/^0\.yaml:4:\d+: reviews\[2\]\.?.*the address is missing/),
      expect.stringMatching(/^1\.yaml:1:1: ratings: ratings is a map/),
      expect.stringMatching(/^2\.yaml:.*not YAML/),
    ] as string[]);
  });
});

describe('a member', () => {
  it('is read from plain data, or refused with sentences', () => {
    expect(parseMember({ address: '10.0.0.1' })).toMatchObject({ ok: true, member: { address: '10.0.0.1', labels: {}, ports: {} } });
    expect(parseMember({ address: '10.0.0.1', ports: { http: 0 } })).toMatchObject({ ok: false });
    for (const value of [null, 'x', [], 7, {}]) expect(parseMember(value)).toMatchObject({ ok: false });
  });

  it('becomes an endpoint: its ports by name or number, else those of the service', () => {
    const ports = [
      { number: 80, name: 'http', protocol: 'HTTP' },
      { number: 443, name: 'https', protocol: 'HTTPS' },
      { number: 81, name: '', protocol: 'HTTP' },
    ] as const;
    const parsed = parseMember({
      address: '10.0.0.1',
      ports: { http: 9080, 81: 9081 },
      serviceAccount: 'vm',
      locality: 'eu/a',
      health: 'draining',
    });
    const member = parsed.ok ? parsed.member : expect.fail();
    const home = { workload: 'w', namespace: 'n' };
    expect(memberEndpoint(member, ports, { location: 'internal', ...home })).toMatchObject({
      host: '10.0.0.1',
      ports: { 80: 9080, 443: 443, 81: 9081 },
      locality: { region: 'eu', zone: 'a', subzone: '' },
      mtls: true,
      health: 'draining',
      ...home,
    });
    expect(memberEndpoint(member, ports, { location: 'external', ...home })?.mtls).toBe(false);
  });
});
