import * as v from 'valibot';
import { defaulted, documented, list, mapOf, optional, required, text } from '../schema/fields.ts';
import { labels, port, whole } from '../schema/scalars.ts';
import { istioKind, type Check } from './kind.ts';
import { checkWorkloadEntry, workloadEntrySchema } from './workload-entry.ts';

const seconds = whole(0, 2_147_483_647);

const probe = v.object({
  initialDelaySeconds: optional(seconds, 'Time before the first probe, seconds.', { default: '0' }),
  timeoutSeconds: defaulted(seconds, 1, 'Time of one probe, seconds.'),
  periodSeconds: defaulted(seconds, 10, 'Time between probes, seconds.'),
  successThreshold: defaulted(seconds, 1, 'Successes in a row after which the workload is healthy.'),
  failureThreshold: defaulted(seconds, 3, 'Failures in a row after which the workload is unhealthy.'),
  httpGet: optional(
    v.object({
      path: text('Path to call.', { default: '/' }),
      port: required(port, 'Port to call.'),
      host: text('Host to call.', { default: 'localhost' }),
      scheme: text('http or https.', { default: 'http' }),
      httpHeaders: list(v.object({ name: required(v.string(), 'Name of the header.'), value: text('Its value.') }), 'Headers to send.'),
    }),
    'Healthy if an HTTP GET answers 200 to 399.',
  ),
  tcpSocket: optional(
    v.object({ host: text('Host to connect to.', { default: 'localhost' }), port: required(port, 'Port to connect to.') }),
    'Healthy if a connection can be made.',
  ),
  exec: optional(v.object({ command: list(v.string(), 'Command and arguments.') }), 'Healthy if a command ends with 0.'),
  grpc: optional(
    v.object({ service: text('Service to ask for.'), port: optional(port, 'Port to call.') }),
    'Healthy if the gRPC health service says so.',
  ),
});

const schema = v.object({
  metadata: optional(
    v.object({
      labels: v.optional(documented(labels, 'Labels of the WorkloadEntries.'), {}),
      annotations: mapOf(v.string(), 'Annotations of the WorkloadEntries.'),
    }),
    'Metadata of the WorkloadEntries that are made.',
  ),
  template: required(workloadEntrySchema, 'What the WorkloadEntries have in common.'),
  probe: optional(probe, 'How the health of a workload is found out.'),
});

export type WorkloadGroupSpec = v.InferOutput<typeof schema>;

const template: Check<WorkloadGroupSpec> = (spec, report) => {
  if (spec.template?.address !== undefined) checkWorkloadEntry(spec.template, ['template'], report);
  const { probe: found } = spec;
  if (found === undefined) return;
  const ways = (['httpGet', 'tcpSocket', 'exec', 'grpc'] as const).filter((way) => found[way] !== undefined);
  if (ways.length !== 1)
    report.conflict(
      ['probe', ways[1] ?? 'httpGet'],
      ways.length === 0 ? 'the probe says nothing to do' : `${ways.join(', ')} exclude each other`,
      'keep exactly one of httpGet, tcpSocket, exec, grpc',
    );
  if (ways[0] === 'exec' && (found.exec?.command ?? []).length === 0) report.error(['probe', 'exec', 'command'], 'the command is empty');
};

/** A template for WorkloadEntries that register themselves. */
export const workloadGroup = istioKind({
  kind: 'WorkloadGroup',
  summary: 'A template of the WorkloadEntries that workloads register themselves with.',
  schema,
  checks: [template],
  notHonoured: 'workloads do not register themselves yet',
});
