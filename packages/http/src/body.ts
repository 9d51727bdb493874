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
 * where the source stands. Beyond the cap the record is dropped and only the reader that was there goes on.
 */
export class ReplayBody {
  readonly #source: AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string>;
  readonly #cap: number;
  #chunks: Uint8Array[] = [];
  /** How many chunks were dropped before the first one kept. */
  #first = 0;
  #bytes = 0;
  #done = false;
  #pulling: Promise<void> | undefined;
  /** Set when the source itself failed: that is the caller's failure, not the upstream's. */
  failure: unknown = undefined;

  constructor(body: Chunks, cap: number) {
    this.#source = Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : body[Symbol.iterator]();
    this.#cap = cap;
  }

  /** Could it be read from the start again, now? */
  get replayable(): boolean {
    return this.#bytes <= this.#cap && this.failure === undefined;
  }

  async *read(): AsyncGenerator<Uint8Array> {
    let at = 0;
    for (;;) {
      if (at < this.#first) throw new Error(`the request body outgrew the ${this.#cap} bytes that are kept for another try`);
      const chunk = this.#chunks[at - this.#first];
      if (chunk !== undefined) {
        at += 1;
        if (this.#bytes > this.#cap) {
          this.#chunks.splice(0, at - this.#first);
          this.#first = at;
        }
        yield chunk;
      } else if (this.failure !== undefined) throw this.failure;
      else if (this.#done) return;
      else await (this.#pulling ??= this.#pull());
    }
  }

  async #pull(): Promise<void> {
    try {
      const { done, value } = await this.#source.next();
      if (done === true) this.#done = true;
      else {
        // Streams of text are bodies too.
        const chunk = typeof value === 'string' ? Buffer.from(value) : value;
        this.#bytes += chunk.byteLength;
        this.#chunks.push(chunk);
      }
    } catch (error) {
      this.failure = error ?? new Error('the request body failed without saying why');
    } finally {
      this.#pulling = undefined;
    }
  }

  /** Nobody will read on: lets the source release what it holds. */
  async cancel(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    try {
      await this.#source.return?.();
    } catch {
      // The source is being abandoned; how it takes that is not our concern.
    }
  }
}

/** One-shot bodies become replayable; everything else can be sent again as it is. */
export function wrapBody(body: Body, cap: number): Body {
  return isOneShot(body) ? new ReplayBody(body, cap) : body;
}
