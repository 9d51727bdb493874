import type { Call } from '@inmesh/core';
import { type Body, ReplayBody } from './body.ts';
import { type FlatHeaders, lacking, valueOf, valuesOf } from './headers.ts';
import type { Origin } from './origin.ts';

/** What travels with an attempt besides what Call says: undici's own per-request settings, passed through as given. */
export interface WireOptions extends GrpcOptions {
  readonly headersTimeout?: number | null;
  readonly bodyTimeout?: number | null;
  readonly upgrade?: boolean | string | null;
  readonly expectContinue?: boolean;
  readonly reset?: boolean;
  readonly blocking?: boolean;
  readonly idempotent?: boolean;
}

/** Said by those who know, for looking at the headers of each call would cost all of them. */
export interface GrpcOptions {
  /** The call is gRPC: it goes over HTTP/2, its status is in its trailers, and answers of the mesh are in its words. */
  readonly grpc?: boolean;
}

/** An HTTP request as the mesh sees it. */
export class HttpRequest implements Call {
  readonly protocol: 'http' | 'grpc' | 'websocket';
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly authority: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly sourceIp: string | undefined;
  readonly headers: FlatHeaders;
  /** What it has besides those, of the request on whose behalf it is made; services of the mesh are sent it. */
  readonly forwarded: readonly string[];
  readonly wire: WireOptions;
  /** A ReplayBody where the caller's is one-shot. */
  readonly body: Body;

  constructor(
    origin: Pick<Call, keyof Origin>,
    method: string,
    target: string,
    headers: FlatHeaders,
    body: Body,
    wire: WireOptions,
    forwarded: readonly string[] = NOTHING,
  ) {
    const mark = target.indexOf('?');
    const upgrade = wire.upgrade !== undefined && wire.upgrade !== null && wire.upgrade !== false;
    this.protocol = upgrade ? 'websocket' : wire.grpc === true ? 'grpc' : 'http';
    this.scheme = origin.scheme;
    // A Host header of the caller's is what a proxy would route by.
    this.authority = headers[1]!;
    this.host = this.authority === origin.authority ? origin.host : hostOf(this.authority);
    this.port = origin.port;
    this.method = method;
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? '' : target.slice(mark + 1);
    this.sourceIp = undefined;
    this.headers = headers;
    this.forwarded = forwarded.length === 0 ? forwarded : lacking(headers, forwarded);
    this.body = body;
    this.wire = wire;
  }

  header(name: string): string | undefined {
    return valueOf(this.headers, name) ?? (this.forwarded.length === 0 ? undefined : valueOf(this.forwarded, name));
  }

  headerValues(name: string): readonly string[] {
    const values = valuesOf(this.headers, name);
    return values.length > 0 || this.forwarded.length === 0 ? values : valuesOf(this.forwarded, name);
  }

  /** The same request for a mirror, whose reading of the body takes nothing from the original. */
  copy(): HttpRequest {
    const target = this.query === '' ? this.path : `${this.path}?${this.query}`;
    const body = this.body instanceof ReplayBody ? this.body.copy() : this.body;
    return new HttpRequest(this, this.method, target, this.headers, body, this.wire, this.forwarded);
  }

  get replayable(): boolean {
    return this.body instanceof ReplayBody ? this.body.replayable : true;
  }
}

const NOTHING: readonly string[] = [];

/** Host part of a Host header: without port, lower-case. */
function hostOf(authority: string): string {
  const end = authority.startsWith('[') ? authority.indexOf(']') + 1 : authority.lastIndexOf(':');
  const bare = end > 0 ? authority.slice(0, end) : authority;
  return bare.replace(/^\[|\]$/g, '').toLowerCase();
}
