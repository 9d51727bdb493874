import * as v from 'valibot';
import { defaulted, list, optional, required, text } from '../schema/fields.ts';
import { isDnsLabel, isIp, isWildcardHost, oneOf } from '../schema/scalars.ts';
import { istioKind, type Check, type Path, type Report } from './kind.ts';
import { checkConnectionPool, connectionPool } from './parts/connection-pool.ts';
import { destination, listenerPort, workloadSelector } from './parts/selector.ts';
import { serverTls } from './parts/server-tls.ts';

const captureMode = oneOf('DEFAULT', 'IPTABLES', 'NONE');
const noListener = 'there is no listener to bind inside the process';
const serverSide = 'inbound rules are for the server side, which does not obey them yet';

const schema = v.object({
  workloadSelector: optional(workloadSelector, 'Workloads of the namespace the resource is for.', {
    default: 'all of the namespace',
    honoured: 'HGWT',
  }),
  egress: list(
    v.object({
      port: optional(listenerPort, 'Only calls to this port see the hosts of this entry.'),
      bind: text('Address calls are captured on.', { notHonoured: noListener }),
      captureMode: optional(captureMode, 'How calls are captured.', { notHonoured: noListener }),
      hosts: required(
        v.pipe(v.array(v.string()), v.minLength(1, 'is empty\nname at least one host, or ~/* for none')),
        'Services visible here, `namespace/host`. Namespace `*` any, `.` the own, `~` none; `~namespace/host` takes away.',
        { honoured: 'HGWT' },
      ),
    }),
    'Which services the workloads see. Without an entry: all that are exported to them.',
    { honoured: 'HGWT' },
  ),
  ingress: list(
    v.object({
      port: required(listenerPort, 'Port served.'),
      bind: text('Address served.'),
      captureMode: optional(captureMode, 'How calls are captured.'),
      defaultEndpoint: text('Where calls go: 127.0.0.1:PORT, 0.0.0.0:PORT or unix:///path.'),
      tls: optional(serverTls, 'TLS of the port.'),
      connectionPool: optional(connectionPool, 'Limits of the port.'),
    }),
    'Ports the workloads serve.',
    { notHonoured: serverSide },
  ),
  inboundConnectionPool: optional(connectionPool, 'Limits of all ports the workloads serve.', { notHonoured: serverSide }),
  outboundTrafficPolicy: optional(
    v.object({
      mode: defaulted(
        oneOf('REGISTRY_ONLY', 'ALLOW_ANY'),
        'REGISTRY_ONLY',
        'REGISTRY_ONLY: calls to unknown hosts are refused. ALLOW_ANY: they pass.',
        { honoured: 'HGWT' },
      ),
      egressProxy: optional(destination, 'Where calls to unknown hosts go.', { notHonoured: 'calls to unknown hosts go straight to them' }),
    }),
    'What happens to calls to unknown hosts.',
    { default: 'outboundTrafficPolicy of the mesh', honoured: 'HGWT' },
  ),
});

export type SidecarSpec = v.InferOutput<typeof schema>;

const egress: Check<SidecarSpec> = (spec, report) => {
  for (const [index, listener] of (spec.egress ?? []).entries())
    for (const [at, host] of (listener?.hosts ?? []).entries())
      if (host !== undefined) checkEgressHost(host, ['egress', index, 'hosts', at], report);
};

/** Istio's validateNamespaceSlashWildcardHostname with the forms `~/*` and `~ns/host`. */
function checkEgressHost(host: string, path: Path, report: Report): void {
  const slash = host.indexOf('/');
  const bad = (reason: string): void =>
    report.error(path, `"${host}" ${reason}`, 'write namespace/host, such as ./*, prod/reviews.prod.svc.cluster.local or */*.example.com');
  if (slash < 0 || host.includes('/', slash + 1)) return bad('is not of the form namespace/host');
  const namespace = host.slice(0, slash);
  const name = host.slice(slash + 1);
  const taken = namespace.startsWith('~') && namespace !== '~' ? namespace.slice(1) : namespace;
  if (!['*', '.', '~'].includes(taken) && !isDnsLabel(taken)) return bad('does not begin with a namespace');
  if (namespace === '~' && name !== '*') return bad('means no namespace, so it must be ~/*');
  if (!isWildcardHost(name) && !isIp(name)) bad('does not end with a host');
}

const ingress: Check<SidecarSpec> = (spec, report) => {
  const ports = new Set<number>();
  for (const [index, listener] of (spec.ingress ?? []).entries()) {
    const at = ['ingress', index];
    const number = listener?.port?.number;
    if (number !== undefined && ports.size === ports.add(number).size)
      report.error([...at, 'port', 'number'], `port ${number} stands twice in ingress`, 'keep one');
    const target = listener?.defaultEndpoint;
    if (target !== undefined && !/^(?:(?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):\d{1,5}|unix:\/\/[/@].*)$/.test(target))
      report.error(
        [...at, 'defaultEndpoint'],
        `"${target}" is no local endpoint`,
        'write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path',
      );
    checkConnectionPool(listener?.connectionPool, [...at, 'connectionPool'], report);
  }
  checkConnectionPool(spec.inboundConnectionPool, ['inboundConnectionPool'], report);
};

/** Narrows what workloads see of the mesh. */
export const sidecar = istioKind({
  kind: 'Sidecar',
  summary: 'Which services the workloads of a namespace see, and what happens to calls to unknown hosts.',
  schema,
  checks: [egress, ingress],
});
