import { useState } from 'preact/hooks';
import type { VNode } from 'preact';
import { ms, pairs } from '../format.ts';
import { html } from '../html.ts';
import type { Model } from '../shapes.ts';
import type { World } from '../world.ts';
import { chooser } from './processes.ts';
import { resource, table } from './table.ts';

interface Setting {
  readonly of: string;
  readonly name: string;
  readonly value: string;
  readonly from: string;
  /** Where in that resource. */
  readonly field: string;
}

/** What is in force for a process, and the resource and field it comes from. */
export function PolicyView({ world }: { readonly world: World }): VNode {
  const [at, choose] = useState(0);
  const [wanted, filter] = useState('');
  const model = world.processes[at]?.snapshot;
  if (model === undefined) return html`<p class="empty">The policy comes from a process: name one with --admin.</p>`;
  const named = ({ of, name, from }: Setting): boolean => `${of} ${name} ${from}`.toLowerCase().includes(wanted.toLowerCase());
  const columns = [
    { head: 'Of', cell: ({ of }: Setting) => of },
    { head: 'Setting', cell: ({ name }: Setting) => name },
    { head: 'In force', cell: ({ value }: Setting) => value },
    { head: 'Resource', cell: ({ from }: Setting) => resource(from) },
    { head: 'Field', cell: ({ field }: Setting) => html`<code>${field}</code>` },
  ];
  return html`
    <div class="filters">
      ${chooser(world, at, choose)}
      <label class="filter">Filter <input type="search" value=${wanted} onInput=${(event: InputEvent) => filter((event.target as HTMLInputElement).value)} /></label>
    </div>
    ${table('Destinations', columns, model.clusters.flatMap(ofCluster).filter(named), 'No setting of a destination departs from the default.')}
    ${table('Routes', columns, routes(model).filter(named), 'No setting of a route departs from the default.')}
    ${table('Calls to this process', columns, ofInbound(model).filter(named), 'Nothing is demanded of callers.')}
    ${table('Mesh', columns, ofMesh(model).filter(named), '')}
    <details><summary>The whole model as JSON</summary><pre tabindex="0">${JSON.stringify(model, null, 2)}</pre></details>
  `; // prettier-ignore
}

function ofCluster({
  service,
  subset,
  port,
  labels,
  resources,
  loadBalancer,
  outlier,
  limits,
  connection,
  tls,
  panicPercent,
  slowStart,
  retryBudget,
  hedging,
  locality,
}: Model['clusters'][number]): Setting[] {
  if (resources.length === 0 && hedging.length === 0) return [];
  const of = `${service}:${port}${subset === null ? '' : ` ${subset}`}`;
  const from = resources.join(', ');
  const field = (name: string): string => `spec.${subset === null ? '' : `subsets[${subset}].trafficPolicy or `}trafficPolicy.${name}`;
  const rows: (readonly [string, string | null, string])[] = [
    ['Subset', subset === null ? null : pairs(labels) || 'every endpoint', `spec.subsets[${subset}].labels`],
    ['Load balancer', loadBalancer.kind, field('loadBalancer')],
    ['Locality', locality.kind === 'off' ? null : locality.kind, field('loadBalancer.localityLbSetting')],
    ['Slow start', slowStart === null ? null : ms(slowStart.windowMs), field('loadBalancer.warmup')],
    ['Outlier detection', outlier === null ? null : `${outlier.consecutive5xx || outlier.consecutiveGateway || outlier.consecutiveLocalOrigin} in a row, every ${ms(outlier.intervalMs)}, out for ${ms(outlier.baseEjectionMs)}, at most ${outlier.maxEjectionPercent} %`, field('outlierDetection')],
    ['Panic threshold', panicPercent === 0 ? null : `${panicPercent} %`, field('outlierDetection.minHealthPercent')],
    ['Limits', said({ connections: limits.connections, pending: limits.pending, requests: limits.requests, retries: limits.retries }), field('connectionPool')],
    ['Connect timeout', ms(connection.connectTimeoutMs), field('connectionPool.tcp.connectTimeout')],
    ['Retry budget', retryBudget === null ? null : `${retryBudget.percent} %, at least ${retryBudget.minConcurrency}`, field('retryBudget')],
    ['TLS', tls.mode, field('tls.mode')],
  ]; // prettier-ignore
  return [
    ...(resources.length === 0 ? [] : rows.flatMap(([name, value, at]): Setting[] => (value === null ? [] : [{ of, name, value, from, field: at }]))),
    ...hedging.map(({ resource: policy, delayMs, maxAttempts }) => ({ of, name: 'Hedging', value: `another after ${ms(delayMs)}, at most ${maxAttempts}`, from: policy, field: 'spec.rules' })),
  ]; // prettier-ignore
}

/** Those that are set; null if none is. */
function said(numbers: Readonly<Record<string, number | null>>): string | null {
  const set = Object.entries(numbers).filter(([, value]) => value !== null);
  return set.length === 0 ? null : set.map(([name, value]) => `${value} ${name}`).join(', ');
}

const routes = ({ hosts }: Model): Setting[] =>
  hosts.flatMap(({ name: host, routes: all }) => all.flatMap((route) => ofRoute(host, route)));

function ofRoute(
  host: string,
  { name, resource: from, timeoutMs, retries, fault, mirrors }: Model['hosts'][number]['routes'][number],
): Setting[] {
  if (from === null) return [];
  // Gateway API writes the same things elsewhere.
  const istio = from.startsWith('VirtualService');
  const spec = istio ? `spec.http[${name}]` : `spec.rules[${name}]`;
  const rows: (readonly [string, string | null, string])[] = [
    ['Timeout', timeoutMs === null ? null : ms(timeoutMs), istio ? 'timeout' : 'timeouts.request'],
    ['Retries', retries === null ? null : `${retries.attempts} on ${retries.retryOn.join(', ')}`, istio ? 'retries' : 'retry'],
    ['Fault', fault === null ? null : [fault.delay === null ? '' : `${fault.delay.percent} % delayed`, fault.abort === null ? '' : `${fault.abort.percent} % aborted`].filter(Boolean).join(', '), 'fault'],
    ['Mirrors', mirrors.length === 0 ? null : mirrors.map(({ cluster, percent }) => `${percent} % to ${cluster}`).join(', '), istio ? 'mirrors' : 'filters'],
  ]; // prettier-ignore
  return rows.flatMap(([setting, value, field]) =>
    value === null ? [] : [{ of: `${host} ${name}`, name: setting, value, from, field: `${spec}.${field}` }],
  );
}

function ofInbound({ inbound: { mtls, jwt, authorization, services } }: Model): Setting[] {
  return [
    { of: 'every port', name: 'Mutual TLS', value: mtls.mode, from: mtls.resources.join(', ') || 'default', field: 'spec.mtls.mode' },
    ...Object.entries(mtls.ports).map(([port, mode]) => ({ of: `port ${port}`, name: 'Mutual TLS', value: mode, from: mtls.resources.join(', '), field: `spec.portLevelMtls[${port}].mode` })),
    ...jwt.map(({ issuer, audiences, resource: from }) => ({ of: 'tokens', name: 'Issuer', value: `${issuer || 'any'}${audiences.length === 0 ? '' : ` for ${audiences.join(', ')}`}`, from, field: 'spec.jwtRules' })),
    ...authorization.map(({ action, namespace, name, rules, dryRun }) => ({ of: 'callers', name: 'Authorization', value: `${action}${dryRun ? ' (dry run)' : ''}, ${rules.length} rules`, from: `AuthorizationPolicy ${namespace}/${name}`, field: 'spec.rules' })),
    ...services.map(({ host, ports }) => ({ of: 'services', name: 'Member of', value: `${host} on ${ports?.join(', ') ?? 'named ports'}`, from: 'its selector', field: 'spec.selector' })),
  ]; // prettier-ignore
}

function ofMesh({ settings }: Model): Setting[] {
  const fields: Readonly<Partial<Record<keyof Model['settings'], string>>> = { outboundTrafficPolicy: 'outboundTrafficPolicy.mode', trustDomain: 'trustDomain', enableAutoMtls: 'enableAutoMtls', pathNormalization: 'pathNormalization.normalization', rootNamespace: 'rootNamespace' }; // prettier-ignore
  return Object.entries(fields).map(([name, field]) => ({
    of: 'mesh',
    name,
    value: String(settings[name as keyof Model['settings']]),
    from: 'MeshConfig',
    field,
  }));
}
