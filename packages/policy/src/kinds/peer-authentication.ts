import * as v from 'valibot';
import { defaulted, optional } from '../schema/fields.ts';
import { clip, oneOf } from '../schema/scalars.ts';
import { securityKind, type Check } from './kind.ts';
import { checkAttachment, selector } from './parts/attachment.ts';

const S = { honoured: 'S' } as const;

const mutualTls = v.object({
  mode: defaulted(
    oneOf('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'),
    'UNSET',
    'STRICT: callers must come by mutual TLS. PERMISSIVE: they may. DISABLE: the port takes plaintext only. UNSET: as the namespace, else the mesh, else PERMISSIVE.',
    S,
  ),
});

const schema = v.object({
  selector,
  mtls: optional(mutualTls, 'Mutual TLS of all ports of the workloads.', {
    default: 'as the namespace, else the mesh, else PERMISSIVE',
    ...S,
  }),
  // Absent and empty differ: the latter is refused.
  portLevelMtls: optional(
    v.record(v.string(), mutualTls),
    'Port of the workload (not of the service) → its own mode; UNSET: as the other ports. Needs a selector.',
    S,
  ),
});

export type PeerAuthenticationSpec = v.InferOutput<typeof schema>;

/** Istio's ValidatePeerAuthentication. */
const ports: Check<PeerAuthenticationSpec> = (spec, report) => {
  checkAttachment(spec, report);
  if (spec.portLevelMtls === undefined) return;
  const numbers = Object.keys(spec.portLevelMtls);
  if (numbers.length === 0) report.error(['portLevelMtls'], 'portLevelMtls is empty', 'add a port, or remove the field');
  else if (Object.keys(spec.selector?.matchLabels ?? {}).length === 0)
    report.error(['portLevelMtls'], 'portLevelMtls needs a selector', 'ports are those of some workloads: select them by their labels');
  for (const number of numbers)
    if (!/^[1-9]\d{0,4}$/.test(number) || Number(number) > 65_535)
      report.error(
        ['portLevelMtls', number],
        `"${clip(number)}" is not a port from 1 to 65535`,
        'write the number of a port of the workload',
      );
};

/** Decides whether callers of a workload must come by mutual TLS. */
export const peerAuthentication = securityKind({
  kind: 'PeerAuthentication',
  summary: 'Whether callers must come by mutual TLS: for the mesh (in the root namespace), a namespace, some workloads, or a port of them.',
  schema,
  checks: [ports],
});
