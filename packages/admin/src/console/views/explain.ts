import { useRef, useState } from 'preact/hooks';
import type { ComponentChildren, VNode } from 'preact';
import { ms, share } from '../format.ts';
import { html } from '../html.ts';
import type { Explanation } from '../shapes.ts';
import { get, type World } from '../world.ts';
import { chooser } from './processes.ts';
import { chip, resource } from './table.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** What would become of a call of this process, and why. Nothing is sent. */
export function ExplainView({ world }: { readonly world: World }): VNode {
  const [at, choose] = useState(0);
  const [answer, setAnswer] = useState<Explanation | string>('');
  const form = useRef<HTMLFormElement>(null);
  const process = world.processes[at];
  if (process === undefined) return html`<p class="empty">A process explains: name one with --admin.</p>`;
  if (process.pages?.includes('/explain') === false) return html`<p class="empty">This process does not explain.</p>`;
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    const given = new FormData(form.current!);
    const query = new URLSearchParams({ method: given.get('method') as string, url: (given.get('url') as string).trim() });
    for (const line of (given.get('headers') as string).split('\n')) if (line.trim() !== '') query.append('header', line.trim());
    try {
      setAnswer((await (await get(`${process.base}explain?${query}`)).json()) as Explanation);
    } catch (error) {
      setAnswer((error as Error).message);
    }
  };
  const example = process.snapshot?.hosts[0];
  return html`
    <form class="explain" ref=${form} onSubmit=${ask}>
      ${chooser(world, at, choose)}
      <div class="line">
        <label>Method <select name="method">${METHODS.map((method) => html`<option>${method}</option>`)}</select></label>
        <label class="grow">URL <input name="url" type="url" required placeholder=${example === undefined ? 'http://reviews:9080/ratings/7' : `http://${example.domains[0]}${example.port === null ? '' : `:${example.port}`}/`} /></label>
      </div>
      <label>Headers, one a line <textarea name="headers" rows="2" placeholder="end-user: jason" spellcheck=${false}></textarea></label>
      <button class="primary">Explain</button>
    </form>
    <div role="status">${typeof answer === 'string' ? (answer === '' ? '' : html`<p class="bad">${answer}</p>`) : html`<${Answer} answer=${answer} />`}</div>
  `; // prettier-ignore
}

function Answer({ answer }: { readonly answer: Explanation }): VNode {
  const {
    decision,
    status,
    flag,
    service,
    port,
    route,
    resource: from,
    clusters,
    timeoutMs,
    retries,
    fault,
    mirrors,
    request,
    redirect,
    directResponse,
    why,
  } = answer;
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    ['Service', service === null ? null : `${service}:${port}`],
    ['Route', route === null ? null : html`${route} <small>${resource(from)}</small>`],
    ['Goes to', clusters.length === 0 ? null : clusters.map(({ name, share: part, endpoints, loadBalancer }) => html`<div>${clusters.length > 1 ? `${share(part)} ` : ''}<code>${name}</code> ${loadBalancer ?? ''}<br /><small>${endpoints.map(({ address }) => address).join(', ') || 'no endpoint'}</small></div>`)],
    ['Timeout', timeoutMs === null ? null : ms(timeoutMs)],
    ['Retries', retries === null ? null : `up to ${retries.attempts} on ${retries.retryOn.join(', ')}`],
    ['Fault', fault === null ? null : [fault.delay === null ? '' : `${fault.delay.percent} % delayed by ${ms(fault.delay.ms)}`, fault.abort === null ? '' : `${fault.abort.percent} % aborted with ${fault.abort.httpStatus ?? `grpc ${fault.abort.grpcStatus}`}`].filter(Boolean).join(', ')],
    ['Mirrors', mirrors.length === 0 ? null : mirrors.map(({ cluster, percent }) => `${percent} % to ${cluster}`).join(', ')],
    ['Redirect', redirect === null ? null : `${redirect.status} to ${redirect.location}`],
    ['Answer', directResponse === null ? null : `${directResponse.status} ${directResponse.body}`],
    ['Upstream sees', request === null ? null : html`<pre tabindex="0">${[`${request.method} ${request.path}`, `host: ${request.authority}`, ...Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`)].join('\n')}</pre>`],
  ]; // prettier-ignore
  return html`<section class="panel" aria-label="Explanation">
    <h2>${decision === 'route' ? chip('good', 'goes on') : decision === 'refuse' ? chip('bad', `refused ${status ?? ''} ${flag ?? ''}`) : chip('quiet', `${decision} ${status ?? ''}`)}</h2>
    <dl>${facts.flatMap(([name, value]) => (value === null ? [] : [html`<div><dt>${name}</dt><dd>${value}</dd></div>`]))}</dl>
    <h3>Why</h3>
    <ol>${why.map((sentence) => html`<li>${sentence}</li>`)}</ol>
  </section>`; // prettier-ignore
}
