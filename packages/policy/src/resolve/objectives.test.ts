import { describe, expect, it } from 'vitest';
import type { Objective, Workload } from '../model.ts';
import { modelOf, objective, service, serviceEntry, sidecar } from './trying.ts';

const availability = { indicator: { availability: {} }, objective: 99.9 };
const objectives = (documents: readonly string[], who: Partial<Workload> = {}): readonly Objective[] => modelOf(documents, who).objectives;
const names = (documents: readonly string[], who: Partial<Workload> = {}): readonly string[] =>
  objectives(documents, who).map(({ namespace, name }) => `${namespace}/${name}`);

describe('objectives', () => {
  it('are complete', () => {
    expect(objectives([service('reviews'), objective('a', { service: 'reviews', ...availability })])).toEqual([
      {
        resource: 'ServiceLevelObjective default/a',
        name: 'a',
        namespace: 'default',
        service: 'reviews.default.svc.cluster.local',
        indicator: { kind: 'availability' },
        objective: 99.9,
        windowMs: 30 * 24 * 3_600_000,
        enforcement: null,
      },
    ]);
  });

  it('say how slow a call may be, over which time, and what is done', () => {
    const [given] = objectives([
      service('reviews'),
      objective('a', {
        service: 'reviews',
        indicator: { latency: { threshold: '250ms' } },
        objective: 95,
        window: '1w',
        enforcement: { when: 'ticket', actions: ['freezeWeights', 'tightenRetries', 'freezeWeights'] },
      }),
    ]);
    expect(given).toMatchObject({
      indicator: { kind: 'latency', thresholdMs: 250 },
      objective: 95,
      windowMs: 7 * 24 * 3_600_000,
      enforcement: { when: 'ticket', actions: ['freezeWeights', 'tightenRetries'] },
    });
  });

  it('are known of every service a workload may see, by short name, full name or host', () => {
    expect(
      names([
        service('reviews', { namespace: 'shop' }),
        serviceEntry('api', { hosts: ['api.example.com'], resolution: 'DNS', ports: [{ number: 443, name: 'https', protocol: 'HTTPS' }] }),
        objective('b', { service: 'reviews', ...availability }, { namespace: 'shop' }),
        objective('a', { service: 'reviews.shop.svc.cluster.local', ...availability }),
        objective('c', { service: 'API.example.com', ...availability }),
        objective('short', { service: 'reviews', ...availability }),
        objective('gone', { service: 'gone', ...availability }),
      ]),
    ).toEqual(['default/a', 'default/c', 'shop/b']);
  });

  it('are not known of services that a Sidecar hides, nor of those that are not exported', () => {
    const hidden = service('b', { namespace: 'other', metadata: { annotations: { 'networking.istio.io/exportTo': '.' } } });
    const all = [
      service('a', { namespace: 'other' }),
      hidden,
      objective('a', { service: 'a', ...availability }, { namespace: 'other' }),
      objective('b', { service: 'b', ...availability }, { namespace: 'other' }),
    ];
    expect(names(all)).toEqual(['other/a']);
    expect(names([...all, sidecar('own', { egress: [{ hosts: ['./*'] }] })])).toEqual([]);
  });

  it('are known of a service the workload serves itself, though it may not call it', () => {
    const all = [
      service('a', { spec: { selector: { app: 'a' } } }),
      sidecar('own', { egress: [{ hosts: ['istio-system/*'] }] }),
      objective('own', { service: 'a', ...availability }),
    ];
    expect(names(all, { labels: { app: 'a' } })).toEqual(['default/own']);
    expect(names(all, { labels: { app: 'b' } })).toEqual([]);
  });
});
