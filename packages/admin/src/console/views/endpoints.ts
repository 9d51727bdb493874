import { useState } from 'preact/hooks';
import type { VNode } from 'preact';
import { pairs, place, span } from '../format.ts';
import { html } from '../html.ts';
import type { Cluster } from '../shapes.ts';
import type { Process, World } from '../world.ts';
import { shared } from './processes.ts';
import { chip, table } from './table.ts';

interface Row {
  readonly process: Process;
  readonly cluster: Cluster;
  /** undefined: the cluster has none. */
  readonly state: Cluster['endpoints'][number] | undefined;
}

const troubled = ({ cluster, state }: Row): boolean => state === undefined ? cluster.started : state.ejected || state.health !== 'healthy'; // prettier-ignore

/** Every endpoint as each process sees it: what it may be sent, and what it has learned. */
export function EndpointsView({ world }: { readonly world: World }): VNode {
  const [wanted, filter] = useState('');
  const [only, setOnly] = useState(false);
  const all = world.processes.flatMap((process) =>
    (process.status?.snapshot.clusters ?? []).flatMap((cluster): Row[] =>
      cluster.endpoints.length === 0
        ? [{ process, cluster, state: undefined }]
        : cluster.endpoints.map((state) => ({ process, cluster, state })),
    ),
  );
  const rows = all.filter(
    (row) =>
      (!only || troubled(row)) && `${row.cluster.name} ${row.state?.endpoint.address ?? ''}`.toLowerCase().includes(wanted.toLowerCase()),
  );
  const known = (cell: (state: NonNullable<Row['state']>) => VNode | string | number) => (row: Row) =>
    row.state === undefined ? '–' : cell(row.state);
  return html`
    <div class="filters">
      <label class="filter">Filter <input type="search" value=${wanted} onInput=${(event: InputEvent) => filter((event.target as HTMLInputElement).value)} /></label>
      <label><input type="checkbox" checked=${only} onChange=${() => setOnly(!only)} /> Only in trouble (${all.filter(troubled).length})</label>
    </div>
    ${table<Row>('Endpoints', [
      ...shared<Row>(world, ({ process }) => process),
      { head: 'Cluster', cell: ({ cluster: { name } }) => clusterName(name) },
      { head: 'Address', cell: ({ cluster, state }) => state?.endpoint.address ?? html`${chip(cluster.started ? 'bad' : 'quiet', cluster.started ? 'no endpoint' : 'not asked for yet')} ${cluster.reason ?? ''}` },
      { head: 'State', cell: known(({ ejected, ejectedUntil, health }) => (ejected ? chip('bad', `ejected${ejectedUntil === null ? '' : `, ${span(Math.max(0, ejectedUntil - Date.now()))} left`}`) : health === 'healthy' ? chip('good', 'healthy') : chip(health === 'draining' ? 'warn' : 'bad', health))) },
      { head: 'In flight', right: true, cell: known(({ active }) => active) },
      { head: 'Weight', right: true, cell: known(({ endpoint }) => endpoint.weight) },
      { head: 'Priority', right: true, cell: known(({ priority }) => priority) },
      { head: 'Locality', cell: known(({ endpoint }) => place(endpoint.locality) || '–') },
      { head: 'Labels', cell: known(({ endpoint }) => pairs(endpoint.labels) || '–') },
      { head: 'Ejections', right: true, cell: known(({ ejections }) => ejections) },
      { head: 'Balancer', cell: ({ cluster: { pickerKind, building } }) => `${pickerKind}${building ? ' (being built)' : ''}` },
    ], rows, all.length === 0 ? 'Endpoints come from processes: name one with --admin.' : 'None is named so.', (row) => (troubled(row) ? 'bad' : ''))}
  `; // prettier-ignore
}

function clusterName(name: string): VNode | string {
  const [, port, subset = '', host] = name.split('|');
  if (host === undefined) return name;
  return html`${host}<small>:${port}</small>${subset === '' ? '' : html` <span class="chip quiet">${subset}</span>`}`;
}
