import type { ResourceOf } from '../kinds/index.ts';
import type { ClientTls, Service, ServicePort } from '../model.ts';
import { byAgeAndPath, labelOf } from './order.ts';
import type { Registry } from './registry.ts';

type BackendTLSPolicy = ResourceOf<'BackendTLSPolicy'>;

export interface BackendTls {
  readonly resource: string;
  readonly tls: ClientTls;
}

/** The BackendTLSPolicy of a port, if any. One that names the port beats one for all ports; then the oldest holds. */
export type BackendTlsPolicies = (service: Service, port: ServicePort) => BackendTls | undefined;

export function backendTlsOf(registry: Registry): BackendTlsPolicies {
  const policies = registry.of('BackendTLSPolicy').toSorted((a, b) => byAgeAndPath(a.metadata, b.metadata));
  if (policies.length === 0) return () => undefined;
  const configMaps = new Map(registry.of('ConfigMap').map(({ metadata, spec }) => [`${metadata.namespace}/${metadata.name}`, spec.data]));
  const byTarget = new Map<string, BackendTls>();
  for (const policy of policies) {
    const found: BackendTls = { resource: labelOf(policy), tls: tlsOf(policy, configMaps) };
    for (const { kind, name, sectionName } of policy.spec.targetRefs) {
      // A Hostname names a host, whoever declares it; the others name a resource of the policy's namespace.
      const target = kind === 'Hostname' ? name.toLowerCase() : `${kind} ${policy.metadata.namespace}/${name}`;
      const key = `${target}#${sectionName ?? ''}`;
      if (!byTarget.has(key)) byTarget.set(key, found);
    }
  }
  return ({ resource, host }, { name }) =>
    byTarget.get(`${resource}#${name}`) ?? byTarget.get(`${host}#${name}`) ?? byTarget.get(`${resource}#`) ?? byTarget.get(`${host}#`);
}

function tlsOf({ spec, metadata }: BackendTLSPolicy, configMaps: ReadonlyMap<string, Readonly<Record<string, string>>>): ClientTls {
  const { hostname, subjectAltNames, caCertificateRefs } = spec.validation;
  const names = subjectAltNames.map((name) => name.hostname ?? name.uri ?? '').filter((name) => name !== '');
  const pems = caCertificateRefs.map(({ name }) => configMaps.get(`${metadata.namespace}/${name}`)?.['ca.crt'] ?? '');
  return {
    mode: 'SIMPLE',
    clientCertificate: null,
    privateKey: null,
    caCertificates: null,
    // A reference to certificates nobody has must not fall back to trusting every public root: '' trusts nobody.
    caPem: caCertificateRefs.length === 0 ? null : pems.filter((pem) => pem !== '').join('\n'),
    caCrl: null,
    credentialName: null,
    subjectAltNames: names.length > 0 ? names : [hostname],
    sni: hostname,
    insecureSkipVerify: false,
  };
}
