/** Documents of the core bench, of any size, as JSON: what a process is sent. */
import { type Document, type Model, parse, resolve, workload } from '@inmesh/policy';

const NETWORKING = { apiVersion: 'networking.istio.io/v1' } as const;
export const ME = workload({ name: 'client', namespace: 'default' });

export interface WorldSize {
  readonly routes: number;
  readonly endpoints: number;
}

/** `plain`: a service and its routes. `full`: split, retries, timeout, outlier detection, header rules on every route. */
export type Kind = 'plain' | 'full';

/** One service, `echo.example.com`, whose route i is `/api/i/…`. */
export function oneService(kind: Kind, { routes, endpoints }: WorldSize): object[] {
  const host = 'echo.example.com';
  return [
    serviceEntry(host, endpoints),
    {
      ...NETWORKING,
      kind: 'VirtualService',
      metadata: { name: 'echo', namespace: 'default' },
      spec: {
        hosts: [host],
        http: Array.from({ length: routes }, (_, route) => (kind === 'plain' ? plainRoute(host, route) : fullRoute(host, route))),
      },
    },
    ...(kind === 'plain' ? [] : [destinationRule(host)]),
  ];
}

/** `services` services with four endpoints each, every one with a VirtualService of `routes` routes and a DestinationRule. */
export function manyServices(services: number, routes: number): object[] {
  return Array.from({ length: services }, (_, index) => {
    const host = `service-${index}.example.com`;
    return [
      serviceEntry(host, 4),
      {
        ...NETWORKING,
        kind: 'VirtualService',
        metadata: { name: `service-${index}`, namespace: 'default' },
        spec: { hosts: [host], http: Array.from({ length: routes }, (_, route) => fullRoute(host, route)) },
      },
      destinationRule(host),
    ];
  }).flat();
}

/** A service whose endpoints somebody else looks up, balanced as told. */
export function lookedUp(loadBalancer: object, annotations: Readonly<Record<string, string>> = {}): object[] {
  const host = 'echo.example.com';
  return [
    {
      ...NETWORKING,
      kind: 'ServiceEntry',
      metadata: { name: 'echo', namespace: 'default' },
      spec: { hosts: [host], location: 'MESH_INTERNAL', resolution: 'DNS', ports: [HTTP] },
    },
    {
      ...NETWORKING,
      kind: 'DestinationRule',
      metadata: { name: 'echo', namespace: 'default', annotations },
      spec: { host, trafficPolicy: { loadBalancer, outlierDetection: { consecutive5xxErrors: 5 } } },
    },
  ];
}

export function parsed(text: string): Document {
  const result = parse([{ file: 'bench.json', text }]);
  if (!result.ok)
    throw new Error(
      `the bench's own document is wrong: ${result.problems.map(({ resource, path, message }) => `${resource} ${path} ${message}`).join('\n')}`,
    );
  return result.document;
}

export function modelOf(resources: readonly object[]): Model {
  return resolve(parsed(textOf(resources)), ME);
}

export function textOf(resources: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: resources });
}

const HTTP = { number: 80, name: 'http', protocol: 'HTTP' };

function serviceEntry(host: string, endpoints: number): object {
  return {
    ...NETWORKING,
    kind: 'ServiceEntry',
    metadata: { name: host.split('.')[0], namespace: 'default' },
    spec: {
      hosts: [host],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [HTTP],
      endpoints: Array.from({ length: endpoints }, (_, index) => ({
        address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
        labels: { version: `v${(index % 2) + 1}` },
      })),
    },
  };
}

function destinationRule(host: string): object {
  return {
    ...NETWORKING,
    kind: 'DestinationRule',
    metadata: { name: host.split('.')[0], namespace: 'default' },
    spec: {
      host,
      trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5, interval: '10s', baseEjectionTime: '30s' } },
      subsets: [
        { name: 'v1', labels: { version: 'v1' } },
        { name: 'v2', labels: { version: 'v2' } },
      ],
    },
  };
}

const plainRoute = (host: string, route: number): object => ({
  name: `route-${route}`,
  match: [{ uri: { prefix: `/api/${route}/` } }],
  route: [{ destination: { host } }],
});

const fullRoute = (host: string, route: number): object => ({
  name: `route-${route}`,
  match: [{ uri: { prefix: `/api/${route}/` } }],
  timeout: '5s',
  retries: { attempts: 2, perTryTimeout: '2s', retryOn: '5xx,connect-failure,refused-stream,reset' },
  headers: { request: { set: { 'x-tier': 'gold' } }, response: { remove: ['x-internal'] } },
  route: [
    { destination: { host, subset: 'v1' }, weight: 50 },
    { destination: { host, subset: 'v2' }, weight: 50 },
  ],
});
