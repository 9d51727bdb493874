import type { Explanation } from '@inmesh/core';
import type { Paint } from './paint.ts';
import { count, duration, pad, percent, printable, wrap } from './words.ts';

/** What becomes of a request, for people: the verdict, what the policy does to the call aspect by aspect, and the reasons in order. */
export function printExplanation(given: Explanation, paint: Paint, columns: number): string {
  const explanation = printable(given);
  const rows = aspects(explanation, paint).filter(([, lines]) => lines.length > 0);
  const margin = Math.max(0, ...rows.map(([name]) => name.length)) + 4;
  const table = rows.flatMap(([name, lines]) =>
    lines.map((line, index) => `  ${paint('dim', pad(index === 0 ? name : '', margin - 2))}${wrap(line, columns, margin)}`),
  );
  const why = explanation.why.map((reason, index) => {
    const number = `${index + 1}.`.padStart(4);
    return `${paint('dim', number)} ${wrap(reason, columns, number.length + 1)}`;
  });
  const sections = [[wrap(verdict(explanation, paint), columns, 2)], table, [paint('bold', 'why'), ...why]];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

/** The first line: what happens. */
function verdict(explanation: Explanation, paint: Paint): string {
  const { decision, flag, clusters, redirect } = explanation;
  const status = explanation.grpcStatus ?? explanation.status;
  switch (decision) {
    case 'route': {
      const nameOf = shortNames(explanation);
      const ways = clusters.map((cluster) => {
        const share = clusters.length === 1 ? '' : `${percent(cluster.share * 100)} `;
        return `${share}${paint('bold', nameOf(cluster.name))} ${members(cluster)}`;
      });
      return [`${paint('green', '→')} ${ways.join(', ')}`, ...faultLines(explanation)].join('; ');
    }
    case 'redirect':
      return `${paint('cyan', '↪')} ${paint('bold', `${status}`)} redirected to ${paint('bold', redirect?.location ?? '')}`;
    case 'directResponse':
      return `${paint('cyan', '↩')} ${paint('bold', `${status}`)} answered by the policy itself`;
    case 'refuse':
      return `${paint('red', '✖')} ${paint('bold', `${status}`)} refused${flag === null ? '' : ` (${flag})`}: ${refusal(explanation)}`;
  }
}

type Cluster = Explanation['clusters'][number];

function members({ name, endpoints, loadBalancer }: Cluster): string {
  if (name === PASSTHROUGH) return '(outside the mesh: sent as it is)';
  if (loadBalancer === null) return '(does not exist)';
  return endpoints.length === 0 ? '(no endpoint known yet)' : `(${count(endpoints.length, 'endpoint')})`;
}

function refusal({ flag, clusters }: Explanation): string {
  if (clusters.some(({ name }) => name === BLACK_HOLE)) return 'the policy knows no such host';
  switch (flag) {
    case 'NR':
      return 'no rule matches';
    case 'NC':
      return 'the destination does not exist';
    case 'UH':
      return 'the destination has no endpoint';
    default:
      return 'the rule cannot be carried out';
  }
}

type Aspect = readonly [name: string, lines: readonly string[]];

function aspects(explanation: Explanation, paint: Paint): readonly Aspect[] {
  const { decision, resource, route, service, port, clusters, timeoutMs, retries, mirrors, directResponse } = explanation;
  const governed = decision === 'route' && clusters.some(({ name }) => name !== PASSTHROUGH);
  const nameOf = shortNames(explanation);
  return [
    [
      'route',
      resource === null
        ? governed
          ? ['to the service itself, no rule governs it']
          : []
        : [`${route ?? ''}  ${paint('dim', resource)}`.trimStart()],
    ],
    ['service', service === null ? [] : [`${service}:${port}`]],
    ['clusters', clusters.flatMap((cluster) => clusterLines(cluster, clusters, paint))],
    ['timeout', timeoutMs === null ? (governed ? ['none'] : []) : [duration(timeoutMs)]],
    ['retries', retries === null ? (governed ? ['none'] : []) : retryLines(retries)],
    ['faults', faultLines(explanation)],
    ['mirrors', mirrors.map(({ cluster, percent: share }) => `${percent(share)} to ${nameOf(cluster)}  ${paint('dim', cluster)}`)],
    ['upstream sees', requestLines(explanation, paint)],
    ['response', responseLines(explanation, paint)],
    ['answer', directResponse === null ? [] : [directResponse.body === '' ? 'no body' : directResponse.body]],
  ];
}

/** A cluster, then its endpoints under it; of many only the first, for they are for the eye. */
function clusterLines({ name, share, loadBalancer, endpoints }: Cluster, all: readonly Cluster[], paint: Paint): string[] {
  const shareOf = (part: number): string => (all.length === 1 ? '' : `${percent(part * 100)}  `);
  const margin = Math.max(...all.map((cluster) => shareOf(cluster.share).length));
  const shown = endpoints.slice(0, SHOWN);
  const columns = [shown.map(({ address }) => address), shown.map(({ labels }) => labelText(labels))].map((texts) =>
    Math.max(0, ...texts.map((text) => text.length)),
  );
  return [
    `${pad(shareOf(share), margin)}${name}${loadBalancer === null ? '' : `  ${paint('dim', loadBalancer)}`}`,
    ...shown.map(({ address, labels, locality }) => {
      const cells = [pad(address, columns[0] ?? 0), paint('dim', pad(labelText(labels), columns[1] ?? 0)), paint('dim', locality ?? '')];
      return `${' '.repeat(margin + 2)}${cells.join('  ')}`.trimEnd();
    }),
    ...(endpoints.length > SHOWN ? [`${' '.repeat(margin + 2)}${paint('dim', `and ${endpoints.length - SHOWN} more`)}`] : []),
  ];
}

const SHOWN = 10;

const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

function retryLines({ attempts, retryOn, perTryTimeoutMs, backoffMs, budget }: NonNullable<Explanation['retries']>): string[] {
  const pause = `backoff ${duration(backoffMs.base)} to ${duration(backoffMs.max)}`;
  return [
    `up to ${count(attempts, 'more try', 'more tries')} on ${retryOn.join(', ')}`,
    perTryTimeoutMs === null ? pause : `${duration(perTryTimeoutMs)} per try, ${pause}`,
    ...(budget === null ? [] : [`at most ${percent(budget.percent)} of the calls in flight, ${budget.minConcurrency} always`]),
  ];
}

function faultLines({ fault }: Explanation): string[] {
  if (fault === null) return [];
  const { delay, abort } = fault;
  const lines: string[] = [];
  if (delay !== null) lines.push(`${percent(delay.percent)} delayed by ${duration(delay.ms)}`);
  if (abort !== null) lines.push(`${percent(abort.percent)} aborted with ${abort.httpStatus ?? `gRPC status ${abort.grpcStatus}`}`);
  return lines;
}

function requestLines({ request }: Explanation, paint: Paint): string[] {
  if (request === null) return [];
  const { method, path, authority, headers } = request;
  return [
    `${method} ${path}`,
    ...[['host', authority] as const, ...Object.entries(headers)].map(([name, value]) => headerLine(name, value, paint)),
  ];
}

function responseLines({ response }: Explanation, paint: Paint): string[] {
  if (response === null) return [];
  const { set, add, remove } = response;
  return [
    ...Object.entries(set).map(([name, value]) => `set ${headerLine(name, value, paint)}`),
    ...Object.entries(add).map(([name, value]) => `add ${headerLine(name, value, paint)}`),
    ...remove.map((name) => `remove ${paint('cyan', name)}`),
  ];
}

const headerLine = (name: string, value: string, paint: Paint): string => `${paint('cyan', name)}: ${value}`;

const PASSTHROUGH = 'PassthroughCluster';
const BLACK_HOLE = 'BlackHoleCluster';

/** `reviews v1` for `outbound|9080|v1|reviews.default.svc.cluster.local`: as short as still tells the clusters of this explanation apart. */
function shortNames({ clusters, mirrors }: Explanation): (name: string) => string {
  const all = [...clusters.map(({ name }) => name), ...mirrors.map(({ cluster }) => cluster)].map(partsOf);
  const several = (of: (parts: Parts) => string): boolean => new Set(all.map(of)).size > 1;
  const long = new Set(all.map(({ host }) => host)).size > new Set(all.map(({ host }) => serviceName(host))).size;
  const ports = several(({ port }) => port);
  return (name) => {
    const { port, subset, host } = partsOf(name);
    const short = long ? host : serviceName(host);
    return `${short}${ports && port !== '' ? `:${port}` : ''}${subset === '' ? '' : ` ${subset}`}`;
  };
}

interface Parts {
  readonly port: string;
  readonly subset: string;
  readonly host: string;
}

function partsOf(name: string): Parts {
  const [direction, port = '', subset = '', host = ''] = name.split('|');
  return direction === 'outbound' ? { port, subset, host } : { port: '', subset: '', host: name };
}

/** First label of a Kubernetes service; any other host as it is. */
const serviceName = (host: string): string => /^([^.]+)\.[^.]+\.svc\./.exec(host)?.[1] ?? host;
