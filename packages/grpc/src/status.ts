import { type Code, type LocalAnswer, MeshError, type Phase } from '@inmesh/core';
import type { Metadata, StatusObject } from '@grpc/grpc-js';
import { grpcJs } from './grpc-js.ts';
import { editedMetadata } from './metadata.ts';

/** How grpc-js says that a call ended without an answer of the other side (subchannel-call.js, internal-channel.js, picker.js, load-balancing-call.js). */
const CONNECT = /^(?:No connection established|Name resolution failed)/;
const DROPPED = /^Connection dropped|^Write (?:error|failed)|ECONNRESET|EPIPE|ETIMEDOUT/;
const RESET = /^Received RST_STREAM with code|^Call cancelled$|^Bandwidth exhausted or memory limit exceeded$|^Protocol not secure enough$/;
const BROKEN = /triggered by internal client error/;
const REFUSED = /^Stream refused by server/;
/** The connection left between the choice of the channel and the call: nothing was sent. */
const LEFT =
  /^Channel closed before call started$|^Failed to start HTTP\/2 stream with error (?:New streams cannot be created after receiving a GOAWAY|The session has been destroyed|No stream ID is available)/;

/**
 * What an ended call says of the way to the endpoint; undefined: it is the answer of the other side, or of the program's own limits
 * (a message that is too large), and nothing for the mesh to judge. `headers`: those of an answer had arrived. A stream that is reset
 * ends with the status gRPC's table gives its code (PROTOCOL-HTTP2.md, "Errors"), as grpc-js has it.
 */
export function failureOf({ code, details, metadata }: StatusObject, address: string, headers: boolean): MeshError | undefined {
  // An answer without headers carries them in its trailers, a content-type at least. What grpc-js makes up carries nothing.
  if (!headers && !isEmpty(metadata)) return undefined;
  const phase: Phase = headers ? 'answered' : 'unanswered';
  const error = (of: Code, at: Phase = phase): MeshError => new MeshError(of, `${address}: ${details}`, { phase: at, grpc: code });
  const { status } = grpcJs();
  switch (code) {
    case status.UNAVAILABLE:
      if (CONNECT.test(details)) return error('CONNECT_FAILED', 'unsent');
      if (LEFT.test(details)) return error('REFUSED', 'unsent');
      if (REFUSED.test(details)) return error('REFUSED');
      return DROPPED.test(details) || !headers ? error('RESET') : undefined;
    case status.INTERNAL:
      // grpc-js says INTERNAL, but it is the connection that is not there any more.
      if (LEFT.test(details)) return new MeshError('REFUSED', `${address}: ${details}`, { phase: 'unsent' });
      if (BROKEN.test(details)) return error('PROTOCOL');
      return RESET.test(details) ? error('STREAM_RESET') : undefined;
    case status.CANCELLED:
    case status.PERMISSION_DENIED:
    case status.RESOURCE_EXHAUSTED:
      return RESET.test(details) ? error('STREAM_RESET') : undefined;
    default:
      return undefined;
  }
}

/** As it is handed on. A code that is none of gRPC's is UNKNOWN, as gRPC says, for a server may write anything. */
export function proper(status: StatusObject): StatusObject {
  const { code } = status;
  if (Number.isInteger(code) && code >= 0 && code <= HIGHEST_CODE) return status;
  // grpc-js, in place of a status, of a message it cannot decompress.
  if ((code as number | undefined) === undefined) return internal('a message is compressed in a way that is not known here');
  return {
    ...status,
    code: grpcJs().status.UNKNOWN,
    details: `the server ended with a grpc-status that is none. ${status.details}`.trim(),
  };
}

const HIGHEST_CODE = 16;

const HTTP_STATUS = /^Received HTTP status code/;
/** What grpc-js says of a body that is no sequence of messages. */
const UNREADABLE = /^Received message larger than max|\(Call ended without gRPC status\)$/;

/**
 * How an answer ended whose content-type is not gRPC's, most likely of something on the way: by its HTTP status, which grpc-js has
 * translated, else UNKNOWN, as gRPC has it. Looks as an answer without headers does; `headers`: those of that answer.
 */
export function foreign(status: StatusObject, headers: Metadata): StatusObject {
  const { code, details, metadata } = status;
  const { OK, UNKNOWN } = grpcJs().status;
  const http = HTTP_STATUS.test(details);
  if (!http && code !== OK && !UNREADABLE.test(details)) return status;
  const all = headers.clone();
  all.merge(metadata);
  const [type] = headers.get('content-type');
  return { code: http ? code : UNKNOWN, details: `${http ? `${details}: t` : 'T'}he answer is "${String(type)}", not gRPC`, metadata: all };
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

/** What went wrong in this process, as the status of a call. */
export const internal = (details: string): StatusObject => ({
  code: grpcJs().status.INTERNAL,
  details,
  metadata: new (grpcJs().Metadata)(),
});
