import type { FlatHeaders } from './headers.ts';
import type { WireOptions } from './request.ts';
import type { Dispatcher } from 'undici';

/** What undici is asked to send. A class and no literal, for the reason `FirstExchange` of core gives. */
export class Sending implements Dispatcher.DispatchOptions {
  readonly path: string;
  readonly method: Dispatcher.HttpMethod;
  readonly headers: FlatHeaders;
  readonly body: Dispatcher.DispatchOptions['body'];
  /** undici reads this of its options, its types do not name it. */
  readonly servername: string;
  readonly upgrade: WireOptions['upgrade'];
  readonly headersTimeout: WireOptions['headersTimeout'];
  readonly bodyTimeout: WireOptions['bodyTimeout'];
  readonly expectContinue: WireOptions['expectContinue'];
  readonly reset: WireOptions['reset'];
  readonly blocking: WireOptions['blocking'];
  readonly idempotent: WireOptions['idempotent'];

  constructor(path: string, method: string, headers: FlatHeaders, body: unknown, servername: string, wire: WireOptions) {
    this.path = path;
    this.method = method;
    this.headers = headers;
    this.body = body as Dispatcher.DispatchOptions['body'];
    this.servername = servername;
    this.upgrade = wire.upgrade;
    this.headersTimeout = wire.headersTimeout;
    this.bodyTimeout = wire.bodyTimeout;
    this.expectContinue = wire.expectContinue;
    this.reset = wire.reset;
    this.blocking = wire.blocking;
    this.idempotent = wire.idempotent;
  }
}
