import type { HeaderRecord } from './headers.ts';
import type { HttpRequest } from './request.ts';
import type { Dispatcher } from 'undici';

/** Headers as undici's controllers show them: handlers of older versions read these. */
export type RawHeaders = Dispatcher.DispatchController['rawHeaders'];

/** The application's side of a call, as an attempt or a local answer sees it: also undici's controller for the handler. */
export interface Application extends Dispatcher.DispatchController {
  readonly request: HttpRequest;
  readonly handler: Dispatcher.DispatchHandler;
  readonly paused: boolean;
  /** The call is over without the handler having to hear of it: an upgraded connection closed. */
  complete(status: number, grpcStatus: number): void;
  /** The last byte went through: the handler is told, once. */
  finish(status: number, grpcStatus: number, trailers: HeaderRecord): void;
  /** Nothing more will come: the handler gets the error, once. */
  fail(error: Error): void;
}

/** What a reply can do once it is chosen: give itself to the application. */
export interface Handable {
  deliver(): void;
  pause(): void;
  resume(): void;
  abort(error: Error): void;
  /** Made when asked for: hardly any handler does. */
  rawHeaders(): RawHeaders;
  rawTrailers(): RawHeaders;
}
