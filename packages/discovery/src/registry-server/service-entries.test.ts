import { parse } from '@inmesh/policy';
import { expect, test } from 'vitest';
import { serviceEntries } from './service-entries.ts';

const http = [{ name: 'http', number: 80, protocol: 'HTTP' }];
const hostsIn = (...texts: readonly string[]): unknown => {
  const parsed = parse(texts.map((text, index) => ({ file: `${index}`, text })));
  if (!parsed.ok) return parsed.problems.map(({ message }) => message);
  return parsed.document.resources.map(({ spec }) => (spec as { hosts: string[] }).hosts[0]);
};

test('every registered service is a resource, and those of two registries make one document', () => {
  const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.test`;
  const catalog = ['reviews.default.svc.cluster.local', 'api.example.com', long].map((host) => ({
    host,
    namespace: 'default',
    ports: http,
  }));
  const hosts = catalog.map(({ host }) => host);
  expect(hostsIn(serviceEntries(catalog, 'http://one'), serviceEntries(catalog, 'http://two'))).toEqual([...hosts, ...hosts]);
});

test('what would not pass is left out, and the others are as if it were not there', () => {
  const bad = [
    { host: 'no host at all', namespace: 'default', ports: http },
    { host: 'a.test', namespace: 'No Namespace', ports: http },
    { host: 'b.test', namespace: 'default', ports: [{ ...http[0]!, name: '' }] },
    { host: 'c.test', namespace: 'default', ports: [{ ...http[0]!, protocol: 'CARRIER-PIGEON' }] },
    { host: 'd.test', namespace: 'default', ports: [] },
  ];
  expect(hostsIn(serviceEntries([...bad, { host: 'good.test', namespace: 'default', ports: http }], 'r'))).toEqual(['good.test']);
});
