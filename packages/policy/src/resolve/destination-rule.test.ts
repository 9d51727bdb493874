import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Workload } from '../model.ts';
import { policyFor, type Rule } from './destination-rule.ts';
import { aged, clusterAt, destinationRule, meshConfig, modelOf, routesAt, service, to, virtualService } from './trying.ts';

/** Which rule holds is told by the connect timeout it sets. */
const rule = (name: string, namespace: string, host: string, connectTimeout: string, more: object = {}, metadata: object = {}): string =>
  destinationRule(name, { host, trafficPolicy: { connectionPool: { tcp: { connectTimeout } } }, ...more }, { namespace, ...metadata });

const held = (
  rules: readonly string[],
  who: Partial<Workload> = {},
): { readonly resources: readonly string[]; readonly connectMs: number } => {
  const model = modelOf([service('a', { namespace: 'shop' }), ...rules], { namespace: 'bank', ...who });
  const { resources, connection } = clusterAt(model, 'outbound|80||a.shop.svc.cluster.local');
  return { resources, connectMs: connection.connectTimeoutMs };
};
const host = 'a.shop.svc.cluster.local';

describe('which DestinationRule holds', () => {
  const client = rule('client', 'bank', host, '1s');
  const server = rule('server', 'shop', 'a', '2s');
  const root = rule('root', 'istio-system', host, '3s');

  it.each([
    ['the own namespace before the service and the root', [root, server, client], 1000],
    ['the namespace of the service before the root', [root, server], 2000],
    ['the root', [root], 3000],
    ['none', [], 10_000],
    ['a wildcard at home beats the name far away', [rule('wide', 'bank', '*.shop.svc.cluster.local', '4s'), server], 4000],
    [
      'the most specific host of a level',
      [
        rule('all', 'bank', '*', '4s'),
        rule('wide', 'bank', '*.svc.cluster.local', '5s'),
        rule('shop', 'bank', '*.shop.svc.cluster.local', '6s'),
      ],
      6000,
    ],
    ['the name before wildcards', [rule('all', 'bank', '*', '4s'), client], 1000],
    ['a private rule of the service is not seen', [rule('server', 'shop', 'a', '2s', { exportTo: ['.'] }), root], 3000],
    ['one exported to the caller is', [rule('server', 'shop', 'a', '2s', { exportTo: ['bank'] }), root], 2000],
    ['one exported to somebody else is not', [rule('server', 'shop', 'a', '2s', { exportTo: ['zoo'] }), root], 3000],
    ['a private rule at home is seen', [rule('client', 'bank', host, '1s', { exportTo: ['.'] }), server], 1000],
    ['a rule exported only to others is not seen at home', [rule('client', 'bank', host, '1s', { exportTo: ['zoo'] }), server], 2000],
    ['private by default of the mesh', [server, root, meshConfig({ defaultDestinationRuleExportTo: ['.'] })], 10_000],
  ])('%s', (_, rules, connectMs) => {
    expect(held(rules).connectMs).toBe(connectMs);
  });

  it('nothing is inherited: the first hit is the whole rule', () => {
    const outlier = destinationRule(
      'server',
      { host: 'a', trafficPolicy: { outlierDetection: {} }, subsets: [{ name: 'v1' }] },
      { namespace: 'shop' },
    );
    const go = virtualService('a', { hosts: [host], http: [to(host, { subset: 'v1' })] }, { namespace: 'bank' });
    const documents = [service('a', { namespace: 'shop' }), outlier, go];
    expect(clusterAt(modelOf(documents, { namespace: 'bank' }), `outbound|80|v1|${host}`).outlier).not.toBeNull();
    expect(modelOf([...documents, client], { namespace: 'bank' }).clusters).toEqual([]);
  });

  it('a workload of the root namespace sees the service first, save for private rules', () => {
    const who = { namespace: 'istio-system' };
    expect(held([root, server], who).connectMs).toBe(2000);
    expect(held([rule('root', 'istio-system', host, '3s', { exportTo: ['.'] }), server], who).connectMs).toBe(3000);
    expect(held([root], who).connectMs).toBe(3000);
  });

  it('a rule for some workloads beats one for all, in its own namespace and where the labels hold', () => {
    const chosen = rule('chosen', 'bank', host, '7s', { workloadSelector: { matchLabels: { app: 'teller' } } });
    expect(held([client, chosen], { labels: { app: 'teller', v: '1' } }).connectMs).toBe(7000);
    expect(held([client, chosen], { labels: { app: 'vault' } }).connectMs).toBe(1000);
    expect(held([rule('chosen', 'shop', host, '7s', { workloadSelector: { matchLabels: {} } })]).connectMs).toBe(10_000);
    // The level is hit all the same: nothing further away is looked at.
    expect(held([chosen, server], { labels: { app: 'vault' } }).connectMs).toBe(10_000);
  });
});

describe('several rules of one namespace for one host', () => {
  const subset = (name: string, version: string): object => ({ name, labels: { version } });

  it('subsets are put together, the oldest of a name holds, and the oldest traffic policy as a block', () => {
    const documents = [
      service('a'),
      virtualService('a', {
        hosts: ['a'],
        http: [
          { match: [{ uri: { exact: '/1' } }], ...to('a', { subset: 'v1' }) },
          { match: [{ uri: { exact: '/2' } }], ...to('a', { subset: 'v2' }) },
          to('a', { subset: 'v3' }),
        ],
      }),
      destinationRule(
        'young',
        { host: 'a', trafficPolicy: { outlierDetection: {} }, subsets: [subset('v1', 'young'), subset('v3', '3')] },
        aged(3),
      ),
      destinationRule(
        'old',
        { host: 'a', trafficPolicy: { connectionPool: { tcp: { connectTimeout: '1s' } } }, subsets: [subset('v1', 'old')] },
        aged(2),
      ),
      destinationRule('oldest', { host: 'a', subsets: [subset('v2', '2')] }, aged(1)),
    ];
    const model = modelOf(documents);
    const cluster = clusterAt(model, 'outbound|80|v1|a.default.svc.cluster.local');
    expect(cluster.resources).toEqual(['DestinationRule default/oldest', 'DestinationRule default/old', 'DestinationRule default/young']);
    expect([cluster.labels, cluster.connection.connectTimeoutMs, cluster.outlier]).toEqual([{ version: 'old' }, 1000, null]);
    expect(model.clusters.map(({ labels }) => labels)).toEqual([{ version: 'old' }, { version: '2' }, { version: '3' }]);
  });

  it('exported differently they stand side by side, and the youngest holds', () => {
    const mixed = [rule('x', 'bank', host, '1s', {}, aged(1)), rule('y', 'bank', host, '2s', { exportTo: ['.'] }, aged(2))];
    expect(held(mixed)).toEqual({ resources: ['DestinationRule bank/y'], connectMs: 2000 });
  });

  it('exported alike in other words they are one', () => {
    const alike = [
      rule('x', 'bank', host, '1s', { exportTo: ['zoo', 'bank'] }, aged(1)),
      rule('y', 'bank', host, '2s', { exportTo: ['bank', 'zoo'] }, aged(2)),
    ];
    expect(held(alike)).toEqual({ resources: ['DestinationRule bank/x', 'DestinationRule bank/y'], connectMs: 1000 });
  });
});

describe('layers of a policy', () => {
  const BLOCKS = ['connectionPool', 'loadBalancer', 'outlierDetection', 'tls'] as const;
  const EXTRAS = ['tunnel', 'proxyProtocol', 'retryBudget'] as const;
  type Block = (typeof BLOCKS)[number] | (typeof EXTRAS)[number];

  /** Values are marked by the layer they come from: the table is about which layer holds, not about what blocks mean. */
  const marked = (layer: string, blocks: readonly Block[]): object => Object.fromEntries(blocks.map((block) => [block, layer]));
  interface Given {
    readonly dr: readonly Block[];
    readonly drPort?: readonly Block[];
    readonly subset?: readonly Block[];
    readonly subsetPort?: readonly Block[];
    readonly mesh?: readonly Block[];
  }
  const effective = (given: Given): Readonly<Record<string, unknown>> => {
    const policy = (layer: string, blocks: readonly Block[], port: readonly Block[] | undefined): unknown => ({
      ...marked(layer, blocks),
      portLevelSettings:
        port === undefined
          ? []
          : [
              { port: { number: 80 }, ...marked(`${layer}:80`, port) },
              { port: { number: 81 }, ...marked('other', BLOCKS) },
            ],
    });
    const own =
      given.subset === undefined && given.subsetPort === undefined ? undefined : policy('subset', given.subset ?? [], given.subsetPort);
    const made = { resources: [], trafficPolicy: policy('dr', given.dr, given.drPort), subsets: new Map([['v1', { name: 'v1', labels: {}, trafficPolicy: own }]]), peakEwma: false, exportTo: [], selector: undefined } as unknown as Rule; // prettier-ignore
    const result = policyFor(made, 'v1', 80, marked('mesh', given.mesh ?? []) as never);
    return Object.fromEntries(Object.entries(result).filter(([, value]) => value !== undefined));
  };
  const all: readonly Block[] = [...BLOCKS, ...EXTRAS];

  it.each([
    ['the rule alone', { dr: all }, marked('dr', all)],
    ['port settings replace the blocks as a whole, and lose the rest', { dr: all, drPort: ['tls'] }, { tls: 'dr:80' }],
    ['an empty port block is all defaults', { dr: all, drPort: [] }, {}],
    [
      'a subset, block by block',
      { dr: all, subset: ['tls', 'retryBudget'] },
      { ...marked('dr', all), tls: 'subset', retryBudget: 'subset' },
    ],
    [
      'a subset over port settings of the rule',
      { dr: all, drPort: ['connectionPool'], subset: ['tls'] },
      { connectionPool: 'dr:80', tls: 'subset' },
    ],
    [
      'port settings of a subset replace the blocks and keep what else the rule had',
      { dr: all, subset: all, subsetPort: ['tls'] },
      { tls: 'subset:80', ...marked('dr', EXTRAS) },
    ],
    ['port settings on both sides', { dr: all, drPort: BLOCKS, subset: all, subsetPort: ['tls'] }, { tls: 'subset:80' }],
    [
      'the mesh fills pool and outlier detection where nobody set them',
      { dr: ['tls'], mesh: ['connectionPool', 'outlierDetection'] },
      { tls: 'dr', connectionPool: 'mesh', outlierDetection: 'mesh' },
    ],
    [
      'the mesh fills what port settings left out',
      { dr: all, drPort: ['tls'], mesh: ['connectionPool', 'outlierDetection'] },
      { tls: 'dr:80', connectionPool: 'mesh', outlierDetection: 'mesh' },
    ],
    ['the mesh does not replace', { dr: ['connectionPool'], mesh: ['connectionPool'] }, { connectionPool: 'dr' }],
  ] satisfies readonly [string, Given, object][])('%s', (_, given, expected) => {
    expect(effective(given)).toEqual(expected);
  });

  it('says where each block comes from, for every combination of layers', () => {
    const blocks = fc.subarray([...all]);
    const ports = fc.option(fc.subarray([...BLOCKS]), { nil: undefined });
    fc.assert(
      fc.property(blocks, ports, fc.option(blocks, { nil: undefined }), ports, (dr, drPort, subset, subsetPort) => {
        const result = effective({ dr, drPort, subset, subsetPort });
        const has = (layer: readonly Block[] | undefined, block: Block): boolean => layer?.includes(block) === true;
        for (const block of BLOCKS) {
          const base = drPort === undefined ? (has(dr, block) ? 'dr' : undefined) : has(drPort, block) ? 'dr:80' : undefined;
          const wanted =
            subsetPort === undefined ? (has(subset, block) ? 'subset' : base) : has(subsetPort, block) ? 'subset:80' : undefined;
          expect(result[block]).toBe(wanted);
        }
        for (const block of EXTRAS) {
          const base = drPort === undefined && has(dr, block) ? 'dr' : undefined;
          expect(result[block]).toBe(subsetPort === undefined && has(subset, block) ? 'subset' : base);
        }
      }),
    );
  });
});

describe('where the key of a hash comes from', () => {
  const key = (httpHeaderName: string): object => ({ loadBalancer: { consistentHash: { httpHeaderName } } });
  const keyOf = (trafficPolicy: object | undefined, subsetPolicy: object | undefined, port: number | undefined): string | undefined => {
    const model = modelOf([
      service('a'),
      destinationRule('a', {
        host: 'a',
        ...(trafficPolicy === undefined ? {} : { trafficPolicy }),
        subsets: [{ name: 'v1', ...(subsetPolicy === undefined ? {} : { trafficPolicy: subsetPolicy }) }],
      }),
      virtualService('a', { hosts: ['a'], http: [to('a', { subset: 'v1', ...(port === undefined ? {} : { port: { number: port } }) })] }),
    ]);
    const [hash] = routesAt(model, 'a')[0]!.hash;
    return hash?.kind === 'header' ? hash.name : undefined;
  };
  const atPort = (top: object | undefined, port: object): object => ({ ...top, portLevelSettings: [{ port: { number: 80 }, ...port }] });

  it.each([
    ['the rule', key('dr'), undefined, undefined, 'dr'],
    ['the port of the rule, if the route names it', atPort(key('dr'), key('port')), undefined, 80, 'port'],
    ['not the port of the rule, if it does not', atPort(key('dr'), key('port')), undefined, undefined, 'dr'],
    ['no key at all for a ring at a port the route does not name', atPort(undefined, key('port')), undefined, undefined, undefined],
    ['the subset before the port of the rule', atPort(key('dr'), key('port')), key('subset'), 80, 'subset'],
    ['the port of the subset before the subset', key('dr'), atPort(key('subset'), key('subset-port')), 80, 'subset-port'],
    ['the subset, if the route names no port', key('dr'), atPort(key('subset'), key('subset-port')), undefined, 'subset'],
  ])('%s', (_, trafficPolicy, subsetPolicy, port, expected) => {
    expect(keyOf(trafficPolicy, subsetPolicy, port)).toBe(expected);
  });

  it('the implicit route knows its port', () => {
    const model = modelOf([service('a'), destinationRule('a', { host: 'a', trafficPolicy: atPort(key('dr'), key('port')) })]);
    expect(routesAt(model, 'a')[0]?.hash).toEqual([{ kind: 'header', name: 'port' }]);
  });

  it.each([
    [
      { httpCookie: { name: 'user', path: '/p', ttl: '60s', attributes: [{ name: 'SameSite', value: 'Lax' }] } },
      { kind: 'cookie', name: 'user', path: '/p', ttlMs: 60_000, attributes: [{ name: 'SameSite', value: 'Lax' }] },
    ],
    [{ httpCookie: { name: 'user' } }, { kind: 'cookie', name: 'user', path: '', ttlMs: null, attributes: [] }],
    [{ httpCookie: { name: 'user', ttl: '0s' } }, { kind: 'cookie', name: 'user', path: '', ttlMs: 0, attributes: [] }],
    [{ useSourceIp: true }, { kind: 'sourceIp' }],
    [{ httpQueryParameterName: 'Q' }, { kind: 'query', name: 'Q' }],
  ])('%j', (consistentHash, expected) => {
    const model = modelOf([service('a'), destinationRule('a', { host: 'a', trafficPolicy: { loadBalancer: { consistentHash } } })]);
    expect(routesAt(model, 'a')[0]?.hash).toEqual([expected]);
  });
});
