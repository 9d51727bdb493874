import { describe, expect, it } from 'vitest';
import type { Workload } from '../model.ts';
import { aged, hostAt, meshConfig, modelOf, routesAt, service, sidecar, targetsOf, to, virtualService } from './trying.ts';

const SERVICES = [
  service('a'),
  service('b'),
  service('c', { namespace: 'prod' }),
  service('d', { namespace: 'prod', ports: ['http:80', 'http-admin:81'] }),
];
const egress = (...hosts: string[]): object => ({ egress: [{ hosts }] });
const seen = (documents: readonly string[], who: Partial<Workload> = {}): string[] =>
  modelOf([...SERVICES, ...documents], who).hosts.map(({ name }) => name.replace('.svc.cluster.local', ''));

describe('a Sidecar', () => {
  it.each([
    ['none', undefined, 'a.default:80 b.default:80 c.prod:80 d.prod:80 d.prod:81'],
    ['without egress', {}, 'a.default:80 b.default:80 c.prod:80 d.prod:80 d.prod:81'],
    ['everything', egress('*/*'), 'a.default:80 b.default:80 c.prod:80 d.prod:80 d.prod:81'],
    ['its own namespace', egress('./*'), 'a.default:80 b.default:80'],
    ['another namespace', egress('prod/*'), 'c.prod:80 d.prod:80 d.prod:81'],
    ['one host anywhere', egress('*/c.prod.svc.cluster.local'), 'c.prod:80'],
    ['a wildcard', egress('*/*.prod.svc.cluster.local'), 'c.prod:80 d.prod:80 d.prod:81'],
    ['a host in the wrong namespace', egress('default/c.prod.svc.cluster.local'), ''],
    ['nothing', egress('~/*'), ''],
    ['all but a namespace', egress('*/*', '~prod/*'), 'a.default:80 b.default:80'],
    ['all but a host', egress('*/*', '~prod/c.prod.svc.cluster.local'), 'a.default:80 b.default:80 d.prod:80 d.prod:81'],
    [
      'a listener for one port beside one for the rest',
      { egress: [{ port: { number: 81, protocol: 'HTTP', name: 'x' }, hosts: ['prod/*'] }, { hosts: ['./*'] }] },
      'a.default:80 b.default:80 d.prod:81',
    ],
    [
      'on its port only the listener of the port holds',
      { egress: [{ port: { number: 80, protocol: 'HTTP', name: 'x' }, hosts: ['./a.default.svc.cluster.local'] }, { hosts: ['*/*'] }] },
      'a.default:80 d.prod:81',
    ],
  ])('%s', (_, spec, expected) => {
    expect(seen(spec === undefined ? [] : [sidecar('s', spec)]).join(' ')).toBe(expected);
  });

  const narrow = (name: string, namespace: string, selector: object | undefined, days = 0): string =>
    sidecar(
      name,
      { ...(selector === undefined ? {} : { workloadSelector: { labels: selector } }), ...egress(`*/${name}.default.svc.cluster.local`) },
      { namespace, ...aged(days) },
    );

  it('for these workloads beats one for the namespace, which beats that of the root', () => {
    const [chosen, general, root] = [
      narrow('a', 'default', { app: 'x' }),
      narrow('b', 'default', undefined),
      sidecar('root', egress('*/c.prod.svc.cluster.local'), { namespace: 'istio-system' }),
    ];
    expect(seen([chosen, general, root], { labels: { app: 'x' } })).toEqual(['a.default:80']);
    expect(seen([chosen, general, root], { labels: { app: 'y' } })).toEqual(['b.default:80']);
    expect(seen([chosen, root], { labels: { app: 'y' } })).toEqual(['c.prod:80']);
    expect(seen([chosen, general, root], { namespace: 'zoo' })).toEqual(['c.prod:80']);
    expect(seen([general], { namespace: 'zoo' })).toHaveLength(5);
  });

  it('of several the oldest holds', () => {
    expect(seen([narrow('a', 'default', undefined, 2), narrow('b', 'default', undefined, 1)])).toEqual(['b.default:80']);
  });

  it('decides about unknown hosts, else the mesh does', () => {
    const policy = (documents: readonly string[]): string => modelOf(documents).settings.outboundTrafficPolicy;
    expect(policy([])).toBe('ALLOW_ANY');
    expect(policy([meshConfig({ outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } })])).toBe('REGISTRY_ONLY');
    expect(
      policy([
        meshConfig({ outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } }),
        sidecar('s', { outboundTrafficPolicy: { mode: 'ALLOW_ANY' } }),
      ]),
    ).toBe('ALLOW_ANY');
    expect(policy([meshConfig({ outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } }), sidecar('s', egress('./*'))])).toBe('REGISTRY_ONLY');
  });

  it('narrows which names a client may address, not where an imported rule may send it', () => {
    const model = modelOf([
      ...SERVICES,
      sidecar('s', egress('./*')),
      virtualService('a', { hosts: ['a'], http: [to('c.prod.svc.cluster.local')] }),
    ]);
    expect(hostAt(model, 'c.prod', 80)).toBeUndefined();
    expect(targetsOf(routesAt(model, 'a')[0]!)).toBe('outbound|80||c.prod.svc.cluster.local×1');
    expect(model.services.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('drops rules of namespaces it does not import', () => {
    const far = virtualService('a', { hosts: ['a.default.svc.cluster.local'], http: [to('c')] }, { namespace: 'prod' });
    const governs = (spec: object): boolean => routesAt(modelOf([...SERVICES, far, sidecar('s', spec)]), 'a')[0]?.resource !== null;
    expect(governs(egress('./*'))).toBe(false);
    expect(governs(egress('./*', 'prod/a.default.svc.cluster.local'))).toBe(true);
  });

  it('imports a rule with several hosts if any of them is seen', () => {
    const two = virtualService('a', { hosts: ['a', 'b'], http: [to('c.prod.svc.cluster.local')] });
    const model = modelOf([...SERVICES, two, sidecar('s', egress('./a.default.svc.cluster.local'))]);
    expect(model.hosts.map(({ name, routes }) => [name, routes[0]?.resource])).toEqual([
      ['a.default.svc.cluster.local:80', 'VirtualService default/a'],
      ['b.default.svc.cluster.local:*', 'VirtualService default/a'],
    ]);
  });
});
