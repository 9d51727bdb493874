import type { VNode } from 'preact';
import { span } from '../format.ts';
import { html } from '../html.ts';
import type { Process, World } from '../world.ts';
import { nameOf } from './processes.ts';
import { bar, chip, table } from './table.ts';

/** What certificates of workloads live as a rule, and so a full bar. */
const DAY_MS = 86_400_000;
const SOON_MS = 3_600_000;

/** Who each process proves to be, and for how long. */
export function CertificatesView({ world }: { readonly world: World }): VNode {
  const rows = world.processes.filter(({ status }) => status?.identity !== undefined);
  const none = rows.filter(({ status }) => status!.identity === null);
  return html`
    ${table<Process>('Certificates', [
      { head: 'Process', cell: nameOf },
      { head: 'SPIFFE ID', cell: ({ status }) => html`<code>${status!.identity!.principal || 'none yet'}</code>` },
      { head: 'Source', cell: ({ status }) => status!.identity!.source },
      { head: 'Expires', cell: ({ status }) => expiry(status!.identity!.expiresAt) },
      { head: 'Trouble', cell: ({ status }) => (status!.identity!.trouble === '' ? chip('good', 'none') : html`${chip('bad', 'trouble')} ${status!.identity!.trouble}`) },
    ], rows.filter(({ status }) => status!.identity !== null), 'No process here has a certificate.')}
    <p class="note">${none.length === 0 ? '' : `Without a certificate, and so nobody to others: ${none.map(nameOf).join(', ')}. `}A full bar is a day or more.</p>
  `; // prettier-ignore
}

function expiry(at: number): VNode | string {
  if (at === 0) return '–';
  const left = at - Date.now();
  if (left <= 0) return html`${bar(0, 'bad')} ${chip('bad', `expired ${span(-left)} ago`)}`;
  return html`${bar(left / DAY_MS, left < SOON_MS ? 'bad' : '')} in ${span(left)} <small>${new Date(at).toLocaleString('en-GB')}</small>`;
}
