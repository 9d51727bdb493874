import type { LocalAnswer } from '@inmesh/core';
import { type Code, MeshError, type Phase } from '@inmesh/core';
import type { StatusObject } from '@grpc/grpc-js';
import { grpcJs } from './grpc-js.ts';
import { editedMetadata } from './metadata.ts';

/** How grpc-js says that a call ended without an answer of the other side (subchannel-call.js, load-balancer-pick-first.js, picker.js). */
const CONNECT = /^(?:No connection established|Name resolution failed)/;
const DROPPED = /^Connection dropped|ECONNRESET|EPIPE|ETIMEDOUT/;
const RESET = /^Received RST_STREAM with code|^Call cancelled$|^Bandwidth exhausted or memory limit exceeded$|^Protocol not secure enough$/;
const REFUSED = /^Stream refused by server/;

/**
 * What an ended call says of the way to the endpoint; undefined: it is the answer of the other side, or of the program's own limits
 * (a message that is too large), and nothing for the mesh to judge. `headers`: those of an answer had arrived.
 */
export function failureOf({ code, details, metadata }: StatusObject, address: string, headers: boolean): MeshError | undefined {
  // An answer without headers carries them in its trailers, a content-type at least. What grpc-js makes up carries nothing.
  if (!headers && !isEmpty(metadata)) return undefined;
  const phase: Phase = headers ? 'answered' : 'unanswered';
  const error = (of: Code, at: Phase = phase): MeshError => new MeshError(of, `${address}: ${details}`, { phase: at });
  const { status } = grpcJs();
  switch (code) {
    case status.UNAVAILABLE:
      if (CONNECT.test(details)) return error('CONNECT_FAILED', 'unsent');
      if (REFUSED.test(details)) return error('REFUSED');
      return DROPPED.test(details) || !headers ? error('RESET') : undefined;
    case status.CANCELLED:
    case status.INTERNAL:
    case status.PERMISSION_DENIED:
    case status.RESOURCE_EXHAUSTED:
      return RESET.test(details) ? error('STREAM_RESET') : undefined;
    default:
      return undefined;
  }
}

const isEmpty = (metadata: StatusObject['metadata']): boolean => Object.keys(metadata.getMap()).length === 0;

/** An answer of the mesh's own as the status of a call. */
export function statusOf({ grpcStatus, message, body, headers }: LocalAnswer): StatusObject {
  const metadata = new (grpcJs().Metadata)();
  const told = headers.filter(([name]) => name !== 'content-type' && name !== 'content-length' && !name.startsWith('grpc-'));
  const details = message === '' ? body.toString().trim() : message;
  return {
    code: grpcStatus,
    details,
    metadata: editedMetadata(
      metadata,
      told.map(([name, value]) => ({ op: 'add', name, value })),
    ),
  };
}
