import { Readable, type Writable } from 'node:stream';

/**
 * A one-shot body on its way over HTTP/2. The stream of a call that is given up undici ends before it resets it, so that a part of a body
 * passes for the whole, and one whose answer comes first it leaves open. So it is caught here, where undici pipes the body into it.
 */
export class Upload {
  readonly body: Readable;
  #stream: Writable | undefined = undefined;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    // One chunk ahead: what is read must be kept for another try.
    const body = Readable.from(chunks, { objectMode: false, highWaterMark: 1 });
    const pipe = body.pipe.bind(body);
    body.pipe = (to, options) => {
      this.#stream = to as unknown as Writable;
      return pipe(to, options);
    };
    this.body = body;
  }

  /** Resets the stream, unless all is said. */
  cut(): void {
    if (this.#stream?.writableFinished === false) this.#stream.destroy(new Error('the rest of the request is not sent'));
  }
}
