import { addressOf, type Endpoint } from '@inmesh/core';

/** One instance of a service, as Consul lists it. */
export interface Instance {
  readonly key: string;
  readonly health: Endpoint['health'];
  readonly host: string;
  readonly port: number;
  /** Ports besides its own, by name (Meta `port-NAME`). */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Endpoint['locality'];
  readonly network: string;
  readonly weight: number;
  readonly serviceAccount: string;
  readonly mtls: boolean;
  readonly workload: string;
  readonly namespace: string;
  readonly node: string;
}

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {});
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const texts = (value: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(fields(value)).filter((pair): pair is [string, string] => typeof pair[1] === 'string'));

/** Labels whose names Consul's Meta does not take stand in `label-1`, `label-2` … as `name=value`. */
export const LABEL_KEY = /^label-\d+$/;
const PORT_KEY = /^port-(.+)$/;

/** What `/v1/health/service/NAME` lists. Throws if it is no such list; an entry nobody could call is left out. */
export function readInstances(body: unknown): readonly Instance[] {
  if (!Array.isArray(body)) throw new Error('answered with something that is no list of instances');
  const found = new Map<string, Instance>();
  for (const entry of body) {
    const instance = readInstance(fields(entry));
    if (instance === undefined) continue;
    // Two registrations of one place, as an old one that was never taken back: the better one is right.
    const before = found.get(instance.key);
    if (before === undefined || RANK[instance.health] < RANK[before.health]) found.set(instance.key, instance);
  }
  return [...found.values()];
}

const RANK = { healthy: 0, draining: 1, unhealthy: 2 } as const;

function readInstance(entry: Fields): Instance | undefined {
  const [node, service] = [fields(entry['Node']), fields(entry['Service'])];
  const meta = texts(service['Meta']);
  // "If Service.Address is empty, Node.Address is the one" (Consul, health API).
  const host = text(service['Address']) || text(node['Address']);
  const port = service['Port'];
  if (host === '' || typeof port !== 'number' || !(port >= 0 && port <= 65_535)) return undefined;
  const { health, weight } = judge(entry['Checks'], fields(service['Weights']));
  const labels = labelsOf(meta, service['Tags']);
  return {
    key: addressOf(host, port),
    host,
    port,
    ports: portsOf(meta),
    labels,
    ...placeOf(node, service),
    weight,
    serviceAccount: meta['service_account'] ?? '',
    mtls: labels['security.istio.io/tlsMode'] === 'istio' || meta['tls_mode'] === 'istio',
    workload: meta['workload'] ?? text(service['Service']),
    namespace: meta['namespace'] ?? 'default',
    node: text(node['Node']),
    health,
  };
}

/** Where a service of a node is: what it says itself, then what Consul 1.17 and later know of both, then what the node says. */
function placeOf(node: Fields, service: Fields): Pick<Instance, 'locality' | 'network'> {
  const [meta, nodeMeta] = [texts(service['Meta']), texts(node['Meta'])];
  const place = { ...texts(node['Locality']), ...texts(service['Locality']) };
  return {
    locality: {
      region: meta['region'] ?? place['Region'] ?? nodeMeta['region'] ?? text(node['Datacenter']),
      zone: meta['zone'] ?? place['Zone'] ?? nodeMeta['zone'] ?? '',
      subzone: meta['subzone'] ?? nodeMeta['subzone'] ?? '',
    },
    network: meta['network'] ?? nodeMeta['network'] ?? '',
  };
}

/** What `/v1/agent/self` says: the place of whatever runs beside that agent, as those see it who find it in the catalog. */
export function readAgent(body: unknown): Pick<Instance, 'locality' | 'network' | 'node'> {
  const { Datacenter, NodeName } = fields(fields(body)['Config']);
  return { ...placeOf({ Datacenter, Meta: fields(body)['Meta'] }, {}), node: text(NodeName) };
}

/**
 * Passing and warning take calls, by the weight of each; critical takes none. Maintenance is a wish of an operator and no failure: no new calls while
 * there is anybody else. So is a weight of 0 for warnings.
 */
function judge(checks: unknown, weights: Fields): { readonly health: Instance['health']; readonly weight: number } {
  const all = (Array.isArray(checks) ? checks : []).map(fields);
  const failing = all.filter(({ Status }) => Status !== 'passing' && Status !== 'warning');
  const weigh = (weight: unknown): number => (typeof weight === 'number' && weight >= 0 ? weight : 1);
  const passing = Math.max(1, weigh(weights['Passing']));
  if (failing.length > 0) {
    const wished = failing.every(({ CheckID }) => /^_(?:service|node)_maintenance\b/.test(text(CheckID)));
    return { health: wished ? 'draining' : 'unhealthy', weight: passing };
  }
  if (all.every(({ Status }) => Status === 'passing')) return { health: 'healthy', weight: passing };
  const warning = weigh(weights['Warning']);
  return { health: warning === 0 ? 'draining' : 'healthy', weight: Math.max(1, warning) };
}

/** Meta, and tags: `key=value` as that, any other `tag` as `tag/NAME: "true"`. Meta wins. */
function labelsOf(meta: Readonly<Record<string, string>>, tags: unknown): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  const add = (pair: string): void => {
    const at = pair.indexOf('=');
    if (at > 0) labels[pair.slice(0, at)] = pair.slice(at + 1);
    else if (at < 0 && pair !== '') labels[`tag/${pair}`] = 'true';
  };
  for (const tag of Array.isArray(tags) ? tags : []) add(text(tag));
  for (const [key, value] of Object.entries(meta)) if (LABEL_KEY.test(key)) add(value);
  for (const [key, value] of Object.entries(meta)) if (!LABEL_KEY.test(key) && !PORT_KEY.test(key)) labels[key] = value;
  return labels;
}

function portsOf(meta: Readonly<Record<string, string>>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(meta).flatMap(([key, value]) => {
      const name = PORT_KEY.exec(key)?.[1];
      return name !== undefined && /^\d{1,5}$/.test(value) ? [[name, Number(value)]] : [];
    }),
  );
}
