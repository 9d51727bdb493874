import type { MtlsMode, PeerRule } from '@inmesh/policy';
import { expect, it } from 'vitest';
import { testEndpoint } from '../testing/index.ts';
import { obeyPeers } from './peers.ts';

const rule = (mode: MtlsMode, fields: Partial<PeerRule> = {}, ports: Readonly<Record<string, MtlsMode>> = {}): PeerRule => ({
  namespace: null,
  labels: {},
  mtls: { mode, ports, resources: [] },
  ...fields,
});
const reviews = testEndpoint('10.0.0.1:9080', { mtls: true, namespace: 'shop', labels: { app: 'reviews', version: 'v1' } });
const ratings = testEndpoint('10.0.0.2:9080', { mtls: true, namespace: 'shop', labels: { app: 'ratings' } });
const mail = testEndpoint('10.0.0.3:25', { mtls: true, namespace: 'mail' });
/** Addresses of those that are called in plaintext. */
const plain = (...rules: readonly PeerRule[]): string =>
  obeyPeers([reviews, ratings, mail], rules)
    .filter(({ mtls }) => !mtls)
    .map(({ host }) => host.slice(-1))
    .join('');

it('DISABLE holds for whom its namespace and labels select', () => {
  expect(plain(rule('DISABLE'))).toBe('123');
  expect(plain(rule('DISABLE', { namespace: 'shop' }))).toBe('12');
  expect(plain(rule('DISABLE', { namespace: 'shop', labels: { app: 'reviews', version: 'v1' } }))).toBe('1');
  expect(plain(rule('DISABLE', { namespace: 'shop', labels: { app: 'reviews', version: 'v2' } }))).toBe('');
  expect(plain(rule('STRICT'), rule('PERMISSIVE'))).toBe('');
});

it('the first rule that selects an endpoint decides alone', () => {
  const own = { namespace: 'shop', labels: { app: 'reviews' } };
  expect(plain(rule('STRICT', own), rule('DISABLE', { namespace: 'shop' }))).toBe('2');
  expect(plain(rule('DISABLE', own), rule('STRICT'))).toBe('1');
});

it('a port has a mode of its own', () => {
  expect(plain(rule('STRICT', {}, { 9080: 'DISABLE' }))).toBe('12');
  expect(plain(rule('DISABLE', {}, { 9080: 'PERMISSIVE' }))).toBe('3');
});

it('nobody is given what he could not do, and without rules the list is the list', () => {
  const list = [testEndpoint('10.0.0.4:80', { mtls: false })];
  expect(obeyPeers(list, [rule('STRICT')])[0]).toBe(list[0]);
  expect(obeyPeers(list, [])).toBe(list);
});
