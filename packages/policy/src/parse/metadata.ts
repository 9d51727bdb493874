import * as v from 'valibot';
import { defaulted, mapOf, optional, required } from '../schema/fields.ts';
import { clip, dnsLabel, dnsName } from '../schema/scalars.ts';

/** Written by the API server, without meaning in a document. */
export const SERVER_SET: ReadonlySet<string> = new Set([
  'uid', 'resourceVersion', 'generation', 'managedFields', 'ownerReferences', 'finalizers', 'selfLink', 'deletionTimestamp', 'deletionGracePeriodSeconds',
  'generateName', 'clusterName',
]); // prettier-ignore

const timestamp = v.pipe(
  v.string(),
  v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
    const ms = /^\d{4}-\d\d-\d\dT/.test(dataset.value) ? Date.parse(dataset.value) : Number.NaN;
    if (!Number.isNaN(ms)) return ms;
    addIssue({ message: `"${clip(dataset.value)}" is not a time\nwrite such as 2026-01-31T12:00:00Z` });
    return NEVER;
  }),
);

/** Metadata of a resource. */
export const metadataSchema = v.object({
  name: required(dnsName, 'Name of the resource, unique for its kind in its namespace.'),
  namespace: defaulted(dnsLabel, 'default', 'Namespace of the resource.'),
  labels: mapOf(v.string(), 'Labels of the resource.'),
  annotations: mapOf(v.string(), 'Annotations of the resource.'),
  creationTimestamp: optional(timestamp, 'When it was made; of conflicting resources the oldest wins.'),
});
