import type { MetadataExchange, PeerMetadata } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';

/** Istio's header of its metadata exchange (istio/proxy, peer_metadata filter): a google.protobuf.Struct in base64. */
const HEADER = 'x-envoy-peer-metadata';

/** Accounts that are remembered; strangers may make up more without end. */
const MOST_KEPT = 1024;
/** Longer than any honest one. */
const LONGEST = 4096;

/** As Istio's proxies tell each other who they are: in both directions what a sidecar says is understood here, and the other way round. */
export function metadataExchange({ name, namespace, cluster, labels }: Workload): MetadataExchange {
  const kept = new Map<string, PeerMetadata | undefined>();
  const told = Object.fromEntries(TOLD_LABELS.flatMap((label) => (labels[label] === undefined ? [] : [[label, labels[label]]])));
  const own = { NAMESPACE: namespace, WORKLOAD_NAME: name, CLUSTER_ID: cluster === '' ? 'Kubernetes' : cluster, LABELS: told };
  return {
    header: [HEADER, Buffer.from(writeStruct(own)).toString('base64')],
    read: (value) => {
      if (value.length > LONGEST) return undefined;
      const found = kept.get(value);
      if (found !== undefined || kept.has(value)) return found;
      const read = accountOf(readStruct(Buffer.from(value, 'base64')));
      // The oldest makes room: whoever still calls is soon back, and strangers do not stay.
      if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!);
      kept.set(value, read);
      return read;
    },
  };
}

/** What metrics name of a workload. */
const TOLD_LABELS = [
  'app',
  'version',
  'app.kubernetes.io/name',
  'app.kubernetes.io/version',
  'service.istio.io/canonical-name',
  'service.istio.io/canonical-revision',
];

function accountOf(told: Struct | undefined): PeerMetadata | undefined {
  if (told === undefined) return undefined;
  const text = (key: string): string => (typeof told[key] === 'string' ? told[key] : '');
  const { LABELS: labels } = told;
  return {
    workload: text('WORKLOAD_NAME'),
    namespace: text('NAMESPACE'),
    cluster: text('CLUSTER_ID'),
    labels: Object.fromEntries(
      Object.entries(typeof labels === 'object' ? labels : {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
  };
}

/** The part of google.protobuf.Struct that is used here: texts, and texts by name. */
interface Struct {
  readonly [key: string]: string | Struct;
}

// Struct: repeated entries (field 1) of key (1) and Value (2); Value: string_value (3), struct_value (5). All of them are length-delimited.
const tag = (field: number): number => (field << 3) | 2;
const [ENTRY, KEY, VALUE, STRING, STRUCT] = [tag(1), tag(1), tag(2), tag(3), tag(5)] as const;

function writeStruct(struct: Struct): Uint8Array {
  return Buffer.concat(
    Object.entries(struct).map(([key, value]) => {
      const written = typeof value === 'string' ? field(STRING, Buffer.from(value)) : field(STRUCT, writeStruct(value));
      return field(ENTRY, Buffer.concat([field(KEY, Buffer.from(key)), field(VALUE, written)]));
    }),
  );
}

function field(tagByte: number, bytes: Uint8Array): Uint8Array {
  const length: number[] = [];
  for (let left = bytes.length; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  return Buffer.concat([Buffer.of(tagByte, ...length), bytes]);
}

/** undefined: no struct. `depth` bounds what strangers may nest. */
function readStruct(bytes: Buffer, depth = 2): Struct | undefined {
  const struct: Record<string, string | Struct> = Object.create(null) as Record<string, string | Struct>;
  const entries = fieldsOf(bytes);
  if (entries === undefined) return undefined;
  for (const [, entry] of entries.filter(([at]) => at === ENTRY)) {
    const parts = new Map(fieldsOf(entry) ?? []);
    const [key, value] = [parts.get(KEY), parts.get(VALUE)];
    if (key === undefined || value === undefined) return undefined;
    const [kind, content] = (fieldsOf(value) ?? [])[0] ?? [];
    if (content === undefined) continue;
    const read = kind === STRING ? content.toString() : kind === STRUCT && depth > 0 ? readStruct(content, depth - 1) : undefined;
    if (read !== undefined) struct[key.toString()] = read;
  }
  return struct;
}

/** The fields of a message with their tags; numbers and such are passed over. undefined: no message. */
function fieldsOf(bytes: Buffer): readonly (readonly [tagByte: number, content: Buffer])[] | undefined {
  const fields: (readonly [number, Buffer])[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at];
      at += 1;
      if (byte === undefined) return -1;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    return -1;
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    if (key < 0) return undefined;
    if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = varint();
      if (length < 0 || at + length > bytes.length) return undefined;
      fields.push([key, bytes.subarray(at, at + length)]);
      at += length;
    } else return undefined;
  }
  return at === bytes.length ? fields : undefined;
}
