import type { ComponentChildren, VNode } from 'preact';
import { html } from '../html.ts';

export interface Column<T> {
  readonly head: string;
  readonly cell: (row: T) => ComponentChildren;
  /** Numbers stand right. */
  readonly right?: boolean;
}

/** A table of rows under one name. Wider than the page it scrolls by itself, with the keyboard too. */
export function table<T>(
  name: string,
  columns: readonly Column<T>[],
  rows: readonly T[],
  empty: string,
  rowClass: (row: T) => string = () => '',
): VNode {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  return html`<div class="scroll" role="region" aria-label=${name} tabindex="0">
    <table data-name=${name}>
      <caption>
        ${name}
      </caption>
      <thead>
        <tr>
          ${columns.map(({ head, right }) => html`<th scope="col" class=${right ? 'right' : ''}>${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr class=${rowClass(row)}>
              ${columns.map(({ cell, right }) => html`<td class=${right ? 'right' : ''}>${cell(row)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** A share 0–1 as a bar; what it means stands beside it in words. */
export const bar = (share: number, kind = ''): VNode =>
  html`<svg class=${`bar ${kind}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="track" width="100" height="8" rx="2" />
    <rect class="fill" width=${Math.max(0, Math.min(1, share)) * 100} height="8" rx="2" />
  </svg>`;

export type Tone = 'good' | 'warn' | 'bad' | 'quiet';

export const chip = (tone: Tone, text: string): VNode => html`<span class=${`chip ${tone}`}>${text}</span>`;

/** Of a resource, the kind small beside its name. */
export function resource(text: string | null | undefined): VNode | string {
  if (text === null || text === undefined) return '–';
  const [kind = '', name] = text.split(' ', 2);
  return name === undefined ? text : html`<span class="kind">${kind}</span> ${name}`;
}
