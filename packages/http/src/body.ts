/** Bytes beyond which a body is no longer kept for another try, unless createMesh says otherwise. */
export const DEFAULT_REPLAY_BYTES = 64 * 1024;

/** What undici accepts as a body. Strings, bytes, Blob and FormData can be sent as often as needed; iterables once. */
export type Body = unknown;

type Chunks = AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>;

function isOneShot(body: unknown): body is Chunks {
  if (typeof body !== 'object' || body === null || ArrayBuffer.isView(body) || body instanceof ArrayBuffer) return false;
  // FormData and Blob are iterable or streamable too, but undici encodes them anew each time it sends them.
  const tag = (body as { [Symbol.toStringTag]?: string })[Symbol.toStringTag];
  if (tag === 'FormData' || tag === 'Blob' || tag === 'File') return false;
  return Symbol.asyncIterator in body || Symbol.iterator in body;
}

/**
 * A one-shot body that can be read again while it fits a cap: the first read records, later reads replay and go on from
 * where the source stands. Beyond the cap the record is dropped and only the latest reader goes on.
 */
export class ReplayBody {
  readonly #body: Chunks;
  readonly #cap: number;
  /** Made when reading begins: until then the body is still the caller's. */
  #source: AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string> | undefined = undefined;
  #chunks: Uint8Array[] = [];
  /** How many chunks were dropped before the first one kept. */
  #first = 0;
  #bytes = 0;
  #done = false;
  #pulling: Promise<void> | undefined = undefined;
  /** Attempts that read so far; only the latest may drop what it has read. */
  #readers = 0;
  /** Wakes copies: there is more to read, or never will be. */
  #news: PromiseWithResolvers<void> | undefined = undefined;
  /** Set when the source itself failed: that is the caller's failure, not the upstream's. */
  failure: unknown = undefined;

  constructor(body: Chunks, cap: number) {
    this.#body = body;
    this.#cap = cap;
    // A stream of Node that fails while nobody listens ends the process, and we may not be reading yet.
    const { on } = body as { on?: (event: 'error', listener: (error: unknown) => void) => void };
    if (typeof on === 'function') on.call(body, 'error', (error) => this.#fail(error));
  }

  /** Could it be read from the start again, now? */
  get replayable(): boolean {
    return this.#bytes <= this.#cap && this.failure === undefined;
  }

  /** For an attempt. An earlier attempt's reader is of no use from now on. */
  async *read(): AsyncGenerator<Uint8Array> {
    const reader = (this.#readers += 1);
    for (let at = 0; ;) {
      if (reader !== this.#readers) throw new Error('the request body is being sent again');
      const chunk = this.#chunkAt(at);
      if (chunk !== undefined) {
        at += 1;
        if (this.#bytes > this.#cap) {
          this.#chunks.splice(0, at - this.#first);
          this.#first = at;
        }
        yield chunk;
      } else if (this.#done) return;
      else await (this.#pulling ??= this.#pull());
    }
  }

  /** The same body for a mirror. It reads along: it never takes from the source, and is cut off if it falls behind what is kept. */
  copy(): ReplayBody {
    return new ReplayBody(this.#along(), this.#cap);
  }

  async *#along(): AsyncGenerator<Uint8Array> {
    for (let at = 0; ;) {
      const chunk = this.#chunkAt(at);
      if (chunk !== undefined) {
        at += 1;
        yield chunk;
      } else if (this.#done) return;
      else await (this.#news ??= Promise.withResolvers()).promise;
    }
  }

  #chunkAt(at: number): Uint8Array | undefined {
    if (at < this.#first) throw new Error(`the request body outgrew the ${this.#cap} bytes that are kept for another try`);
    const chunk = this.#chunks[at - this.#first];
    if (chunk === undefined && this.failure !== undefined) throw this.failure;
    return chunk;
  }

  async #pull(): Promise<void> {
    try {
      const { done, value } = await this.#open().next();
      if (done === true) this.#done = true;
      else {
        // Streams of text are bodies too.
        const chunk = typeof value === 'string' ? Buffer.from(value) : value;
        if (typeof chunk?.byteLength !== 'number') throw new TypeError(`a request body is made of bytes or text, not of ${typeof value}`);
        this.#bytes += chunk.byteLength;
        this.#chunks.push(chunk);
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#pulling = undefined;
    this.#tell();
  }

  #open(): AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string> {
    const body = this.#body;
    return (this.#source ??= Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : body[Symbol.iterator]());
  }

  #fail(error: unknown): void {
    if (this.#done) return;
    this.failure ??= error ?? new Error('the request body failed without saying why');
    this.#tell();
  }

  #tell(): void {
    this.#news?.resolve();
    this.#news = undefined;
  }

  /** Nobody will read on: lets the source release what it holds. Whoever still reads fails, for a part must not pass for the whole. */
  async cancel(): Promise<void> {
    if (this.#done || this.failure !== undefined) return;
    this.#fail(new Error('the request was over before its body'));
    const { destroy } = this.#body as { destroy?: () => void };
    try {
      if (typeof destroy === 'function') destroy.call(this.#body);
      else await this.#open().return?.();
    } catch {
      // The source is being abandoned; how it takes that is not our concern.
    }
  }
}

/** One-shot bodies become replayable; everything else can be sent again as it is. */
export function wrapBody(body: Body, cap: number): Body {
  return isOneShot(body) ? new ReplayBody(body, cap) : body;
}
