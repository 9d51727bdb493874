import { describe, expect, it } from 'vitest';
import {
  aged,
  destinationRule,
  hostAt,
  meshConfig,
  modelOf,
  routesAt,
  service,
  serviceEntry,
  targetsOf,
  to,
  virtualService,
} from './trying.ts';
import { selects, visibleTo } from './visibility.ts';

describe('exportTo', () => {
  it.each([
    [[], ['*'], 'shop', 'bank', true],
    [[], ['.'], 'shop', 'bank', false],
    [[], ['.'], 'shop', 'shop', true],
    [['.'], ['*'], 'shop', 'bank', false],
    [['.'], ['*'], 'shop', 'shop', true],
    [['*'], ['.'], 'shop', 'bank', true],
    [['bank'], ['*'], 'shop', 'bank', true],
    [['bank'], ['*'], 'shop', 'shop', false],
    [['bank', '.'], ['*'], 'shop', 'shop', true],
    [['~'], ['*'], 'shop', 'shop', false],
  ] as const)('%j (default %j) of namespace %s seen from %s: %s', (exportTo, fallback, owner, viewer, seen) => {
    expect(visibleTo(exportTo, fallback, owner, viewer)).toBe(seen);
  });

  it('a selector holds if the labels have all it names', () => {
    expect(selects({}, {})).toBe(true);
    expect(selects({ app: 'a' }, { app: 'a', version: 'v1' })).toBe(true);
    expect(selects({ app: 'a', version: 'v2' }, { app: 'a', version: 'v1' })).toBe(false);
  });
});

describe('what a workload sees', () => {
  const annotated = (exportTo: string): string =>
    service('reviews', { namespace: 'shop', metadata: { annotations: { 'networking.istio.io/exportTo': exportTo } } });
  const seen = (documents: readonly string[], namespace: string): boolean =>
    hostAt(modelOf(documents, { namespace }), 'reviews.shop.svc.cluster.local', 80) !== undefined;

  it('a Service is exported by an annotation', () => {
    expect([seen([annotated('.')], 'shop'), seen([annotated('.')], 'bank')]).toEqual([true, false]);
    expect([seen([annotated('bank, zoo')], 'shop'), seen([annotated('bank, zoo')], 'bank'), seen([annotated('bank, zoo')], 'zoo')]).toEqual(
      [false, true, true],
    );
    expect(seen([annotated('~')], 'shop')).toBe(false);
  });

  it('MeshConfig decides where nothing is said', () => {
    const quiet = meshConfig({ defaultServiceExportTo: ['.'] });
    expect(seen([service('reviews', { namespace: 'shop' })], 'bank')).toBe(true);
    expect(seen([service('reviews', { namespace: 'shop' }), quiet], 'bank')).toBe(false);
    expect(seen([annotated('*'), quiet], 'bank')).toBe(true);
  });

  it('a ServiceEntry for nobody is seen by nobody', () => {
    const entry = (exportTo: string): string =>
      serviceEntry('api', {
        hosts: ['api.test'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'DNS',
        exportTo: [exportTo],
      });
    expect(hostAt(modelOf(entry('~')), 'api.test', 80)).toBeUndefined();
    expect(hostAt(modelOf(entry('.')), 'api.test', 80)).toBeDefined();
    expect(hostAt(modelOf(entry('.'), { namespace: 'bank' }), 'api.test', 80)).toBeUndefined();
  });

  it('a destination that is not exported does not exist', () => {
    const documents = [service('a'), annotated('.'), virtualService('a', { hosts: ['a'], http: [to('reviews.shop.svc.cluster.local')] })];
    expect(targetsOf(routesAt(modelOf(documents), 'a')[0]!)).toBe('outbound|80||reviews.shop.svc.cluster.local!503');
  });

  it('a VirtualService governs the namespaces it is exported to, and its own only if it is among them', () => {
    const governs = (exportTo: readonly string[], namespace: string, more: readonly string[] = []): boolean =>
      routesAt(
        modelOf(
          [
            service('a', { namespace: 'shop' }),
            virtualService('a', { hosts: ['a'], http: [to('a')], exportTo }, { namespace: 'shop' }),
            ...more,
          ],
          { namespace },
        ),
        'a.shop',
      )[0]!.resource !== null;
    expect([governs([], 'shop'), governs([], 'bank')]).toEqual([true, true]);
    expect([governs(['.'], 'shop'), governs(['.'], 'bank')]).toEqual([true, false]);
    expect([governs(['bank'], 'shop'), governs(['bank'], 'bank')]).toEqual([false, true]);
    expect(governs([], 'bank', [meshConfig({ defaultVirtualServiceExportTo: ['.'] })])).toBe(false);
  });

  it('of two services for one host Kubernetes beats a ServiceEntry, then the own namespace, then the oldest', () => {
    const entry = (namespace: string, days: number): string =>
      serviceEntry(
        'api',
        { hosts: ['api.shop.svc.cluster.local'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' },
        { namespace, ...aged(days) },
      );
    const owner = (documents: readonly string[], namespace: string): string | undefined =>
      modelOf(documents, { namespace }).services.find(({ host }) => host === 'api.shop.svc.cluster.local')?.resource;
    expect(owner([entry('a', 2), entry('b', 1)], 'zoo')).toBe('ServiceEntry b/api');
    expect(owner([entry('a', 2), entry('b', 1)], 'a')).toBe('ServiceEntry a/api');
    expect(owner([entry('a', 2), entry('b', 1), service('api', { namespace: 'shop', metadata: aged(3) })], 'a')).toBe('Service shop/api');
  });

  it('a rule does not apply where its DestinationRule is not exported', () => {
    const rule = destinationRule(
      'a',
      { host: 'a', subsets: [{ name: 'v1', labels: { version: 'v1' } }], exportTo: ['.'] },
      { namespace: 'shop' },
    );
    const documents = [
      service('a', { namespace: 'shop' }),
      rule,
      virtualService('a', { hosts: ['a'], http: [to('a', { subset: 'v1' })] }, { namespace: 'shop' }),
    ];
    expect(targetsOf(routesAt(modelOf(documents, { namespace: 'shop' }), 'a')[0]!)).toBe('outbound|80|v1|a.shop.svc.cluster.local×1');
    expect(targetsOf(routesAt(modelOf(documents, { namespace: 'bank' }), 'a.shop')[0]!)).toBe(
      'outbound|80|v1|a.shop.svc.cluster.local!503',
    );
  });
});
