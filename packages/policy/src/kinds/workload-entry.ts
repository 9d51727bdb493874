import * as v from 'valibot';
import { documented, mapOf, optional, text } from '../schema/fields.ts';
import { isIp, isWildcardHost, labels, port, uint32 } from '../schema/scalars.ts';
import { istioKind, type Check, type Partly, type Path, type Report } from './kind.ts';

/** Fields of a WorkloadEntry, which also stand inline in a ServiceEntry. */
export const workloadEntrySchema = v.object({
  address: text(
    'Where the workload is reached: an IP address, a host name or a name of SRV records such as _http._tcp.reviews.internal (with DNS resolution), or unix:///path.',
    { honoured: 'HGWT' },
  ),
  ports: mapOf(port, 'Port name of the service → port of the workload.', { honoured: 'HGWT' }),
  labels: v.optional(documented(labels, 'Labels of the workload.', { honoured: 'HGWT' }), {}),
  network: text('Network the workload is in.', { honoured: 'HGWT' }),
  locality: text('Place as region/zone/subzone.', { honoured: 'HGWT' }),
  weight: optional(
    v.pipe(
      uint32,
      v.transform((weight): number | undefined => (weight === 0 ? undefined : weight)),
    ),
    'Share of the calls, relative to the other endpoints. 0 means the default.',
    { default: '1', honoured: 'HGWT' },
  ),
  serviceAccount: text('Service account of the workload: the identity its certificate carries.', { honoured: 'HGWT' }),
});

export type WorkloadEntrySpec = v.InferOutput<typeof workloadEntrySchema>;

/** Istio's validateUnixAddress and ValidateWorkloadEntry. Host names are allowed where `names` says so. */
export function checkWorkloadEntry(entry: Partly<WorkloadEntrySpec> | undefined, path: Path, report: Report, names = true): void {
  if (entry === undefined) return;
  const { address, ports = {}, network, locality } = entry;
  if (address === undefined) {
    if (network === undefined)
      report.error([...path, 'address'], 'the address is missing', 'write an IP address, a host name or unix:///path');
  } else if (address.startsWith('unix://')) {
    const file = address.slice('unix://'.length);
    if (!file.startsWith('/') && !file.startsWith('@'))
      report.error([...path, 'address'], `"${address}" is no absolute path`, 'write unix:///path/of/the/socket');
    if (Object.keys(ports).length > 0) report.error([...path, 'ports'], 'a unix socket has no ports', 'remove ports');
  } else if (!isIp(address)) {
    if (!names)
      report.error(
        [...path, 'address'],
        `"${address}" is not an IP address`,
        'with resolution STATIC or NONE endpoints are IP addresses; use resolution DNS for names',
      );
    else if (!isWildcardHost(address) || address.startsWith('*'))
      report.error(
        [...path, 'address'],
        `"${address}" is neither an IP address, a host name, nor unix:///path`,
        'a wildcard cannot be called',
      );
  }
  if (locality?.split('/').some((part) => part === '') === true)
    report.error([...path, 'locality'], `"${locality}" is not a locality`, 'write region, region/zone or region/zone/subzone');
}

const itself: Check<WorkloadEntrySpec> = (spec, report) => checkWorkloadEntry(spec, [], report);

/** One workload outside Kubernetes, such as a virtual machine. */
export const workloadEntry = istioKind({
  kind: 'WorkloadEntry',
  summary: 'One workload that Kubernetes does not run, such as a process on a virtual machine. A ServiceEntry selects it by labels.',
  schema: workloadEntrySchema,
  checks: [itself],
});
