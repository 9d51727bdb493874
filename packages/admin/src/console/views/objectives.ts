import type { VNode } from 'preact';
import { ms, share, span } from '../format.ts';
import { html } from '../html.ts';
import type { Burn } from '../shapes.ts';
import type { Process, World } from '../world.ts';
import { shared } from './processes.ts';
import { bar, chip, resource, table } from './table.ts';

interface Row {
  readonly process: Process;
  readonly burn: Burn;
}

/** Windows of the multi-window, multi-burn-rate alerts (Google SRE Workbook, chapter 5), and what burn in both of a pair means. */
const WINDOWS = ['5m', '30m', '1h', '2h', '6h', '1d', '3d'] as const;
const THRESHOLD: Readonly<Record<(typeof WINDOWS)[number], number>> = {
  '5m': 14.4,
  '30m': 6,
  '1h': 14.4,
  '2h': 3,
  '6h': 6,
  '1d': 3,
  '3d': 1,
};

const RANK = { ok: 0, ticket: 1, page: 2 } as const;

/** What services have promised, and how fast their budget of failures goes. */
export function ObjectivesView({ world }: { readonly world: World }): VNode {
  const rows = world.processes.flatMap((process) => (process.burns ?? []).map((burn) => ({ process, burn })));
  // What burns comes first.
  rows.sort((a, b) => RANK[b.burn.state] - RANK[a.burn.state]);
  const told = world.processes.some(({ burns }) => burns !== undefined);
  return html`
    ${table<Row>('Objectives', [
      ...shared<Row>(world, ({ process }) => process),
      { head: 'Service', cell: ({ burn }) => html`${burn.service} <small>${resource(burn.resource)}</small>` },
      { head: 'Promise', cell: ({ burn }) => html`<span class="whole">${burn.objective} % ${indicator(burn.indicator)}</span> <small>over ${span(burn.windowMs)}</small>` },
      { head: 'State', cell: ({ burn: { state, enforcing } }) => html`${chip(state === 'ok' ? 'good' : state === 'ticket' ? 'warn' : 'bad', state)} <small>${enforcing.join(', ')}</small>` },
      { head: 'Budget left', right: true, cell: ({ burn: { budgetLeft } }) => html`${bar(budgetLeft, budgetLeft < 0.1 ? 'bad' : '')}${budgetLeft < 0 ? `−${share(-budgetLeft)}` : share(budgetLeft)}` },
      ...WINDOWS.map((window) => ({ head: window, right: true, cell: ({ burn }: Row) => burnText(burn.burn[window], THRESHOLD[window]) })),
    ], rows, told ? 'No ServiceLevelObjective is in force.' : 'No process here counts its promises.')}
    <p class="note">Burn 1 uses the budget up exactly at the end of its period; beside the state stands what is done about it. Page: 14.4 in 5m and 1h, or 6 in 30m and 6h. Ticket: 3 in 2h and 1d, or 1 in 6h and 3d.</p>
  `; // prettier-ignore
}

const burnText = (burn: number | null | undefined, threshold: number): VNode | string =>
  burn === null || burn === undefined ? '–' : burn >= threshold ? chip('bad', burn.toFixed(1)) : burn.toFixed(burn < 10 ? 2 : 1);

function indicator(value: unknown): string {
  const { kind, thresholdMs } = (typeof value === 'string' ? { kind: value } : (value ?? {})) as {
    readonly kind?: string;
    readonly thresholdMs?: number;
  };
  return kind === 'latency' && thresholdMs !== undefined ? `below ${ms(thresholdMs)}` : 'available';
}
