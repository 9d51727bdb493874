import { useEffect, useRef, useState } from 'preact/hooks';
import type { VNode } from 'preact';
import { clock, ms } from '../format.ts';
import { html } from '../html.ts';
import type { Line } from '../shapes.ts';
import { follow } from '../tap-stream.ts';
import type { World } from '../world.ts';
import { chooser } from './processes.ts';
import { chip, table } from './table.ts';

const KEPT = 200;
const FILTERS = [
  ['service', 'Service', 'reviews'],
  ['path', 'Path begins', '/ratings'],
  ['status', 'Status', '5xx'],
  ['method', 'Method', 'GET'],
] as const;

interface Row {
  readonly number: number;
  readonly line: Line;
}

/** Calls as they end, one line each. */
export function TapView({ world }: { readonly world: World }): VNode {
  const [at, choose] = useState(0);
  const [filters, setFilters] = useState<Readonly<Record<string, string>>>({});
  const [running, run] = useState(false);
  const [rows, setRows] = useState<readonly Row[]>([]);
  const [dropped, setDropped] = useState(0);
  const [said, say] = useState('');
  const chosen = useRef<HTMLFormElement>(null);
  const process = world.processes[at];
  const absent = process?.pages?.includes('/tap') === false;
  useEffect(() => {
    if (!running || process === undefined) return undefined;
    const stop = new AbortController();
    // A busy process tells of more calls than a page can draw: they are drawn together.
    let waiting: Line[] = [];
    let number = 0;
    const draw = setInterval(() => {
      const fresh = waiting.map((line) => ({ line, number: (number += 1) })).reverse();
      waiting = [];
      if (fresh.length > 0) setRows((before) => [...fresh, ...before].slice(0, KEPT));
    }, 250);
    const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== ''));
    const events = { line: (line: Line) => void waiting.push(line), dropped: (count: number) => setDropped((before) => before + count) };
    say('Listening.');
    setRows([]);
    setDropped(0);
    follow(`${process.base}tap?${query}`, events, stop.signal)
      .then(() => say('The process ended the tap.'))
      .catch((error: Error) => {
        if (!stop.signal.aborted) say(error.message);
      })
      .finally(() => {
        if (!stop.signal.aborted) run(false);
      });
    return () => {
      stop.abort();
      clearInterval(draw);
    };
  }, [running, process?.base]);
  if (process === undefined) return html`<p class="empty">The tap is of a process: name one with --admin.</p>`;
  if (absent) return html`<p class="empty">This process offers no tap: it writes no access log lines to its admin port.</p>`;
  const start = (event: Event): void => {
    event.preventDefault();
    if (running) {
      run(false);
      say('Stopped.');
      return;
    }
    setFilters(Object.fromEntries(FILTERS.map(([name]) => [name, (new FormData(chosen.current!).get(name) as string).trim()])));
    run(true);
  };
  return html`
    <form class="filters" ref=${chosen} onSubmit=${start}>
      ${chooser(world, at, choose)}
      ${FILTERS.map(([name, label, example]) => html`<label>${label} <input name=${name} placeholder=${example} disabled=${running} autocomplete="off" /></label>`)}
      <button class="primary">${running ? 'Stop' : 'Listen'}</button>
    </form>
    <p role="status">${said}${dropped > 0 ? ` ${dropped} lines were dropped: this page was too slow for them.` : ''}</p>
    ${table<Row>('Calls', [
      { head: 'Time', cell: ({ line }) => clock(text(line['start_time'])) },
      { head: 'Side', cell: ({ line }) => (line['reporter'] === 'destination' ? 'received' : 'made') },
      { head: 'From', cell: ({ line }) => text(line['source_workload'], line['source_principal'], line['downstream_remote_address']) },
      { head: 'To', cell: ({ line }) => text(line['destination_service'], line['destination_workload'], line['authority']) },
      { head: 'Call', cell: ({ line }) => html`<details><summary>${text(line['method'])} ${text(line['path'])}</summary><dl class="keys">${Object.entries(line).map(([key, value]) => html`<div><dt>${key}</dt><dd>${typeof value === 'string' ? value : JSON.stringify(value)}</dd></div>`)}</dl></details>` },
      { head: 'Status', cell: ({ line }) => chip(tone(Number(line['response_code'])), `${text(line['response_code'])}${text(line['response_flags']) === '–' ? '' : ` ${text(line['response_flags'])}`}`) },
      { head: 'Took', right: true, cell: ({ line }) => ms(Number(line['duration'] ?? 0)) },
      { head: 'Endpoint', cell: ({ line }) => text(line['upstream_host']) },
    ], rows, running ? 'No call yet.' : 'Not listening.')}
  `; // prettier-ignore
}

const tone = (status: number): 'good' | 'warn' | 'bad' => (status === 0 || status >= 500 ? 'bad' : status >= 400 ? 'warn' : 'good');
/** The first that says something. */
const text = (...values: readonly unknown[]): string => {
  const found = values.find((value) => value !== undefined && value !== null && value !== '' && value !== '-' && value !== 'unknown');
  return found === undefined ? '–' : String(found as string | number);
};
