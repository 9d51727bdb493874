import type { Metadata } from '@grpc/grpc-js';
import type { HeaderOp } from '@inmesh/policy';

/** A copy with the operations applied in order; the same object if there are none. */
export function editedMetadata(metadata: Metadata, ops: readonly HeaderOp[]): Metadata {
  if (ops.length === 0) return metadata;
  const result = metadata.clone();
  for (const op of ops) {
    if (OF_CONNECTIONS.has(op.name)) continue;
    if (op.op === 'remove') result.remove(op.name);
    else result[op.op](op.name, valueFor(op.name, op.value));
  }
  return result;
}

/** Mean a connection of HTTP/1.1; a call that has one is malformed (RFC 9113, 8.2.2). Envoy drops them as well. */
const OF_CONNECTIONS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/** Binary metadata travels as base64, which is how a policy writes it. */
const valueFor = (name: string, value: string): string | Buffer => (name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
