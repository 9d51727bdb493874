import { useState } from 'preact/hooks';
import type { VNode } from 'preact';
import { ms, share } from '../format.ts';
import { html } from '../html.ts';
import { matchText } from '../match-text.ts';
import type { Model } from '../shapes.ts';
import { type Split, splitsOf } from '../splits.ts';
import type { Process, World } from '../world.ts';
import { shared } from './processes.ts';
import { bar, chip, resource, table } from './table.ts';

type Host = Model['hosts'][number];
type Route = Host['routes'][number];

interface Row {
  readonly process: Process;
  readonly host: Host;
  readonly route: Route;
}

/** Weights wanted and seen, then every route in the order in which they are tried. */
export function RoutesView({ world }: { readonly world: World }): VNode {
  const [wanted, filter] = useState('');
  const rows: Row[] = world.processes
    .flatMap((process) => (process.snapshot?.hosts ?? []).flatMap((host) => host.routes.map((route) => ({ process, host, route }))))
    .filter(({ host, route }) => `${host.name} ${route.name} ${route.resource ?? ''}`.toLowerCase().includes(wanted.toLowerCase()));
  return html`
    ${table<Split>('Weights wanted and seen', [
      ...shared<Split>(world, ({ process }) => process),
      { head: 'Service', cell: ({ host }) => host },
      { head: 'Route', cell: ({ route, resource: from }) => html`${route} <small>${resource(from)}</small>` },
      { head: 'Destination', cell: ({ subset, service }) => subset ?? service },
      { head: 'Wanted', right: true, cell: ({ wanted: part }) => html`${bar(part)}${share(part)}` },
      { head: 'Seen', right: true, cell: ({ seen }) => (seen === null ? 'not told' : html`${bar(seen, 'seen')}${share(seen)}`) },
      { head: '', cell: ({ off }) => (off ? chip('warn', 'differs') : '') },
    ], splitsOf(world), 'No route splits its calls.')}
    <p class="note">Seen: calls to the service in this window by version, whichever of its routes they took; Istio's metrics do not name routes.</p>
    <label class="filter">Filter <input type="search" value=${wanted} onInput=${(event: InputEvent) => filter((event.target as HTMLInputElement).value)} /></label>
    ${table<Row>('Routes', [
      ...shared<Row>(world, ({ process }) => process),
      { head: 'Host', cell: ({ host }) => host.name },
      { head: 'Route', cell: ({ route }) => route.name },
      { head: 'From', cell: ({ route }) => resource(route.resource) },
      { head: 'Matches', cell: ({ route }) => matchText(route.match) },
      { head: 'Goes to', cell: ({ route }) => actionText(route) },
      { head: 'Timeout', right: true, cell: ({ route }) => ms(route.timeoutMs) },
      { head: 'Retries', cell: ({ route: { retries } }) => (retries === null ? '–' : html`${retries.attempts} <small>${retries.retryOn.join(', ')}</small>`) },
      { head: 'Besides', cell: ({ route }) => besides(route) },
    ], rows, world.processes.some(({ snapshot }) => snapshot !== undefined) ? 'No route is named so.' : 'Routes come from processes: name one with --admin.')}
  `; // prettier-ignore
}

const shortCluster = (name: string): string => {
  const [, , subset = '', host = name] = name.split('|');
  return `${host.split('.')[0]}${subset === '' ? '' : ` ${subset}`}`;
};

function actionText({ action }: Route): VNode | string {
  if (action.kind === 'redirect') return `redirect ${action.status}`;
  if (action.kind === 'direct') return `answer ${action.status}`;
  if (action.kind === 'refuse') return html`${chip('bad', `${action.status}`)} ${action.why}`;
  const total = action.destinations.reduce((sum, { weight }) => sum + weight, 0);
  return html`${action.destinations.map(
    ({ cluster, weight, missing }) => html`<div>${shortCluster(cluster)}${action.destinations.length > 1 ? ` ${share(weight / total)}` : ''} ${missing === null ? '' : chip('bad', `${missing.status}: ${missing.why}`)}</div>`,
  )}`; // prettier-ignore
}

function besides({ fault, mirrors, rewrite, hash }: Route): VNode | string {
  const found = [
    ...(fault?.delay ? [chip('warn', `${fault.delay.percent} % delayed ${ms(fault.delay.ms)}`)] : []),
    ...(fault?.abort
      ? [chip('warn', `${fault.abort.percent} % aborted ${fault.abort.httpStatus ?? `grpc ${fault.abort.grpcStatus}`}`)]
      : []),
    ...mirrors.map(({ cluster, percent }) => chip('quiet', `${percent} % mirrored to ${shortCluster(cluster)}`)),
    ...(rewrite === null ? [] : [chip('quiet', 'rewrites the path')]),
    ...(hash.length === 0 ? [] : [chip('quiet', `sticky by ${hash.map(({ kind }) => kind).join(', ')}`)]),
  ];
  return found.length === 0 ? '–' : html`${found}`;
}
