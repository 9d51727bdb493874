import type { VNode } from 'preact';
import { html } from '../html.ts';
import type { Process, World } from '../world.ts';
import type { Column } from './table.ts';

/** As the process calls itself, once it has said so. */
export const nameOf = ({ status, name }: Process): string =>
  status === undefined ? name : `${status.workload.namespace}/${status.workload.name}`;

/** A column that says which process a row is of, where there are several. */
export const shared = <T>({ processes }: World, of: (row: T) => Process): readonly Column<T>[] =>
  processes.length > 1 ? [{ head: 'Process', cell: (row) => html`<span class="whole">${nameOf(of(row))}</span>` }] : [];

/** Which process is asked. */
export function chooser(world: World, chosen: number, choose: (at: number) => void): VNode | string {
  if (world.processes.length < 2) return '';
  return html`<label>
    Process
    <select value=${chosen} onChange=${(event: Event) => choose(Number((event.target as HTMLSelectElement).value))}>
      ${world.processes.map((process, at) => html`<option value=${at}>${nameOf(process)} (${process.name})</option>`)}
    </select>
  </label>`;
}
