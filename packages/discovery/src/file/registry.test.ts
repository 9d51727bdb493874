import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Resolution } from '@inmesh/core';
import { type FakeClock, fakeClock, testService } from '@inmesh/core/testing';
import type { Service } from '@inmesh/policy';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileRegistry } from './registry.ts';

let folder: string;
let file: string;
let clock: FakeClock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-members-'));
  file = join(folder, 'endpoints.yaml');
  clock = fakeClock();
});
afterEach(() => rmSync(folder, { recursive: true }));

const HOST = 'reviews.default.svc.cluster.local';
const write = (text: string): void => writeFileSync(file, text);
const opened = () => fileRegistry(file, { quietMs: 5, longestMs: 50, pollMs: 50 });

function follow(registry = opened(), fields: Partial<Service> = {}) {
  const told: string[] = [];
  const service = testService(fields);
  const hear = (resolution: Resolution): void => {
    told.push(
      resolution.state === 'bound'
        ? resolution.endpoints.map(({ address, health }) => (health === 'healthy' ? address : `${address} ${health}`)).join(', ')
        : resolution.state === 'failed'
          ? `failed: ${resolution.reason}`
          : resolution.state,
    );
  };
  const watch = registry.resolver.watch({ service, port: service.ports[0]! }, hear, { clock, random: () => 0 });
  const says = (words: string | RegExp) => expect.poll(() => told.at(-1)).toMatch(words);
  return { told, says, registry, close: () => watch.close() };
}

describe('endpoints from a file', () => {
  it('are those of the service on its port, with all the file says of them', async () => {
    write(`${HOST}:
- { address: 10.0.0.1, ports: { http: 9080 }, labels: { version: v1 }, weight: 3, locality: eu/a, network: n, serviceAccount: vm }
- { address: 10.0.0.2, ports: { 80: 9081 } }
- { address: 10.0.0.3 }
- { address: 'unix:///run/app.sock' }
- { address: 10.0.0.4, health: draining }
`);
    const { registry, close } = follow();
    close();
    const service = testService();
    const resolution = await new Promise<Resolution>((resolve) =>
      registry.resolver.watch({ service, port: service.ports[0]! }, resolve, { clock, random: () => 0 }),
    );
    expect(resolution).toMatchObject({
      state: 'bound',
      endpoints: [
        {
          address: '10.0.0.1:9080',
          labels: { version: 'v1' },
          weight: 3,
          locality: { region: 'eu', zone: 'a' },
          network: 'n',
          serviceAccount: 'vm',
          mtls: true,
          namespace: 'default',
        },
        { address: '10.0.0.2:9081', weight: 1, mtls: false },
        { address: '10.0.0.3:80' },
        { address: 'unix:///run/app.sock', host: '/run/app.sock', port: 0 },
        { address: '10.0.0.4:80', health: 'draining' },
      ],
    });
  });

  it('follow the file; who vanishes drains for a while first, who was draining goes at once', async () => {
    write('reviews.default: [{ address: 10.0.0.1 }, { address: 10.0.0.2 }, { address: 10.0.0.3, health: draining }]');
    const { told, says, close } = follow();
    await says('10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80 draining');
    write('reviews.default: [{ address: 10.0.0.2 }, { address: 10.0.0.4 }]');
    await says('10.0.0.2:80, 10.0.0.4:80, 10.0.0.1:80 draining');
    clock.advance(29_999);
    expect(told).toHaveLength(2);
    clock.advance(1);
    expect(told.at(-1)).toBe('10.0.0.2:80, 10.0.0.4:80');
    close();
    expect(clock.pending).toBe(0);
  });

  it('stay when the file is broken, emptied or removed, and the registry says what is wrong', async () => {
    write('reviews.default: [{ address: 10.0.0.1 }]');
    const { told, says, registry } = follow();
    await says('10.0.0.1:80');
    write('reviews.default: [{ adress: 10.0.0.1 }]');
    await says(/^failed: .*endpoints\.yaml:1:\d+: .*unknown field "adress"/);
    expect(registry.trouble()).toContain('did you mean address');
    write('');
    await says(/^failed: .*is empty/);
    rmSync(file);
    await says(/^failed: .*does not exist/);
    write('reviews.default: [{ address: 10.0.0.1 }, { address: 10.0.0.2 }]');
    await says('10.0.0.1:80, 10.0.0.2:80');
    expect(registry.trouble()).toBe('');
    // Whoever was listed before the trouble was never taken away.
    expect(told.filter((words) => words.includes('draining') || words === 'absent')).toEqual([]);
  });

  it('that are written to be none are none, once they have drained; a service the file does not name is not known', async () => {
    write('reviews.default: [{ address: 10.0.0.1 }]');
    const { told, says } = follow();
    const other = follow(undefined, { host: 'ratings.default.svc.cluster.local' });
    await says('10.0.0.1:80');
    await other.says('absent');
    write('reviews.default: []');
    await says('10.0.0.1:80 draining');
    clock.advance(30_000);
    expect(told.at(-1)).toBe('');
    write('ratings.default: []');
    await says('absent');
  });

  it('are read once for all services, and anew after nobody wanted them', async () => {
    write('reviews.default: [{ address: 10.0.0.1 }]');
    const registry = opened();
    const first = follow(registry);
    await first.says('10.0.0.1:80');
    const second = follow(registry);
    expect(second.told).toEqual(['10.0.0.1:80']);
    first.close();
    second.close();
    write('reviews.default: [{ address: 10.0.0.2 }]');
    const third = follow(registry);
    await third.says('10.0.0.2:80');
    expect(third.told).toEqual(['10.0.0.2:80']);
    third.close();
  });

  it('are not asked for where the caller says where to go', () => {
    const { resolver } = opened();
    const handles = (fields: Partial<Service>): boolean => {
      const service = testService(fields);
      return resolver.handles({ service, port: service.ports[0]! });
    };
    expect([handles({}), handles({ resolution: 'dns' })]).toEqual([true, true]);
    expect([handles({ resolution: 'none' }), handles({ resolution: 'dynamicDns' }), handles({ host: '*.example.com' })]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
