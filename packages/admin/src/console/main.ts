import './console.css';
import { render, type VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ms, rate, share, span } from './format.ts';
import { totalOf } from './graph.ts';
import { html } from './html.ts';
import type { Sources } from './shapes.ts';
import { CertificatesView } from './views/certificates.ts';
import { ConfigView } from './views/config.ts';
import { EndpointsView } from './views/endpoints.ts';
import { ExplainView } from './views/explain.ts';
import { GraphView } from './views/graph.ts';
import { ObjectivesView } from './views/objectives.ts';
import { PolicyView } from './views/policy.ts';
import { nameOf } from './views/processes.ts';
import { RoutesView } from './views/routes.ts';
import { TapView } from './views/tap.ts';
import { EMPTY, get, Poller, type World } from './world.ts';

/** In the order in which they are asked for in an incident. */
const VIEWS: readonly (readonly [id: string, name: string, view: (props: { readonly world: World }) => VNode])[] = [
  ['graph', 'Graph', GraphView],
  ['routes', 'Routes', RoutesView],
  ['endpoints', 'Endpoints', EndpointsView],
  ['policy', 'Policy', PolicyView],
  ['certificates', 'Certificates', CertificatesView],
  ['tap', 'Tap', TapView],
  ['objectives', 'Objectives', ObjectivesView],
  ['config', 'Config', ConfigView],
  ['explain', 'Explain', ExplainView],
];

const WINDOWS = [10_000, 30_000, 60_000, 300_000];

const named = (hash: string): string | undefined => VIEWS.find(([id]) => `#${id}` === hash)?.[0];

function Console(): VNode {
  const [world, show] = useState(EMPTY);
  const [trouble, say] = useState('');
  const [view, go] = useState(named(location.hash) ?? 'graph');
  const poller = useRef<Poller>(undefined);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const turn = (): void => {
      // The link that skips to the content leads to no view.
      go((before) => named(location.hash) ?? before);
      // Who came by the keyboard reads on from the top of what is new.
      heading.current?.focus();
    };
    addEventListener('hashchange', turn);
    get('sources.json')
      .then(async (answer) => {
        poller.current = new Poller((await answer.json()) as Sources, show);
        await poller.current.run();
      })
      .catch((error: Error) => say(error.message));
    return () => removeEventListener('hashchange', turn);
  }, []);
  const [id, name, View] = VIEWS.find(([one]) => one === view) ?? VIEWS[0]!;
  useEffect(() => void (document.title = `${name} · inmesh`), [name]);
  return html`
    <header class="top">
      <p class="brand">inmesh<span>${whose(world)}</span></p>
      <${Summary} world=${world} />
      <label class="window">
        Window
        <select
          value=${world.windowMs}
          onChange=${(event: Event) => poller.current?.setWindow(Number((event.target as HTMLSelectElement).value))}
        >
          ${WINDOWS.filter((window) => world.prometheus === null || window >= 60_000).map((window) => html`<option value=${window}>${span(window)}</option>`)}
        </select>
      </label>
    </header>
    <nav aria-label="Views">
      ${VIEWS.map(([one, title]) => html`<a href=${`#${one}`} aria-current=${one === id ? 'page' : undefined}>${title}${mark(one, world)}</a>`)}
    </nav>
    <main id="main">
      <h1 tabindex="-1" ref=${heading}>${name}</h1>
      ${trouble === '' ? '' : html`<p class="notice" role="alert">${trouble}</p>`} ${unreachable(world)}
      <${View} world=${world} />
    </main>
  `;
}

function whose({ processes, prometheus }: World): string {
  const [only, second] = processes;
  if (prometheus !== null) return prometheus.name;
  return second !== undefined ? `${processes.length} processes` : only === undefined ? '' : nameOf(only);
}

function Summary({ world: { graph, warm } }: { readonly world: World }): VNode {
  const { requests, errorShare, p99 } = totalOf(graph.edges);
  return html`<dl class="summary">
    <div><dt>Calls</dt><dd>${warm ? rate(requests) : '–'}</dd></div>
    <div><dt>Failed</dt><dd class=${errorShare >= 0.1 ? 'bad' : ''}>${warm ? share(errorShare) : '–'}</dd></div>
    <div><dt>p99</dt><dd>${ms(p99)}</dd></div>
  </dl>`; // prettier-ignore
}

/** Quiet until something changes; then it is told, once. */
function unreachable({ processes, prometheus }: World): VNode {
  const all = processes
    .filter(({ error }) => error !== '')
    .map((one) => `${nameOf(one)}${nameOf(one) === one.name ? '' : ` (${one.name})`}: ${one.error}`);
  if (prometheus !== null && prometheus.error !== '') all.push(`${prometheus.name}: ${prometheus.error}`);
  return html`<div role="status">${all.map((sentence) => html`<p class="notice">${sentence}</p>`)}</div>`;
}

/** A number beside a view that has something to say. */
function mark(view: string, { processes }: World): VNode | string {
  const found =
    view === 'endpoints' ? processes.flatMap(({ status }) => (status?.snapshot.clusters ?? []).flatMap(({ endpoints }) => endpoints)).filter(({ ejected }) => ejected).length
    : view === 'config' ? processes.filter(({ status, error }) => error !== '' || status?.rejected != null).length
    : view === 'objectives' ? processes.flatMap(({ burns }) => burns ?? []).filter(({ state }) => state !== 'ok').length
    : view === 'certificates' ? processes.filter(({ status }) => status?.identity != null && status.identity.trouble !== '').length
    : 0; // prettier-ignore
  return found === 0 ? '' : html` <span class="mark" aria-label=${`${found} in trouble`}>${found}</span>`;
}

render(html`<${Console} />`, document.getElementById('console')!);
