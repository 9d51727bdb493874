import { useEffect, useRef, useState } from 'preact/hooks';
import type { VNode } from 'preact';
import { type Badge, badgesOf } from '../badges.ts';
import { bytes, ms, rate, share } from '../format.ts';
import type { Edge, Graph, Place } from '../graph.ts';
import { html } from '../html.ts';
import { groupOf, type Layout, layoutOf, type Point } from '../layout.ts';
import type { World } from '../world.ts';
import { Chart } from './chart.ts';
import { table } from './table.ts';

/** Who calls whom, how much, and how well. */
export function GraphView({ world }: { readonly world: World }): VNode {
  const { graph, history, processes, edgeHistory } = world;
  const [chosen, choose] = useState('');
  const [wide, holder] = useWidth();
  const badges = badgesOf(graph, processes);
  const edge = graph.edges.find(({ id }) => id === chosen);
  const place = graph.places.find(({ id }) => id === chosen);
  return html`
    <div class="stage" ref=${holder}>
      ${
        graph.edges.length === 0
          ? html`<p class="empty">
              ${world.warm || world.prometheus !== null ? 'No calls in this window.' : 'Waiting for the second look at the counters …'}
            </p>`
          : html`<${Picture} graph=${graph} badges=${badges} wide=${wide} chosen=${chosen} choose=${choose} />`
      }
    </div>
    ${edge !== undefined ? html`<${EdgePanel} key=${edge.id} edge=${edge} moments=${edgeHistory.get(edge.id) ?? []} close=${() => choose('')} />` : ''}
    ${place !== undefined ? html`<${PlacePanel} place=${place} graph=${graph} badges=${badges.get(place.id) ?? []} choose=${choose} />` : ''}
    <div class="charts">
      <${Chart} name="Calls" moments=${history} pick=${1} format=${rate} colour="--accent" />
      <${Chart} name="Failures" moments=${history} pick=${2} format=${share} colour="--bad" />
      <${Chart} name="p99" moments=${history} pick=${3} format=${ms} colour="--warn" />
    </div>
    <h2>The same as a table</h2>
    ${edgeTable('Calls between services', graph.edges, choose)}
  `;
}

const NAMES: Readonly<Record<Exclude<Place['kind'], 'workload'>, string>> = { service: 'service', unreached: 'no endpoint reached', outside: 'outside the mesh', unknown: 'callers without a certificate' }; // prettier-ignore

const titleOf = ({ kind, service }: Place): string => (kind === 'unknown' ? 'unknown' : service);
const underOf = ({ kind, namespace, revision }: Place): string =>
  kind === 'workload' ? [namespace, revision === 'latest' ? '' : revision].filter(Boolean).join(' · ') : NAMES[kind];
const nameOf = (place: Place): string => `${titleOf(place)}${place.kind === 'workload' && place.revision !== 'latest' ? ` ${place.revision}` : place.kind === 'unreached' ? ' (no endpoint)' : ''}`; // prettier-ignore
const lockOf = (mtls: number | null): string =>
  mtls === null ? 'unknown' : mtls === 1 ? 'mTLS' : mtls === 0 ? 'plaintext' : `${share(mtls)} mTLS`;

function sayEdge({ from, to, traffic, errorShare, p50, p99, mtls, health }: Edge): string {
  const lock = mtls === null ? 'mutual TLS unknown' : lockOf(mtls);
  const calls = traffic.requests > 0 || traffic.connections === 0 ? `${rate(traffic.requests)}, ${share(errorShare)} failed, p50 ${ms(p50)}, p99 ${ms(p99)}` : `${rate(traffic.connections)} connections`; // prettier-ignore
  return `${nameOf(from)} to ${nameOf(to)}: ${health}, ${[...traffic.protocols].join(', ')}, ${calls}, ${lock}`;
}

interface PictureProps {
  readonly graph: Graph;
  readonly badges: ReadonlyMap<string, readonly Badge[]>;
  readonly wide: number;
  readonly chosen: string;
  readonly choose: (id: string) => void;
}

function Picture({ graph, badges, wide, chosen, choose }: PictureProps): VNode {
  const kept = useRef<{ key: string; layout: Layout }>(undefined);
  const narrow = wide < 640;
  // What stands where changes only with who is there: numbers come every two seconds, and a picture must hold still.
  const key = [narrow, ...graph.places.map(({ id }) => id), ...graph.edges.map(({ id }) => id)].join('\n');
  if (kept.current?.key !== key)
    kept.current = { key, layout: narrow ? narrower(layoutOf(graph, 'LR'), layoutOf(graph, 'TB')) : layoutOf(graph, 'LR') };
  const { layout } = kept.current;
  // Smaller than this nobody can read it; then it scrolls.
  const scale = Math.min(1.2, Math.max(0.85, wide / layout.width));
  const press = (id: string) => (event: KeyboardEvent) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    choose(id === chosen ? '' : id);
  };
  const button = (id: string, label: string) => ({ tabindex: 0, role: 'button', 'aria-label': label, 'aria-pressed': id === chosen, onClick: () => choose(id === chosen ? '' : id), onKeyDown: press(id) }); // prettier-ignore
  return html`<svg
    class="graph"
    role="group"
    aria-label="Service graph"
    width=${layout.width * scale}
    height=${layout.height * scale}
    viewBox=${`0 0 ${layout.width} ${layout.height}`}
  >
    <defs>
      ${['healthy', 'degraded', 'failing', 'idle'].map(
        (health) =>
          html`<marker
            id=${`arrow-${health}`}
            class=${`arrow ${health}`}
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerUnits="userSpaceOnUse"
            markerWidth="9"
            markerHeight="9"
            orient="auto"
            ><path d="M0 0 8 4 0 8z"
          /></marker>`,
      )}
    </defs>
    ${[...layout.groups].map(
      ([name, { x, y, width, height }]) =>
        html`<g class="group"
          ><rect x=${x - width / 2} y=${y - height / 2} width=${width} height=${height} rx="10" /><title>${name}</title></g
        >`,
    )}
    ${graph.edges.map((edge) => {
      const { points, label } = layout.edges.get(edge.id)!;
      return html`<g key=${edge.id} class=${`edge ${edge.health}`} ...${button(edge.id, sayEdge(edge))}>
        <path class="hit" d=${curve(points)} />
        <path class="line" d=${curve(points)} marker-end=${`url(#arrow-${edge.health})`} />
        <${EdgeLabel} edge=${edge} at=${label} />
      </g>`;
    })}
    ${graph.places.map((place) => {
      const { x, y, width, height } = layout.places.get(place.id)!;
      const own = badges.get(place.id) ?? [];
      const into = graph.edges.filter(({ to }) => to.id === place.id);
      return html`<g
        key=${place.id}
        class=${`place ${place.kind} ${worst(into)}`}
        transform=${`translate(${x - width / 2} ${y - height / 2})`}
        ...${button(place.id, [`${nameOf(place)}, ${underOf(place)}`, ...own.map(({ text }) => text)].join(', '))}
      >
        <rect width=${width} height=${height} rx="8" />
        <text x="12" y="21" class="title">${short(titleOf(place), 20)}</text>
        <text x="12" y="38" class="under">${short(underOf(place), 27)}</text>
        ${own.map(
          ({ kind, text }, at) =>
            html`<g class=${`badge ${kind}`} transform=${`translate(${width - 8} ${-9 + at * 18})`}
              ><rect x=${-(text.length * 6 + 12)} width=${text.length * 6 + 12} height="17" rx="8.5" /><text x="-6" y="12">${text}</text></g
            >`,
        )}
      </g>`;
    })}
  </svg>`;
}

const narrower = (a: Layout, b: Layout): Layout => (b.width < a.width ? b : a);

function EdgeLabel({ edge: { traffic, errorShare, p99, mtls }, at: { x, y } }: { readonly edge: Edge; readonly at: Point }): VNode {
  const calls = traffic.requests > 0 || traffic.connections + traffic.sentBytes === 0;
  const first = calls
    ? `${rate(traffic.requests)}${errorShare > 0 ? ` · ${share(errorShare)} ✕` : ''}`
    : `${bytes(traffic.sentBytes + traffic.receivedBytes)}/s`;
  const second = [[...traffic.protocols].join('+'), calls ? ms(p99) : ''].filter(Boolean).join(' · ');
  const width = Math.max(first.length * 6.4, second.length * 5.8 + (mtls === null ? 0 : 30)) + 10;
  return html`<g class="label">
    <rect x=${x - width / 2} y=${y - 17} width=${width} height="34" rx="6" />
    <text x=${x} y=${y - 4} class="first">${first}</text>
    <text x=${mtls === null ? x : x + 7} y=${y + 11}>${second}</text>
    ${mtls === null ? '' : html`<path class=${`lock ${mtls > 0.99 ? 'shut' : 'open'}`} transform=${`translate(${x - second.length * 2.9 - 8} ${y + 2})`} d=${LOCK[mtls > 0.99 ? 'shut' : 'open']} />`}
  </g>`;
}

/** A padlock, ten units high; unknown shows none. What it means is in the name of its edge. */
const LOCK = {
  shut: 'M0 4.5h9v6H0zM2 4.5V3a2.5 2.5 0 0 1 5 0v1.5',
  open: 'M0 4.5h9v6H0zM2 4.5V2.5a2.5 2.5 0 0 1 4.8-1',
};

const short = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

const RANK = { failing: 3, degraded: 2, healthy: 1, idle: 0 } as const;
const worst = (edges: readonly Edge[]): string => edges.map(({ health }) => health).sort((a, b) => RANK[b] - RANK[a])[0] ?? 'idle';

/** Through dagre's points, without corners. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return '';
  const last = rest.at(-1) ?? first;
  const middles = rest.slice(0, -1).map((point, at) => {
    const next = rest[at + 1]!;
    const end = at === rest.length - 2 ? last : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    return `Q${point.x} ${point.y} ${end.x} ${end.y}`;
  });
  return `M${first.x} ${first.y}${middles.length > 0 ? middles.join('') : `L${last.x} ${last.y}`}`;
}

function EdgePanel({
  edge,
  moments,
  close,
}: {
  readonly edge: Edge;
  readonly moments: World['history'];
  readonly close: () => void;
}): VNode {
  const { from, to, traffic, errorShare, p50, p99, mtls } = edge;
  const outcomes = [...traffic.outcomes].filter(([, value]) => value > 0).sort(([, a], [, b]) => b - a);
  return html`<section class="panel" aria-label=${`${nameOf(from)} to ${nameOf(to)}`}>
    <header><h2>${nameOf(from)} → ${nameOf(to)}</h2><button onClick=${close}>Close</button></header>
    <dl>
      <div><dt>Protocol</dt><dd>${[...traffic.protocols].join(', ') || '–'}</dd></div>
      <div><dt>Calls</dt><dd>${rate(traffic.requests)}</dd></div>
      <div><dt>Failed</dt><dd>${share(errorShare)}</dd></div>
      <div><dt>p50</dt><dd>${ms(p50)}</dd></div>
      <div><dt>p99</dt><dd>${ms(p99)}</dd></div>
      <div><dt>Security</dt><dd>${mtls === null ? 'nobody says' : lockOf(mtls)}</dd></div>
      ${traffic.sentBytes + traffic.receivedBytes > 0 ? html`<div><dt>Bytes</dt><dd>${bytes(traffic.receivedBytes)}/s there, ${bytes(traffic.sentBytes)}/s back</dd></div>` : ''}
      <div><dt>Called as</dt><dd>${[...traffic.services].join(', ') || '–'}</dd></div>
    </dl>
    <div class="charts">
      <${Chart} name="Calls" moments=${moments} pick=${1} format=${rate} colour="--accent" />
      <${Chart} name="Failures" moments=${moments} pick=${2} format=${share} colour="--bad" />
      <${Chart} name="p99" moments=${moments} pick=${3} format=${ms} colour="--warn" />
    </div>
    ${table('What came of them', [
      { head: 'Code and flags', cell: ([outcome]) => outcome },
      { head: 'Calls', right: true, cell: ([, value]) => rate(value) },
      { head: 'Share', right: true, cell: ([, value]) => share(value / traffic.requests) },
    ], outcomes, 'No calls in this window.')}
  </section>`; // prettier-ignore
}

interface PlacePanelProps {
  readonly place: Place;
  readonly graph: Graph;
  readonly badges: readonly Badge[];
  readonly choose: (id: string) => void;
}

function PlacePanel({ place, graph, badges, choose }: PlacePanelProps): VNode {
  return html`<section class="panel" aria-label=${nameOf(place)}>
    <header><h2>${nameOf(place)}</h2><button onClick=${() => choose('')}>Close</button></header>
    <p>${[underOf(place), ...badges.map(({ text }) => text)].join(' · ')}</p>
    ${edgeTable(`Calls to ${nameOf(place)}`, graph.edges.filter(({ to }) => to.id === place.id), choose)}
    ${edgeTable(`Calls of ${nameOf(place)}`, graph.edges.filter(({ from }) => from.id === place.id), choose)}
  </section>`; // prettier-ignore
}

const TONE = { failing: 'bad', degraded: 'warn', healthy: '', idle: 'quiet' } as const;

function edgeTable(name: string, edges: readonly Edge[], choose: (id: string) => void): VNode {
  return table(
    name,
    [
      { head: 'From', cell: ({ from }) => html`${nameOf(from)} <small>${groupOf(from).split('/')[0]}</small>` },
      { head: 'To', cell: ({ id, to }) => html`<button class="link" onClick=${() => choose(id)}>${nameOf(to)}</button>` },
      { head: 'Protocol', cell: ({ traffic }) => [...traffic.protocols].join(', ') },
      { head: 'Calls', right: true, cell: ({ traffic }) => rate(traffic.requests + traffic.connections) },
      { head: 'Failed', right: true, cell: ({ errorShare }) => share(errorShare) },
      { head: 'p50', right: true, cell: ({ p50 }) => ms(p50) },
      { head: 'p99', right: true, cell: ({ p99 }) => ms(p99) },
      { head: 'Security', cell: ({ mtls }) => (mtls === null ? '–' : lockOf(mtls)) },
      { head: 'Flags', cell: ({ traffic }) => [...traffic.outcomes].flatMap(([outcome, value]) => (value > 0 ? (outcome.match(/\b[A-Z]+(?:,[A-Z]+)*$/) ?? []) : [])).join(' ') || '–' }, // prettier-ignore
    ],
    edges,
    'None in this window.',
    ({ health }) => TONE[health],
  );
}

function useWidth(): [number, (element: Element | null) => void] {
  const [width, set] = useState(0);
  const element = useRef<Element | null>(null);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => set(Math.floor(entry!.contentRect.width)));
    if (element.current !== null) watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  return [width || 900, (found) => void (element.current = found)];
}
