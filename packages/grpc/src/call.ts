import type { CallCredentials, Channel, InterceptingListener, Metadata, StatusObject } from '@grpc/grpc-js';
import { type Exchange, FirstExchange, type Life, type LocalAnswer, MeshError, pause, type Placement, type Reply, type Routed, type Transport } from '@inmesh/core'; // prettier-ignore
import { type Handable, LocalReply } from './answer.ts';
import { type Attempting, type Caller, GrpcAttempt, type GrpcCall, OwnFailure, PREFIX_BYTES } from './attempt.ts';
import { Beside, Shadow } from './copies.ts';
import { grpcJs } from './grpc-js.ts';
import { type MessageContext, Messages } from './messages.ts';
import { GrpcRequest, type Target } from './request.ts';
import { internal } from './status.ts';

/** What the calls of one client share. */
export interface ClientWiring extends Attempting {
  /** Request bytes kept so that a call can be sent again. */
  readonly replayBytes: number;
  /** The way to a target outside the mesh. */
  readonly outside: () => Channel;
}

/** A server call on whose behalf this one is made: its end is this one's. */
export interface ParentCall {
  on(event: 'cancelled', listener: () => void): unknown;
}

export interface CallStart {
  readonly target: Target;
  readonly path: string;
  /** Milliseconds since 1970; Infinity: none. */
  readonly deadline: number;
  readonly parent: ParentCall | undefined;
  readonly number: number;
}

/** How long a call that waits for its service (waitForReady) rests before it looks again. */
const WAIT_MS = { first: 50, most: 1000 };

/**
 * One call of a program: what grpc-js's client drives, and the transport the mesh drives. It stays the same through all attempts.
 */
export class MeshCall implements GrpcCall, Caller, Transport<Handable> {
  readonly messages: Messages;
  credentials: CallCredentials | undefined = undefined;
  reading = false;
  readonly #wiring: ClientWiring;
  readonly #start: CallStart;
  /** What the program, or a client of grpc-js in its name, ended the call with. */
  #given: StatusObject | undefined = undefined;
  #request: GrpcRequest | undefined = undefined;
  #listener: InterceptingListener | undefined = undefined;
  #life: Life | undefined = undefined;
  #attempt: GrpcAttempt | undefined = undefined;
  /** To a host outside the mesh. */
  #passed: GrpcCall | undefined = undefined;
  #chosen: Handable | undefined = undefined;
  #over = false;

  constructor(wiring: ClientWiring, start: CallStart) {
    this.#wiring = wiring;
    this.#start = start;
    this.messages = new Messages(wiring.replayBytes, () => this.#life?.countMessages(1, 0));
  }

  get request(): GrpcRequest {
    return this.#request!;
  }

  // ---- what grpc-js's client drives ------------------------------------------------------------------------------

  start(metadata: Metadata, listener: InterceptingListener): void {
    // The program gave up while an interceptor kept the call back.
    if (this.#given !== undefined) return tellEnd(listener, this.#given);
    const { target, path } = this.#start;
    this.#listener = listener;
    const { mesh } = this.#wiring;
    const request = new GrpcRequest(target, path, metadata, this.messages, mesh.forwarded());
    this.#request = request;
    const routed = mesh.find(request);
    const life = mesh.life(routed, request);
    this.#life = life;
    this.#limit(life);
    // A unary call has said everything by then: it can be sent again, and copied.
    queueMicrotask(() => {
      if (this.#over) return;
      if (routed.kind === 'passthrough') this.#passThrough(life);
      else void this.#run(routed, new FirstExchange(request, life));
    });
  }

  #limit(life: Life): void {
    const { deadline, parent } = this.#start;
    const { mesh } = this.#wiring;
    if (deadline < Infinity) life.limit(mesh.now() + Math.max(0, deadline - mesh.clock.wall()));
    parent?.on('cancelled', () => this.cancelWithStatus(grpcJs().status.CANCELLED, 'Cancelled by parent call'));
  }

  sendMessageWithContext(context: MessageContext, message: Buffer): void {
    if (this.#life !== undefined) this.#life.requestBytes += message.length + PREFIX_BYTES;
    this.messages.send(context, message);
  }

  halfClose(): void {
    this.messages.halfClose();
  }

  startRead(): void {
    this.reading = true;
    (this.#chosen ?? this.#attempt)?.startRead();
  }

  cancelWithStatus(code: number, details: string): void {
    if (this.#over) return;
    const given = { code, details, metadata: new (grpcJs().Metadata)() };
    this.#given = given;
    this.#life?.left();
    // Whoever works for the call may end it in words of his own meanwhile.
    this.#life?.cancel(new MeshError('CANCELLED', details));
    this.finish(given);
  }

  setCredentials(credentials: CallCredentials): void {
    this.credentials = credentials;
  }

  getPeer(): string {
    return this.#inner?.getPeer() ?? this.#start.target.authority;
  }

  getCallNumber(): number {
    return this.#start.number;
  }

  getAuthContext(): ReturnType<GrpcCall['getAuthContext']> {
    return this.#inner?.getAuthContext() ?? null;
  }

  get #inner(): GrpcCall | undefined {
    return this.#passed ?? this.#attempt?.inner;
  }

  // ---- what the mesh drives --------------------------------------------------------------------------------------

  attempt(exchange: Exchange, placement: Placement): Promise<Reply<Handable>> {
    return (this.#attempt = new GrpcAttempt(this, exchange, placement, this.#wiring)).start();
  }

  answer(exchange: Exchange, local: LocalAnswer): Reply<Handable> {
    return new LocalReply(this, exchange, local);
  }

  again(): Transport<Handable> | undefined {
    const messages = this.messages.copy();
    return messages === undefined ? undefined : new Beside(this, messages, this.#wiring);
  }

  shadow(exchange: Exchange): { exchange: Exchange; transport: Transport<unknown> } | undefined {
    const messages = this.messages.copy();
    if (messages === undefined) return undefined;
    const { target, path } = this.#start;
    const request = new GrpcRequest(target, path, this.request.metadata.clone(), messages, this.request.forwarded);
    const life = this.#wiring.mesh.shadowLife(exchange.life);
    return {
      exchange: new FirstExchange(request, life, exchange.edits, exchange.hashKey),
      transport: new Shadow(this.#wiring, messages, request, life),
    };
  }

  /** A host outside the mesh: as without a mesh, but counted. */
  #passThrough(life: Life): void {
    const { authority, metadata } = this.request;
    const inner = this.#wiring.outside().createCall(this.#start.path, this.#start.deadline, authority, null, 0);
    if (this.credentials !== undefined) inner.setCredentials(this.credentials);
    this.#passed = inner;
    life.work({
      cancelled: (error) => {
        life.refused(error);
        inner.cancelWithStatus(error.grpcStatus, error.message);
      },
    });
    this.#chosen = { deliver: () => {}, startRead: () => inner.startRead() };
    inner.start(metadata, {
      onReceiveMetadata: (headers) => this.onReceiveMetadata(headers),
      onReceiveMessage: (message: Buffer) => this.onReceiveMessage(message),
      onReceiveStatus: (status) => this.finish(status),
    });
    this.messages.commit();
    this.messages.sendTo(inner);
    if (this.reading) inner.startRead();
  }

  async #run(routed: Routed, first: Exchange): Promise<void> {
    let exchange = first;
    for (let wait: number = WAIT_MS.first; ;) {
      try {
        return this.#hand(await routed.handler(exchange, this));
      } catch (error) {
        if (this.#over) return;
        if (error instanceof OwnFailure) return this.finish(error.told);
        if (!MeshError.is(error)) {
          this.#attempt?.discard();
          return this.finish(internal((error as Error).message));
        }
        if (!this.#waits(error)) return this.#refuse(error, exchange);
        // What was in the way is no part of how the call ends.
        exchange.life.flags = 0;
        const { endpoint } = exchange.life;
        if (error.code === 'CONNECT_FAILED' && endpoint !== undefined && !exchange.tried.includes(endpoint)) {
          // Another may be there already; when all have been tried it is time to rest.
          exchange = { ...first, tried: [...exchange.tried, endpoint] };
          continue;
        }
      }
      exchange = first;
      try {
        await pause(exchange.life, this.#wiring.mesh.clock, wait);
      } catch (error) {
        return this.#refuse(error as MeshError, exchange);
      }
      wait = Math.min(wait * 2, WAIT_MS.most);
    }
  }

  /** gRPC's waitForReady: nothing was sent, so it may be tried until somebody is there. */
  #waits({ phase, code }: MeshError): boolean {
    const { waitForReady } = this.request.metadata.getOptions();
    return waitForReady === true && phase === 'unsent' && (code === 'CONNECT_FAILED' || code === 'NO_ENDPOINT');
  }

  #refuse(error: MeshError, exchange: Exchange): void {
    try {
      this.#hand(this.#wiring.mesh.refuse(error, exchange, this));
    } catch {
      this.finish({ code: error.grpcStatus, details: error.message, metadata: new (grpcJs().Metadata)() });
    }
  }

  #hand({ value }: Reply<Handable>): void {
    if (this.#over) return;
    // Of several attempts at once it may be another than the one that was read from so far.
    const other = value instanceof GrpcAttempt && value !== this.#attempt;
    if (other) this.#attempt = value;
    this.#chosen = value;
    value.deliver();
    if (other && this.reading) value.startRead();
  }

  // ---- Caller: what came, towards the program --------------------------------------------------------------------

  // What a listener throws is the program's, as with grpc-js: it is no outcome of the call, which goes on.

  onReceiveMetadata(metadata: Metadata): void {
    if (this.#over) return;
    try {
      this.#listener?.onReceiveMetadata(metadata);
    } catch (error) {
      process.nextTick(raise, error);
    }
  }

  onReceiveMessage(message: Buffer): void {
    this.reading = false;
    if (this.#over) return;
    this.#life?.countMessages(0, 1);
    try {
      this.#listener?.onReceiveMessage(message);
    } catch (error) {
      process.nextTick(raise, error);
    }
  }

  finish(ending: StatusObject): void {
    if (this.#over) return;
    this.#over = true;
    this.messages.commit();
    const status = this.#given ?? ending;
    // Who leaves before there was an answer has been told no HTTP status.
    const told = this.#given !== undefined && this.#chosen === undefined ? 0 : 200;
    this.#life?.end(told, status.code, this.#wiring.mesh.now());
    const listener = this.#listener;
    this.#listener = undefined;
    if (listener !== undefined) tellEnd(listener, status);
  }
}

/** As grpc-js does: a listener that throws must not throw into whoever ended the call. */
function tellEnd(listener: InterceptingListener, status: StatusObject): void {
  process.nextTick(() => listener.onReceiveStatus(status));
}

function raise(error: unknown): never {
  throw error;
}
