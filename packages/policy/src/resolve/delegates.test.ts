import { describe, expect, it } from 'vitest';
import { hostAt, modelOf, routesAt, service, targetsOf, to, virtualService } from './trying.ts';

const root = (match: readonly object[], more: object = {}): string =>
  virtualService('root', {
    hosts: ['shop'],
    http: [
      { ...(match.length > 0 ? { match } : {}), delegate: { name: 'child', namespace: 'team' }, ...more },
      { name: 'rest', ...to('shop') },
    ],
  });
const child = (http: readonly object[], spec: object = {}): string => virtualService('child', { http, ...spec }, { namespace: 'team' });
const services = [service('shop'), service('cart', { namespace: 'team' }), service('log')];
const paths = (documents: readonly string[]): string[] =>
  routesAt(modelOf([...services, ...documents]), 'shop').map(({ match, name }) => `${name}:${match.path?.value ?? '*'}`);

describe('delegates', () => {
  it('stand in the place of the rule that delegates to them', () => {
    const routes = routesAt(
      modelOf([
        ...services,
        root([{ uri: { prefix: '/cart' } }], { name: 'root' }),
        child([{ name: 'add', match: [{ uri: { exact: '/cart/add' }, name: 'm' }], ...to('cart') }, to('cart')]),
      ]),
      'shop',
    );
    expect(routes.map((route) => [route.name, route.match.path?.value, targetsOf(route), route.resource])).toEqual([
      ['root-add.m', '/cart/add', 'outbound|80||cart.team.svc.cluster.local×1', 'VirtualService default/root'],
      ['root', '/cart', 'outbound|80||cart.team.svc.cluster.local×1', 'VirtualService default/root'],
      ['rest', undefined, 'outbound|80||shop.default.svc.cluster.local×1', 'VirtualService default/root'],
    ]);
  });

  const prefix = { uri: { prefix: '/a' } };
  const exact = { uri: { exact: '/a' } };
  const regex = { uri: { regex: '/a.*' } };
  it.each([
    ['prefix under prefix extends it', prefix, { uri: { prefix: '/a/b' } }, true],
    ['prefix beside prefix', prefix, { uri: { prefix: '/b' } }, false],
    ['shorter prefix under a longer one', { uri: { prefix: '/a/b' } }, prefix, false],
    ['exact under prefix', prefix, { uri: { exact: '/a/x' } }, true],
    ['exact beside prefix', prefix, { uri: { exact: '/b' } }, false],
    ['the same exact', exact, exact, true],
    ['another exact', exact, { uri: { exact: '/b' } }, false],
    ['prefix under exact', exact, prefix, false],
    ['regex above', regex, exact, false],
    ['regex below', prefix, regex, false],
    ['regex on both sides', regex, regex, false],
    ['regex above, nothing below', regex, { method: { exact: 'GET' } }, true],
    ['the same header', { headers: { x: { exact: '1' } } }, { headers: { x: { exact: '1' } } }, true],
    ['another value of the header', { headers: { x: { exact: '1' } } }, { headers: { x: { exact: '2' } } }, false],
    ['another header', { headers: { x: { exact: '1' } } }, { headers: { y: { exact: '2' } } }, true],
    ['another query parameter value', { queryParams: { q: { exact: '1' } } }, { queryParams: { q: { exact: '2' } } }, false],
    ['another case rule', { ...prefix, ignoreUriCase: true }, { uri: { prefix: '/a/b' } }, false],
    ['the same port', { port: 80 }, { port: 80 }, true],
    ['another port', { port: 80 }, { port: 81 }, false],
    ['a port below only', prefix, { port: 80 }, true],
    ['the same namespace', { sourceNamespace: 'default' }, { sourceNamespace: 'default' }, true],
    ['a namespace above only', { sourceNamespace: 'default' }, { uri: { prefix: '/a' } }, false],
    ['another label value', { sourceLabels: { app: 'x' } }, { sourceLabels: { app: 'y' } }, false],
    ['another gateway', { gateways: ['mesh'] }, { gateways: ['mesh', 'edge'] }, false],
    ['gateways below only', prefix, { gateways: ['mesh'] }, true],
  ])('%s: kept is %4$s', (_, above, below, kept) => {
    const host = hostAt(
      modelOf([...services, root([above]), child([{ match: [below], ...to('cart') }])], { labels: { app: 'x' } }),
      'shop',
      80,
    );
    expect(host?.routes.some((route) => targetsOf(route).includes('cart'))).toBe(kept);
    expect(host?.why.some((sentence) => sentence.includes('contradicts'))).toBe(!kept);
  });

  it('every match below is combined with every match above that it fits', () => {
    expect(paths([root([{ uri: { prefix: '/a' } }, { uri: { prefix: '/b' } }]), child([{ name: 'c', match: [{ uri: { prefix: '/a/1' } }, { method: { exact: 'GET' } }], ...to('cart') }])])).toEqual([
      'c:/a/1', 'c:/a', 'c:/b', 'rest:*',
    ]); // prettier-ignore
  });

  it('one match below that fits none above drops its whole rule', () => {
    expect(
      paths([
        root([{ uri: { prefix: '/a' } }]),
        child([{ match: [{ uri: { prefix: '/a/1' } }, { uri: { prefix: '/z' } }], ...to('cart') }]),
      ]),
    ).toEqual(['rest:*']);
  });

  it('blocks of the delegate hold whole, those of the root fill gaps', () => {
    const routes = routesAt(
      modelOf([
        ...services,
        root([], {
          timeout: '5s',
          headers: { request: { set: { a: 'root' }, add: { b: 'root' } } },
          mirror: { host: 'log' },
          retries: { attempts: 4 },
        }),
        child([
          { match: [{ uri: { exact: '/1' } }], headers: { request: { set: { a: 'child' } } }, timeout: '1s', ...to('cart') },
          to('cart'),
        ]),
      ]),
      'shop',
    );
    const headers = routes.map(({ action }) => (action.kind === 'forward' ? action.destinations[0]?.requestHeaders : []));
    expect(headers[0]).toEqual([{ op: 'set', name: 'a', value: 'child' }]);
    expect(headers[1]).toHaveLength(2);
    expect(routes.map(({ timeoutMs, retries }) => [timeoutMs, retries?.attempts])).toEqual([[1000, 4], [5000, 4]]); // prettier-ignore
    // What comes from the root means services of the root's namespace.
    expect(routes[0]?.mirrors).toEqual([{ cluster: 'outbound|80||log.default.svc.cluster.local', percent: 100 }]);
  });

  it('a missing delegate, one with hosts, or one not exported to the root drops the rule and says so', () => {
    const why = (documents: readonly string[]): string => hostAt(modelOf([...services, ...documents]), 'shop', 80)?.why.join('\n') ?? '';
    expect(paths([root([])])).toEqual(['rest:*']);
    expect(why([root([])])).toContain('there is no VirtualService team/child without hosts');
    expect(why([root([]), child([to('cart')], { hosts: ['cart'] })])).toContain('there is no VirtualService team/child without hosts');
    expect(why([root([]), child([to('cart')], { exportTo: ['.'] })])).toContain(
      'VirtualService team/child is not exported to namespace default',
    );
    expect(paths([root([]), child([to('cart')], { exportTo: ['default'] })])).toEqual([':*']);
  });

  it('a delegate alone governs nobody', () => {
    expect(routesAt(modelOf([...services, child([to('cart')])]), 'cart.team')[0]?.resource).toBeNull();
  });
});
