import * as v from 'valibot';
import { destinationHost, labels, port, portSelector } from '../../schema/scalars.ts';
import { documented, optional, required, text } from '../../schema/fields.ts';
import { protocol } from './protocol.ts';

/** Istio's WorkloadSelector of ServiceEntry and Sidecar. */
export const workloadSelector = v.object({
  labels: v.optional(documented(labels, 'Labels a workload must carry, all of them.'), {}),
});

/** A Port of Gateway and Sidecar. */
export const listenerPort = v.object({
  number: required(port, 'Port number.'),
  protocol: required(protocol, 'Protocol spoken on the port.'),
  name: text('Name of the port.'),
  targetPort: optional(port, 'Port of the workload.', { deprecated: 'it has no effect; remove it' }),
});

/** Istio's Destination: a service, a subset of it, and the port to call. */
export const destination = v.object({
  host: required(
    destinationHost,
    'Service to call: a Kubernetes service or the host of a ServiceEntry. A short name means the namespace of the rule.',
    {
      honoured: 'HGWT',
    },
  ),
  subset: text('Subset of the service, as a DestinationRule of that host defines it.', { honoured: 'HGWT' }),
  port: optional(portSelector, 'Port of the service.', {
    default: 'the only port of the service, else the port the caller addressed',
    honoured: 'HGWT',
  }),
});

export type Destination = v.InferOutput<typeof destination>;
