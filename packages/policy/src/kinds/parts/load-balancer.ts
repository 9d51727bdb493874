import * as v from 'valibot';
import { defaulted, list, mapOf, optional, required, text } from '../../schema/fields.ts';
import { duration, oneOf, percentNumber, positiveDuration, uint32, whole } from '../../schema/scalars.ts';
import type { Partly, Path, Report } from '../kind.ts';

/** Istio's LocalityLoadBalancerSetting. */
export const localityLb = v.object({
  distribute: list(
    v.object({
      from: text('Locality of the caller, `region/zone/subzone`, `*` for any.'),
      to: mapOf(whole(1, 100), 'Locality → percent of the calls. All together are 100.'),
    }),
    'Shares of the calls by locality. The first entry whose `from` is the locality of the caller holds.',
    { honoured: 'HGWT' },
  ),
  failover: list(
    v.object({
      from: required(v.string(), 'Region of the caller.'),
      to: required(v.string(), 'Region that serves if its own fails.'),
    }),
    'Which region serves when another has no healthy endpoint.',
    { honoured: 'HGWT' },
  ),
  failoverPriority: list(
    v.string(),
    'Labels, most important first: endpoints that share more of them with the caller are preferred. `key` or `key=value`.',
    {
      honoured: 'HGWT',
    },
  ),
  enabled: optional(v.boolean(), 'Whether locality counts.', { default: 'true', honoured: 'HGWT' }),
});

/** Istio's ZoneAwareLbSetting (Envoy zone-aware routing). */
export const zoneAwareLb = v.object({
  enabled: optional(v.boolean(), 'Whether zone-aware routing is on.'),
  failover: list(
    v.object({ from: required(v.string(), 'Region of the caller.'), to: required(v.string(), 'Region that serves if its own fails.') }),
    'As of localityLbSetting.',
  ),
  failoverPriority: list(v.string(), 'As of localityLbSetting.'),
  minClusterSize: optional(uint32, 'Endpoints below which calls are not kept in the zone.', { default: '6' }),
});

const cookie = v.object({
  name: required(v.string(), 'Name of the cookie.'),
  path: text('Path of a generated cookie.'),
  ttl: optional(
    duration,
    'Life of a generated cookie in whole seconds; 0s: a session cookie. Absent: the cookie is only read, never generated.',
  ),
  attributes: list(
    v.object({ name: required(v.string(), 'Name of the attribute.'), value: text('Value of the attribute.') }),
    'More attributes of a generated cookie, such as SameSite.',
  ),
});

/** Istio's ConsistentHashLB: the same key goes to the same endpoint. */
export const consistentHash = v.object({
  httpHeaderName: text('Header whose value is the key.', { honoured: 'HGW' }),
  httpCookie: optional(cookie, 'Cookie whose value is the key.', { honoured: 'HGW' }),
  useSourceIp: optional(v.boolean(), 'The address of the caller is the key.', { honoured: 'HGWT' }),
  httpQueryParameterName: text('Query parameter whose value is the key.', { honoured: 'HGW' }),
  ringHash: optional(
    v.object({ minimumRingSize: defaulted(whole(0, 8_388_608), 1024, 'Fewest points on the ring.') }),
    'Hash on a ring (ketama), the default.',
    { honoured: 'HGWT' },
  ),
  maglev: optional(
    v.object({ tableSize: defaulted(whole(0, 5_000_010), 65_537, 'Size of the table: a prime below 5000011.') }),
    'Hash on a Maglev table.',
    {
      honoured: 'HGWT',
    },
  ),
  minimumRingSize: optional(whole(0, 8_388_608), 'Fewest points on the ring.', {
    deprecated: 'write ringHash.minimumRingSize',
    honoured: 'HGWT',
  }),
});

/** Istio's LoadBalancerSettings; `simple` is a parameter, since MeshConfig knows one algorithm more. */
export const loadBalancerWith = <const Words extends readonly string[]>(...words: Words) =>
  v.object({
    simple: optional(oneOf(...words), 'Algorithm. UNSPECIFIED is LEAST_REQUEST; PASSTHROUGH calls the address the caller asked for.', {
      default: 'LEAST_REQUEST',
      honoured: 'HGWT',
    }),
    consistentHash: optional(consistentHash, 'The same key goes to the same endpoint. Excludes simple.', { honoured: 'HGWT' }),
    localityLbSetting: optional(localityLb, 'Preference by locality.', { default: 'localityLbSetting of the mesh', honoured: 'HGWT' }),
    zoneAwareLbSetting: optional(zoneAwareLb, 'Zone-aware routing.', {
      notHonoured: 'it needs the number of callers in each zone; localityLbSetting is honoured',
    }),
    warmup: optional(
      v.object({
        duration: required(positiveDuration, 'Time over which a new endpoint comes to its full share.'),
        minimumPercent: optional(percentNumber, 'Share a new endpoint begins with.', { default: '10' }),
        aggression: optional(
          v.pipe(v.number(), v.minValue(1, 'aggression is below 1')),
          'Above 1 the share grows faster at the beginning.',
          { default: '1' },
        ),
      }),
      'Slow start of new endpoints, for ROUND_ROBIN and LEAST_REQUEST.',
      { default: 'off', honoured: 'HGWT' },
    ),
    warmupDurationSecs: optional(positiveDuration, 'Time over which a new endpoint comes to its full share.', {
      deprecated: 'write warmup.duration',
      honoured: 'HGWT',
    }),
  });

/** LoadBalancerSettings as Istio has them. */
export const loadBalancer = loadBalancerWith('UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST');

export type LoadBalancerSettings = v.InferOutput<typeof loadBalancer>;
export type LocalityLbSetting = v.InferOutput<typeof localityLb>;

/** Refused together with each other in LocalityLoadBalancerSetting. */
export function checkLocalityLb(setting: Partly<LocalityLbSetting> | undefined, path: Path, report: Report): void {
  if (setting === undefined) return;
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  if (distribute.length > 0 && failover.length > 0)
    report.conflict([...path, 'failover'], 'distribute excludes failover', 'keep one of them');
  if (distribute.length > 0 && failoverPriority.length > 0)
    report.conflict([...path, 'failoverPriority'], 'distribute excludes failoverPriority', 'keep one of them');

  const froms = new Set<string>();
  for (const [index, entry] of distribute.entries()) {
    if (entry === undefined) continue;
    const at = [...path, 'distribute', index];
    checkPlace(entry.from, [...at, 'from'], report);
    if (entry.from !== undefined && froms.size === froms.add(entry.from).size)
      report.error([...at, 'from'], `"${entry.from}" stands in two entries of distribute`, 'keep one');
    const shares = Object.entries(entry.to ?? {});
    if (entry.to !== undefined && shares.length === 0)
      report.error([...at, 'to'], 'distribute names no locality', 'add localities with their percent');
    for (const [to] of shares) checkPlace(to, [...at, 'to', to], report);
    const sum = shares.reduce((total, [, share]) => total + (share ?? Number.NaN), 0);
    if (shares.length > 0 && !Number.isNaN(sum) && sum !== 100)
      report.error([...at, 'to'], `the percents add up to ${sum}, not 100`, 'change them so that they add up to exactly 100');
    checkOverlap(
      shares.map(([to]) => to),
      [...at, 'to'],
      report,
    );
  }

  const fallen = new Set<string>();
  for (const [index, entry] of failover.entries()) {
    if (entry === undefined) continue;
    const at = [...path, 'failover', index];
    if (entry.from !== undefined && entry.from === entry.to)
      report.error([...at, 'to'], `failover from "${entry.from}" leads to itself`, 'name another region');
    for (const side of ['from', 'to'] as const) {
      const region = entry[side];
      if (region === '' || region?.includes('*') === true || region?.includes('/') === true)
        report.error([...at, side], `"${region}" is not a region`, 'failover is by region: a plain name without / and *');
    }
    if (entry.from !== undefined && fallen.size === fallen.add(entry.from).size)
      report.error([...at, 'from'], `"${entry.from}" stands in two entries of failover`, 'keep one');
  }

  const seen = new Set<string>();
  for (const [index, label] of failoverPriority.entries()) {
    if (label === undefined) continue;
    const key = label.split('=', 1)[0] ?? '';
    if (key === '') report.error([...path, 'failoverPriority', index], `"${label}" names no label`, 'write key or key=value');
    else if (seen.size === seen.add(key).size)
      report.error([...path, 'failoverPriority', index], `label "${key}" stands twice in failoverPriority`, 'keep one');
  }
}

/** `region/zone/subzone` with `*` only as the last segment, as Istio's validateLocalities. */
function checkPlace(locality: string | undefined, path: Path, report: Report): void {
  if (locality === undefined) return;
  const parts = locality.split('/');
  const star = parts.indexOf('*');
  if (
    locality === '' ||
    parts.length > 3 ||
    parts.some((part) => part === '' || (part.includes('*') && part !== '*')) ||
    (star >= 0 && star < parts.length - 1)
  )
    report.error(path, `"${locality}" is not a locality`, 'write region/zone/subzone, at most ending in *, such as us-west/* or *');
}

/** Two localities of one list of which one covers the other. */
function checkOverlap(localities: readonly string[], path: Path, report: Report): void {
  const covers = (wide: string, narrow: string): boolean => {
    const w = wide.split('/');
    const n = narrow.split('/');
    return w.every((part, index) => part === '*' || part === n[index]);
  };
  for (const [index, one] of localities.entries())
    for (const other of localities.slice(index + 1))
      if (covers(one, other) || covers(other, one))
        report.error([...path, other], `localities "${one}" and "${other}" overlap`, 'name each place once');
}

/** Istio's validateLoadBalancer. */
export function checkLoadBalancer(
  lb: Partly<Omit<LoadBalancerSettings, 'simple'> & { simple: string | undefined }> | undefined,
  path: Path,
  report: Report,
): void {
  if (lb === undefined) return;
  const { simple, consistentHash: hash, warmup } = lb;
  if (simple !== undefined && hash !== undefined)
    report.conflict([...path, 'simple'], 'simple excludes consistentHash', 'keep one of them');
  if (simple === 'LEAST_CONN') report.warning([...path, 'simple'], 'LEAST_CONN is deprecated', 'write LEAST_REQUEST', 'IST0002');

  if (hash !== undefined) {
    const keys = (['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'] as const).filter(
      (key) => hash[key] !== undefined,
    );
    if (keys.length > 1)
      report.conflict([...path, 'consistentHash', keys[1] ?? ''], `${keys.join(', ')} exclude each other`, 'keep one key');
    if (keys.length === 0)
      report.error(
        [...path, 'consistentHash'],
        'consistentHash names no key',
        'add httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName',
      );
    if (hash.ringHash !== undefined && hash.maglev !== undefined)
      report.conflict([...path, 'consistentHash', 'maglev'], 'ringHash excludes maglev', 'keep one of them');
    if (hash.maglev !== undefined && hash.minimumRingSize !== undefined)
      report.warning([...path, 'consistentHash', 'minimumRingSize'], 'minimumRingSize has no meaning for maglev', 'remove it');
    if (hash.httpCookie?.name === '')
      report.error([...path, 'consistentHash', 'httpCookie', 'name'], 'the cookie has no name', 'name the cookie');
    const size = hash.maglev?.tableSize;
    if (size !== undefined && !isPrime(size))
      report.error([...path, 'consistentHash', 'maglev', 'tableSize'], `${size} is not a prime`, 'such as 65537');
  }

  if (warmup !== undefined && lb.warmupDurationSecs !== undefined)
    report.conflict([...path, 'warmupDurationSecs'], 'warmup excludes warmupDurationSecs', 'remove warmupDurationSecs');
  const gentle = simple === undefined ? hash === undefined : ['UNSPECIFIED', 'LEAST_REQUEST', 'LEAST_CONN', 'ROUND_ROBIN'].includes(simple);
  if ((warmup !== undefined || lb.warmupDurationSecs !== undefined) && !gentle)
    report.error(
      [...path, warmup === undefined ? 'warmupDurationSecs' : 'warmup'],
      'warmup works with ROUND_ROBIN and LEAST_REQUEST only',
      'change the algorithm, or remove warmup',
    );

  checkLocalityLb(lb.localityLbSetting, [...path, 'localityLbSetting'], report);
  const zone = lb.zoneAwareLbSetting;
  for (const [index, label] of (zone?.failoverPriority ?? []).entries())
    if (label !== undefined && /^topology\.(?:kubernetes\.io\/(?:region|zone)|istio\.io\/subzone)/.test(label))
      report.error(
        [...path, 'zoneAwareLbSetting', 'failoverPriority', index],
        `${label} may not stand in failoverPriority of zoneAwareLbSetting`,
        'locality counts there anyway',
      );
}

function isPrime(value: number): boolean {
  if (value < 2) return false;
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}
