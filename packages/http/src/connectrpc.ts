import type { CommonTransportOptions, UniversalClientFn, UniversalClientResponse } from '@connectrpc/connect/protocol';
import { isGrpc, MeshError } from '@inmesh/core';
import { reasonOf, Streamer, target } from './client.ts';
import type { MeshDispatcher } from './dispatcher.ts';
import type { HeaderRecord } from './headers.ts';
import type { GrpcOptions } from './request.ts';
import type { Dispatcher } from 'undici';

/** What may be said of a transport of connect. All but `baseUrl` may be left out. */
export type ConnectrpcOptions = Pick<CommonTransportOptions, 'baseUrl'> & Partial<Omit<CommonTransportOptions, 'httpClient'>>;

/** Completes the options of a transport of connect, with the mesh as its HTTP client. */
export type Connectrpc = (options: ConnectrpcOptions) => CommonTransportOptions;

/** The most connect allows: messages carry their length in four bytes. */
const MOST_BYTES = 0xffff_ffff;

/**
 * For `createTransport` of @connectrpc/connect/protocol-connect, protocol-grpc or protocol-grpc-web. Defaults are those of
 * @connectrpc/connect-node, but for `acceptCompression`, which is empty: its `compressionGzip` can be given.
 */
export function createConnectrpc(dispatcher: MeshDispatcher): Connectrpc {
  const httpClient = createHttpClient(dispatcher);
  return ({
    useBinaryFormat = true,
    interceptors = [],
    acceptCompression = [],
    sendCompression = null,
    compressMinBytes = 1024,
    readMaxBytes = MOST_BYTES,
    writeMaxBytes = MOST_BYTES,
    ...rest
  }) => ({
    ...rest, useBinaryFormat, interceptors, acceptCompression, sendCompression, compressMinBytes, readMaxBytes, writeMaxBytes, httpClient,
  }); // prettier-ignore
}

/** Bodies are streamed both ways, each waiting for its reader. */
function createHttpClient(dispatcher: MeshDispatcher): UniversalClientFn {
  return ({ url, method, header, body, signal }) =>
    new Promise((resolve, reject) => {
      const { origin, path } = target(url);
      const headers = [...header].flat();
      const options: Dispatcher.DispatchOptions & GrpcOptions = {
        origin,
        path,
        method: method as Dispatcher.HttpMethod,
        headers,
        body: (body ?? null) as Dispatcher.DispatchOptions['body'],
        // Streams may be silent for long; how long a call may take is the policy's to say, and the caller's.
        headersTimeout: 0,
        bodyTimeout: 0,
        grpc: isGrpc(method, headers),
      };
      const reader = new Reader(resolve, reject);
      if (signal !== undefined) reader.follow(signal);
      dispatcher.dispatch(options, reader);
    });
}

/** Reads an answer for connect, which wants its trailers, and errors of its own kind. */
class Reader extends Streamer {
  readonly #trailer = new Headers();

  constructor(resolve: (response: UniversalClientResponse) => void, reject: (error: unknown) => void) {
    super(({ status, headers, stream }) => {
      resolve({ status, header: add(new Headers(), headers), body: stream!, trailer: this.#trailer });
    }, reject);
  }

  override onResponseEnd(controller: Dispatcher.DispatchController, trailers: HeaderRecord): void {
    add(this.#trailer, trailers);
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    const reason = reasonOf(error);
    super.onResponseError(controller, MeshError.is(reason) ? new ConnectError(reason) : (reason as Error));
  }
}

function add(headers: Headers, record: HeaderRecord): Headers {
  for (const name in record) for (const value of [record[name]!].flat()) headers.append(name, value);
  return headers;
}

/**
 * What the mesh could not turn into an answer. Connect knows errors of its own by these members, not by their class, since a
 * program may have several copies of it: so we need none.
 */
class ConnectError extends Error {
  override readonly name = 'ConnectError';
  readonly rawMessage: string;
  /** Connect's codes are gRPC's. */
  readonly code: number;
  readonly metadata = new Headers();
  readonly details: readonly never[] = [];

  constructor(cause: MeshError) {
    super(cause.message, { cause });
    this.rawMessage = cause.message;
    this.code = cause.grpcStatus;
  }

  findDetails(): readonly never[] {
    return this.details;
  }
}
