import * as v from 'valibot';
import { defaulted, documented, list, mapOf, oneLine, optional, required, text } from '../schema/fields.ts';
import { labels, port, whole } from '../schema/scalars.ts';
import { istioKind, type Check, type Partly, type Path, type Report } from './kind.ts';
import { checkWorkloadEntry, workloadEntrySchema } from './workload-entry.ts';

const seconds = whole(0, 2_147_483_647);

const NOT_ELSEWHERE =
  'callers cannot run it; a machine that registers itself does, given it there: registryServer({ register: { probe: { exec } } })';
const CALLERS = { honoured: 'HGWT' };

export const probeSchema = v.object({
  initialDelaySeconds: optional(seconds, 'Time before the first probe, seconds.', { default: '0' }),
  timeoutSeconds: defaulted(seconds, 1, 'Time of one probe, seconds; 0 means the default.'),
  periodSeconds: defaulted(seconds, 10, 'Time between probes, seconds; 0 means the default.'),
  successThreshold: defaulted(seconds, 1, 'Successes in a row after which an unhealthy workload is healthy; 0 means the default.'),
  failureThreshold: defaulted(seconds, 3, 'Failures in a row after which the workload is unhealthy; 0 means the default.'),
  httpGet: optional(
    v.object({
      path: text('Path to call.', { default: '/' }),
      port: required(port, 'Port of the workload to call.'),
      host: text('Host header; the workload itself is called.', { default: 'its address' }),
      scheme: text('HTTP or HTTPS, in any case; the certificate is not looked at.', { default: 'HTTP' }),
      httpHeaders: list(v.object({ name: required(oneLine, 'Name of the header.'), value: text('Its value.') }), 'Headers to send.'),
    }),
    'Healthy if an HTTP GET answers 200 to 399.',
  ),
  tcpSocket: optional(
    v.object({
      host: text('Host to connect to.', { default: 'the address of the workload', notHonoured: 'the workload itself is dialled' }),
      port: required(port, 'Port of the workload to connect to.'),
    }),
    'Healthy if a connection can be made.',
  ),
  exec: optional(v.object({ command: list(v.string(), 'Command and arguments.') }), 'Healthy if a command ends with 0.', {
    notHonoured: NOT_ELSEWHERE,
  }),
  grpc: optional(
    v.object({
      service: text('Service to ask for.', { default: 'the server as a whole' }),
      port: optional(port, 'Port of the workload to call.', { default: 'that of the endpoint' }),
    }),
    'Healthy if the gRPC health service (grpc.health.v1) says SERVING.',
  ),
});

const schema = v.object({
  metadata: optional(
    v.object({
      labels: v.optional(documented(labels, 'Labels of the WorkloadEntries.', CALLERS), {}),
      annotations: mapOf(v.string(), 'Annotations of the WorkloadEntries.', { notHonoured: 'no WorkloadEntry is made from it' }),
    }),
    'Metadata of the WorkloadEntries.',
    CALLERS,
  ),
  template: required(
    workloadEntrySchema,
    'What the WorkloadEntries have in common. Its labels say which entries of the namespace belong to the group, unless an entry names its group by annotation istio.io/autoRegistrationGroup; all else is for who makes the entries.',
    CALLERS,
  ),
  probe: optional(
    probeSchema,
    'How the health of a workload is found out: each process that calls it asks, as long as it calls it. Until the first failures are counted the workload is taken to be healthy.',
    CALLERS,
  ),
});

export type WorkloadGroupSpec = v.InferOutput<typeof schema>;

const template: Check<WorkloadGroupSpec> = (spec, report) => {
  if (spec.template?.address !== undefined) checkWorkloadEntry(spec.template, ['template'], report);
  if (spec.probe !== undefined) checkProbe(spec.probe, ['probe'], report);
};

/** Exactly one thing is done, and can be. */
export function checkProbe(found: Partly<v.InferOutput<typeof probeSchema>>, path: Path, report: Report): void {
  const ways = (['httpGet', 'tcpSocket', 'exec', 'grpc'] as const).filter((way) => found[way] !== undefined);
  if (ways.length !== 1)
    report.conflict(
      [...path, ways[1] ?? 'httpGet'],
      ways.length === 0 ? 'the probe says nothing to do' : `${ways.join(', ')} exclude each other`,
      'keep exactly one of httpGet, tcpSocket, exec, grpc',
    );
  if (ways[0] === 'exec' && (found.exec?.command ?? []).length === 0) report.error([...path, 'exec', 'command'], 'the command is empty');
}

/** What WorkloadEntries have in common, and how their health is found out. */
export const workloadGroup = istioKind({
  kind: 'WorkloadGroup',
  summary: 'What a group of WorkloadEntries has in common, and how callers find out whether a workload of it is healthy.',
  schema,
  checks: [template],
});
