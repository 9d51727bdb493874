import type { Call } from '@inmesh/core';
import type { Metadata } from '@grpc/grpc-js';

/** Whom a channel speaks to: name and port as the program wrote them. */
export interface Target {
  /** As it is sent: with a port only if one was written. */
  readonly authority: string;
  /** Lower-case, without port. */
  readonly host: string;
  readonly port: number;
}

/** A gRPC call as the mesh sees it: a POST to the path of its method, its metadata as headers. */
export class GrpcRequest implements Call {
  readonly protocol = 'grpc';
  readonly scheme = 'http';
  readonly method = 'POST';
  readonly query = '';
  readonly sourceIp = undefined;
  readonly authority: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly metadata: Metadata;
  /** What it has besides its metadata, of the request on whose behalf it is made: `[name, value, …]`. */
  readonly forwarded: readonly string[];
  readonly #messages: { readonly replayable: boolean };

  constructor(
    { authority, host, port }: Target,
    path: string,
    metadata: Metadata,
    messages: { readonly replayable: boolean },
    forwarded: readonly string[] = NONE,
  ) {
    this.authority = authority;
    this.host = host;
    this.port = port;
    this.path = path;
    this.metadata = metadata;
    this.forwarded = forwarded.length === 0 ? forwarded : forwarded.filter((_, at) => metadata.get(forwarded[at - (at % 2)]!).length === 0);
    this.#messages = messages;
  }

  get replayable(): boolean {
    return this.#messages.replayable;
  }

  header(name: string): string | undefined {
    const values = this.headerValues(name);
    return values.length === 0 ? undefined : values.join(',');
  }

  headerValues(name: string): readonly string[] {
    const values = this.metadata.get(name);
    if (values.length > 0) return values.map((value) => (typeof value === 'string' ? value : value.toString('base64')));
    // What grpc-js puts there itself, and rules may ask for.
    if (name === 'content-type') return CONTENT_TYPE;
    if (name === 'te') return TE;
    const at = this.forwarded.indexOf(name);
    return at < 0 || at % 2 === 1 ? NONE : [this.forwarded[at + 1]!];
  }
}

const NONE: readonly string[] = [];
const CONTENT_TYPE: readonly string[] = ['application/grpc'];
const TE: readonly string[] = ['trailers'];
