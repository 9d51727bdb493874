import type { Dispatcher } from 'undici';

type Controller = Dispatcher.DispatchController;

/** What a handler does when it is told something. */
export type Reactions = Partial<Record<'start' | 'headers' | 'data' | 'end' | 'error', (controller: Controller) => void>>;

/** An undici handler that notes what it is told, in order, and settles with the last of it. */
export class Notes implements Dispatcher.DispatchHandler {
  readonly heard: string[] = [];
  readonly over: Promise<void>;
  error: Error | undefined = undefined;
  status = 0;
  body = '';
  controller!: Controller;
  readonly #reactions: Reactions;
  readonly #settle: () => void;

  constructor(reactions: Reactions = {}) {
    this.#reactions = reactions;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#settle = resolve;
  }

  onRequestStart(controller: Controller): void {
    this.controller = controller;
    this.heard.push('start');
    this.#reactions.start?.(controller);
  }

  onResponseStart(controller: Controller, status: number): void {
    this.heard.push(status < 200 ? String(status) : 'headers');
    this.status = status;
    this.#reactions.headers?.(controller);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.heard.push('data');
    this.body += chunk.toString();
    this.#reactions.data?.(controller);
  }

  onResponseEnd(controller: Controller): void {
    this.heard.push('end');
    this.#settle();
    this.#reactions.end?.(controller);
  }

  onResponseError(controller: Controller, error: Error): void {
    this.heard.push('error');
    this.error = error;
    this.#settle();
    this.#reactions.error?.(controller);
  }
}
