import * as v from 'valibot';
import { defaulted, filled, list, mapOf, optional, required, text } from '../schema/fields.ts';
import { isDnsName, oneOf } from '../schema/scalars.ts';
import { gatewayApiKind, type Check } from './kind.ts';

const schema = v.object({
  targetRefs: filled(
    v.object({
      group: defaulted(v.string(), '', 'API group: "" for a Service.', { honoured: 'HGT' }),
      kind: required(v.string(), 'Service, ServiceEntry or Hostname.', { honoured: 'HGT' }),
      name: required(v.string(), 'Name of the service, in the namespace of the policy.', { honoured: 'HGT' }),
      sectionName: text('Name of the port of the service.', { default: 'all ports', honoured: 'HGT' }),
    }),
    'Services the policy is for.',
    { honoured: 'HGT' },
  ),
  validation: required(
    v.object({
      caCertificateRefs: list(
        v.object({
          group: defaulted(v.string(), '', 'API group: "" for a ConfigMap.', { honoured: 'HGT' }),
          kind: required(v.string(), 'ConfigMap.', { honoured: 'HGT' }),
          name: required(v.string(), 'Name of the ConfigMap with key ca.crt, in the namespace of the policy.', { honoured: 'HGT' }),
        }),
        'Certificates the server is verified against. Excludes wellKnownCACertificates.',
        { honoured: 'HGT' },
      ),
      wellKnownCACertificates: optional(oneOf('System'), 'Verify the server against the roots of the system.', { honoured: 'HGT' }),
      hostname: required(v.string(), 'Server name sent in the handshake; the identity of the server unless subjectAltNames says more.', {
        honoured: 'HGT',
      }),
      subjectAltNames: list(
        v.object({
          type: required(oneOf('Hostname', 'URI'), 'Kind of the name.', { honoured: 'HGT' }),
          hostname: text('Host name the certificate must carry.', { honoured: 'HGT' }),
          uri: text('URI the certificate must carry.', { honoured: 'HGT' }),
        }),
        'Names one of which the certificate of the server must carry.',
        { honoured: 'HGT' },
      ),
    }),
    'How the server is verified.',
    { honoured: 'HGT' },
  ),
  options: mapOf(v.string(), 'Options of implementations.', { notHonoured: 'no option is known' }),
});

export type BackendTLSPolicySpec = v.InferOutput<typeof schema>;

const validation: Check<BackendTLSPolicySpec> = (spec, report) => {
  const { caCertificateRefs = [], wellKnownCACertificates, hostname, subjectAltNames = [] } = spec.validation ?? {};
  if (caCertificateRefs.length > 0 && wellKnownCACertificates !== undefined)
    report.conflict(['validation', 'wellKnownCACertificates'], 'caCertificateRefs excludes wellKnownCACertificates', 'keep one of them');
  if (spec.validation !== undefined && caCertificateRefs.length === 0 && wellKnownCACertificates === undefined)
    report.error(['validation', 'caCertificateRefs'], 'neither caCertificateRefs nor wellKnownCACertificates is given', 'add one of them');
  if (hostname !== undefined && !isDnsName(hostname))
    report.error(['validation', 'hostname'], `"${hostname}" is not a host name`, 'wildcards are not allowed here');
  if (subjectAltNames.length > 5) report.error(['validation', 'subjectAltNames'], 'holds more than 5 names', 'leave some out');
  for (const [index, name] of subjectAltNames.entries()) {
    const at = ['validation', 'subjectAltNames', index];
    if (name?.type === 'Hostname' && name.hostname === undefined)
      report.error([...at, 'hostname'], 'type Hostname needs hostname', 'add hostname');
    if (name?.type === 'URI' && name.uri === undefined) report.error([...at, 'uri'], 'type URI needs uri', 'add uri');
    if (name?.type === 'Hostname' && name.uri !== undefined) report.conflict([...at, 'uri'], 'type Hostname excludes uri', 'remove uri');
    if (name?.type === 'URI' && name.hostname !== undefined)
      report.conflict([...at, 'hostname'], 'type URI excludes hostname', 'remove hostname');
  }
};

/** TLS from callers to a service. */
export const backendTlsPolicy = gatewayApiKind({
  kind: 'BackendTLSPolicy',
  summary: 'TLS from callers to a Service: which certificates its server must show.',
  schema,
  checks: [validation],
});
