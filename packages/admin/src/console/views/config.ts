import type { VNode } from 'preact';
import { ago, pairs } from '../format.ts';
import { html } from '../html.ts';
import type { Process, World } from '../world.ts';
import { nameOf } from './processes.ts';
import { chip, resource, table } from './table.ts';

type Problem = NonNullable<NonNullable<Process['status']>['problems']>[number];

/** Which policy each process obeys, since when, and what it refused. */
export function ConfigView({ world }: { readonly world: World }): VNode {
  const { processes } = world;
  const versions = Map.groupBy(processes.filter(({ status }) => status !== undefined), ({ status }) => status!.version); // prettier-ignore
  // A mistake meets all who follow the document: it is told once.
  const refused = Map.groupBy(processes.filter(({ status }) => status?.rejected != null), ({ status }) => status!.rejected!.reason); // prettier-ignore
  const problems = new Map(
    processes.flatMap(({ status }) => (status?.problems ?? []).map((problem) => [JSON.stringify(problem), problem] as const)),
  );
  return html`
    ${table<Process>('Processes', [
      { head: 'Process', cell: (one) => html`${nameOf(one)} ${nameOf(one) === one.name ? '' : html`<small>${one.name}</small>`}` },
      { head: 'State', cell: (one) => stateOf(one, [...versions.keys()]) },
      { head: 'Revision', cell: ({ status }) => html`<code class="whole">${status?.version.slice(0, 12) ?? '–'}</code>` },
      { head: 'Applied', cell: ({ status }) => (status === undefined ? '–' : ago(status.appliedAt)) },
      { head: 'Source', cell: ({ status }) => html`${status?.source?.name ?? '–'} ${trouble(status?.source?.trouble)}` },
      { head: 'Registries', cell: ({ status }) => (status?.registries ?? []).length === 0 ? '–' : status!.registries!.map(({ name, trouble: wrong }) => html`<div>${name} ${trouble(wrong)}</div>`) },
      { head: 'Labels', cell: ({ status }) => (status === undefined ? '–' : pairs(status.workload.labels) || '–') },
      { head: 'In flight', right: true, cell: ({ status }) => status?.callsInFlight ?? '–' },
    ], processes, 'No process is named: see inmesh console --admin.', ({ error, status }) => (error !== '' || status?.rejected != null ? 'bad' : ''))}
    ${versions.size > 1 ? html`<p class="note">${[...versions].map(([version, all]) => `${all.length} on ${version.slice(0, 12)}`).join(', ')}. Workloads of different namespaces may see different documents.</p>` : ''}
    ${[...refused].map(([reason, [one, ...others]]) => html`<section class="panel bad" aria-label=${`Rejected by ${nameOf(one!)}`}>
      <h2>${nameOf(one!)}${others.length === 0 ? '' : ` and ${others.length} more`} refused a document ${ago(one!.status!.rejected!.at)}</h2>
      <pre tabindex="0">${reason}</pre>
      <p>What was in force before still is.</p>
    </section>`)}
    ${table<Problem>('Warnings and remarks on the policy in force', [
      { head: 'Severity', cell: ({ severity }) => chip(severity === 'warning' ? 'warn' : 'quiet', severity) },
      { head: 'Code', cell: ({ code }) => code },
      { head: 'Resource', cell: ({ resource: name }) => resource(name) },
      { head: 'Field', cell: ({ path }) => html`<code>${path}</code>` },
      { head: 'Says', cell: ({ message }) => message },
    ], [...problems.values()], 'There is nothing to remark on.')}
  `; // prettier-ignore
}

const trouble = (text: string | undefined): VNode | string =>
  text === undefined || text === '' ? '' : html`${chip('bad', 'trouble')} ${text}`;

/** Words of CSDS and istioctl proxy-status. */
function stateOf({ error, status }: Process, versions: readonly string[]): VNode {
  if (error !== '') return html`${chip('bad', 'unreachable')} ${error}`;
  if (status === undefined) return chip('quiet', 'asked');
  if (status.rejected !== null) return chip('bad', 'NACKED');
  if (status.source?.trouble) return chip('warn', 'STALE');
  return versions.length > 1 ? chip('quiet', 'in force') : chip('good', 'SYNCED');
}
