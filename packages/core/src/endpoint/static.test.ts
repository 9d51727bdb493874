import { expect, test } from 'vitest';
import type { Resolution } from '../ports/resolver.ts';
import { fakeClock, testService, testSpec } from '../testing/index.ts';
import { addressOf, staticEndpoints, staticResolver } from './static.ts';

test('writes addresses as people and transports do', () => {
  const service = testService({
    endpoints: [
      testSpec('10.0.0.1'),
      testSpec('fd00::1'),
      testSpec('[fd00::2]'),
      testSpec('unix:///var/run/app.sock', { ports: {} }),
      testSpec('db.internal'),
    ],
  });
  expect(staticEndpoints(service, 80).map(({ address, host, port }) => [address, host, port])).toEqual([
    ['10.0.0.1:8080', '10.0.0.1', 8080],
    ['[fd00::1]:8080', 'fd00::1', 8080],
    ['[fd00::2]:8080', 'fd00::2', 8080],
    ['unix:///var/run/app.sock', '/var/run/app.sock', 0],
    ['db.internal:8080', 'db.internal', 8080],
  ]);
  expect(addressOf('fe80::1', 1)).toBe('[fe80::1]:1');
});

test('keeps what the document says of a member, and leaves out those that do not listen on the port', () => {
  const locality = { region: 'eu', zone: 'a', subzone: '' };
  const service = testService({
    endpoints: [
      testSpec('10.0.0.1', { labels: { version: 'v1' }, locality, weight: 7, health: 'draining' }),
      testSpec('10.0.0.2', { ports: { 443: 8443 } }),
    ],
  });
  expect(staticEndpoints(service, 80)).toEqual([
    { address: '10.0.0.1:8080', host: '10.0.0.1', port: 8080, labels: { version: 'v1' }, locality, network: '', weight: 7, serviceAccount: '', mtls: false, workload: '', namespace: '', node: '', health: 'draining' },
  ]); // prettier-ignore
});

test('resolves static services at once, and no others', () => {
  const service = testService({ endpoints: [testSpec('10.0.0.1')] });
  const port = service.ports[0]!;
  const heard: Resolution[] = [];
  staticResolver.watch({ service, port }, (resolution) => heard.push(resolution), { clock: fakeClock(), random: () => 0 }).close();
  expect(heard).toEqual([{ state: 'bound', endpoints: staticEndpoints(service, 80) }]);
  expect(staticResolver.handles({ service, port })).toBe(true);
  for (const resolution of ['dns', 'dnsRoundRobin', 'dynamicDns', 'none'] as const) {
    expect(staticResolver.handles({ service: testService({ resolution }), port })).toBe(false);
  }
});
