/** How a message is sent: grpc-js's flags, and whom it tells when the message is on its way. */
export interface MessageContext {
  readonly callback?: (error?: Error | null) => void;
  readonly flags?: number;
}

/** Where messages go: a call of grpc-js. */
export interface Sink {
  sendMessageWithContext(context: MessageContext, message: Buffer): void;
  halfClose(): void;
}

interface Held {
  readonly message: Buffer;
  context: MessageContext;
}

/**
 * The request messages of one call. They are kept until the call is committed or there are more than `limit` bytes of them, so
 * that another attempt can send them again from the first.
 */
export class Messages {
  readonly #limit: number;
  readonly #onSent: () => void;
  #held: Held[] = [];
  /** How many were let go before the first that is held. */
  #gone = 0;
  #sent = 0;
  /** The most that were sent to one sink: what is sent again is not more. */
  #most = 0;
  #bytes = 0;
  #keeps = true;
  #closed = false;
  #sink: Sink | undefined = undefined;
  /** The sink that has a message it has not written yet, and who waits for that. */
  #writing: Sink | undefined = undefined;
  #waiting: MessageContext['callback'] = undefined;
  /** How the sink of now says that it has written; one for all its messages, for they are written one at a time. */
  #written: MessageContext['callback'] = undefined;
  #halfClosed: Sink | undefined = undefined;

  /** `onSent`: a message is on its way for the first time. */
  constructor(limit: number, onSent = (): void => {}) {
    this.#limit = limit;
    this.#onSent = onSent;
  }

  /** Can all of it be sent again? */
  get replayable(): boolean {
    return this.#gone === 0 && this.#keeps;
  }

  send(context: MessageContext, message: Buffer): void {
    this.#bytes += message.length;
    if (this.#bytes > this.#limit) this.#keeps = false;
    const sink = this.#sink;
    // A stream under way: nothing is kept, and nothing is before it.
    if (!this.#keeps && this.#held.length === 0 && sink !== undefined && this.#writing === undefined) {
      this.#sent += 1;
      this.#gone += 1;
      this.#write(sink, context, message);
    } else {
      this.#held.push({ context, message });
      this.#pump();
    }
  }

  halfClose(): void {
    this.#closed = true;
    this.#pump();
  }

  /** From the first message on to this sink. Call only while `replayable`, or for the first time. */
  sendTo(sink: Sink): void {
    this.#sink = sink;
    this.#sent = this.#gone;
    this.#written = (error) => {
      // Not what an earlier one has to say.
      if (this.#writing === sink) this.#done(error);
    };
    this.#pump();
  }

  /** The sink is of no use any more: what comes waits for the next. */
  detach(sink: Sink): void {
    if (this.#sink === sink) this.#sink = undefined;
    // It will not say any more that its message is written; the message is kept for the next, so the program may go on.
    if (this.#writing === sink) this.#done();
  }

  /** There will be no other attempt. */
  commit(): void {
    this.#keeps = false;
    this.#forget();
  }

  /** A call of its own with the same messages, if they are all here. */
  copy(): Messages | undefined {
    if (!this.replayable || !this.#closed) return undefined;
    const copy = new Messages(this.#limit);
    for (const { message, context } of this.#held) copy.send({ flags: context.flags }, message);
    copy.halfClose();
    return copy;
  }

  /** One at a time: grpc-js has room for one message that cannot be written yet. */
  #pump(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#writing !== undefined) return;
    const held = this.#held[this.#sent - this.#gone];
    if (held === undefined) {
      if (this.#closed && this.#halfClosed !== sink) {
        this.#halfClosed = sink;
        sink.halfClose();
      }
      return;
    }
    const { context, message } = held;
    // Whoever waits for a message to be on its way is told once, however often it is sent.
    held.context = { flags: context.flags };
    this.#sent += 1;
    if (!this.#keeps) this.#forget();
    this.#write(sink, context, message);
  }

  #write(sink: Sink, { flags, callback }: MessageContext, message: Buffer): void {
    if (this.#sent > this.#most) {
      this.#most = this.#sent;
      this.#onSent();
    }
    this.#writing = sink;
    this.#waiting = callback;
    sink.sendMessageWithContext({ flags, callback: this.#written }, message);
  }

  #done(error?: Error | null): void {
    const waiting = this.#waiting;
    this.#writing = undefined;
    this.#waiting = undefined;
    waiting?.(error);
    this.#pump();
  }

  /** Lets go of what was sent. */
  #forget(): void {
    const sent = this.#sent - this.#gone;
    if (sent === 0) return;
    this.#held.splice(0, sent);
    this.#gone = this.#sent;
  }
}
