import type { ServerDuplexStream, ServerReadableStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type { ServerHttp2Stream } from 'node:http2';

/** What a handler of grpc-js is given, of any of the four kinds of methods. */
export type ServerCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerReadableStream<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

/** grpc-js's calls, from the handler's to the wire's: interceptors stand between them. All of it is its own business. */
interface InnerCall {
  readonly nextCall?: InnerCall;
  readonly stream?: ServerHttp2Stream;
}

/** The stream of HTTP/2 under a call. */
export function streamOf(call: ServerCall): ServerHttp2Stream | undefined {
  let inner = (call as unknown as { readonly call?: InnerCall }).call;
  while (inner?.nextCall !== undefined) inner = inner.nextCall;
  return inner?.stream;
}
