import * as v from 'valibot';
import { documented, filled, optional, required, text } from '../schema/fields.ts';
import { isDnsLabel, isWildcardHost, labels } from '../schema/scalars.ts';
import { istioKind, type Check } from './kind.ts';
import { listenerPort } from './parts/selector.ts';
import { serverTls } from './parts/server-tls.ts';

const schema = v.object({
  selector: v.optional(documented(labels, 'Labels of the workloads that play the gateway.'), {}),
  servers: filled(
    v.object({
      port: required(listenerPort, 'Port served.'),
      bind: text('Address served.'),
      hosts: filled(v.string(), 'Hosts served, `namespace/host` or `host`.'),
      tls: optional(serverTls, 'TLS of the port.'),
      defaultEndpoint: text('Where calls go by default.'),
      name: text('Name of the server.'),
    }),
    'What the gateway serves.',
  ),
});

export type GatewaySpec = v.InferOutput<typeof schema>;

const servers: Check<GatewaySpec> = (spec, report) => {
  const names = new Set<string>();
  for (const [index, server] of (spec.servers ?? []).entries()) {
    const at = ['servers', index];
    if (server?.name !== undefined && names.size === names.add(server.name).size)
      report.error([...at, 'name'], `server name "${server.name}" is used twice`, 'rename one');
    for (const [hostIndex, host] of (server?.hosts ?? []).entries()) {
      if (host === undefined) continue;
      const slash = host.indexOf('/');
      const namespace = slash < 0 ? '*' : host.slice(0, slash);
      if ((!['*', '.', '~'].includes(namespace) && !isDnsLabel(namespace)) || !isWildcardHost(host.slice(slash + 1)))
        report.error([...at, 'hosts', hostIndex], `"${host}" is not a host`, 'write host or namespace/host, such as ./*.example.com');
    }
    const { tls, port } = server ?? {};
    const encrypted = port?.protocol === 'HTTPS' || port?.protocol === 'TLS';
    if (encrypted && tls === undefined)
      report.error([...at, 'tls'], `protocol ${port.protocol} needs tls`, 'add tls, such as tls: { mode: SIMPLE, credentialName: … }');
    if (tls?.httpsRedirect === true && encrypted)
      report.error([...at, 'tls', 'httpsRedirect'], 'httpsRedirect is for plain HTTP', 'remove it here');
    if (
      (tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL') &&
      tls.credentialName === undefined &&
      (tls.credentialNames ?? []).length === 0 &&
      (tls.tlsCertificates ?? []).length === 0
    )
      for (const file of ['serverCertificate', 'privateKey'] as const)
        if (tls[file] === undefined)
          report.error([...at, 'tls', file], `mode ${tls.mode} needs ${file}`, 'name the file, or a secret with credentialName');
  }
};

/** A door of the mesh; parsed so that VirtualServices bound to gateways only are known for what they are. */
export const gateway = istioKind({
  kind: 'Gateway',
  summary: 'A door through which calls enter or leave the mesh.',
  schema,
  checks: [servers],
  notHonoured: 'nothing plays the gateway; VirtualServices bound to gateways only do not govern callers in the mesh',
});
