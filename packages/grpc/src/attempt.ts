import type { CallCredentials, Channel, InterceptingListener, Metadata, StatusObject } from '@grpc/grpc-js';
import {
  AWAITED,
  type Cancellable,
  type Endpoint,
  type Exchange,
  type Expiring,
  HOP_HEADER,
  type Mesh,
  MeshError,
  type Placement,
  type Reply,
} from '@inmesh/core';
import type { Handable } from './answer.ts';
import { grpcJs } from './grpc-js.ts';
import type { Messages } from './messages.ts';
import { editedMetadata } from './metadata.ts';
import type { GrpcRequest } from './request.ts';
import { failureOf, foreign, internal, proper } from './status.ts';
import type { ChannelWire, ClientSettings, Lane, WireTable } from './wires.ts';

/** grpc-js's call on a channel. */
export type GrpcCall = ReturnType<Channel['createCall']>;

/** The program's side of a call, as its attempts need it. */
export interface Caller {
  readonly request: GrpcRequest;
  readonly messages: Messages;
  readonly credentials: CallCredentials | undefined;
  /** The program has asked for a message that has not come yet. */
  readonly reading: boolean;
  onReceiveMetadata(metadata: Metadata): void;
  onReceiveMessage(message: Buffer): void;
  finish(status: StatusObject): void;
}

/** What attempts are made with. */
export interface Attempting {
  readonly mesh: Mesh;
  readonly wires: WireTable;
  readonly settings: ClientSettings;
}

/** What the mesh cannot judge and must not repeat: the program's own limits, as grpc-js words them. */
export class OwnFailure extends Error {
  readonly told: StatusObject;

  constructor(told: StatusObject) {
    super(told.details);
    this.told = told;
  }
}

/**
 * One attempt: a call of grpc-js below, the mesh's Reply above. What comes is held until the reply is delivered or discarded; after
 * that it goes straight through. Headers commit the call; a status without headers may still be repeated.
 */
export class GrpcAttempt implements InterceptingListener, Reply<Handable>, Handable, Cancellable, Expiring {
  /** gRPC has one HTTP status only. */
  readonly status = 200;
  grpcStatus = -1;
  readonly endpoint: Endpoint;
  readonly #caller: Caller;
  readonly #exchange: Exchange;
  readonly #placement: Placement;
  readonly #tools: Attempting;
  #resolve!: (reply: Reply<Handable>) => void;
  #reject!: (error: unknown) => void;
  #inner: GrpcCall | undefined = undefined;
  #lane: Lane | undefined = undefined;
  #metadata: Metadata | undefined = undefined;
  /** Headers of an answer that is not gRPC. They commit to nothing. */
  #foreign: Metadata | undefined = undefined;
  #message: Buffer | undefined = undefined;
  /** How the other side ended it, not handed over yet. */
  #ending: StatusObject | MeshError | undefined = undefined;
  #mode: 'waiting' | 'held' | 'live' | 'dropped' | 'over' = 'waiting';
  #ended = false;
  #slot = -1;
  /** The slot stands for the connection, not for the answer. */
  #connecting = false;

  constructor(caller: Caller, exchange: Exchange, placement: Placement, tools: Attempting) {
    this.#caller = caller;
    this.#exchange = exchange;
    this.#placement = placement;
    this.#tools = tools;
    this.endpoint = placement.endpoint;
  }

  get value(): Handable {
    return this;
  }

  get inner(): GrpcCall | undefined {
    return this.#inner;
  }

  header(name: string): string | undefined {
    const ending = this.#ending === undefined || MeshError.is(this.#ending) ? undefined : this.#ending.metadata;
    const values = (this.#metadata ?? ending)?.get(name) ?? [];
    return values.length === 0 ? undefined : values.join(',');
  }

  start(): Promise<Reply<Handable>> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      try {
        this.#send();
      } catch (error) {
        if (MeshError.is(error)) this.#fail(error);
        else this.#own(internal(`the request itself could not be sent: ${(error as Error).message}`));
      }
    });
  }

  #send(): void {
    const { edits, life } = this.#exchange;
    const { request, messages, credentials } = this.#caller;
    const { wires, settings } = this.#tools;
    life.work(this);
    if (this.#ended) return;
    const authority = edits.authority ?? request.authority;
    const wire = wires.get(this.#placement, authority, settings);
    const lane = wire.begin();
    this.#lane = lane;
    this.#bound(lane.channel);
    const inner = lane.channel.createCall(edits.path ?? request.path, Infinity, authority, null, 0);
    this.#inner = inner;
    if (credentials !== undefined) inner.setCredentials(credentials);
    const metadata = this.#headers(request.metadata, this.#hop(wire));
    life.mutual = wire.identity !== undefined;
    life.http2 = true;
    life.requestHead = request.path.length + authority.length + PSEUDO_HEADERS + sizeOf(metadata);
    life.responseBytes = 0;
    inner.start(metadata, this);
    messages.sendTo(inner);
    if (this.#caller.reading) inner.startRead();
  }

  /** A token that says who calls, for a service of the mesh; mutual TLS proves it already. */
  #hop({ identity }: ChannelWire): string | undefined {
    const { service, location } = this.#placement.policy;
    return identity === undefined && location === 'internal' ? this.#tools.wires.hops?.sign(service) : undefined;
  }

  /** A try has a time of its own, and so has the connection, where there is none yet. */
  #bound(channel: Channel): void {
    const { attemptTimeoutMs, life } = this.#exchange;
    const { READY } = grpcJs().connectivityState;
    const { connectTimeoutMs } = this.#placement.policy.connection;
    this.#connecting = channel.getConnectivityState(true) !== READY && (attemptTimeoutMs === 0 || connectTimeoutMs < attemptTimeoutMs);
    const ms = this.#connecting ? connectTimeoutMs : attemptTimeoutMs;
    if (ms > 0) this.#slot = life.deadlines.add(this, this.#tools.mesh.now() + ms);
  }

  #headers(metadata: Metadata, hop: string | undefined): Metadata {
    const { edits, life, attempt } = this.#exchange;
    const edited = editedMetadata(metadata, edits.request);
    const waits = metadata.getOptions().waitForReady === true;
    const internal = this.#placement.policy.location === 'internal';
    const told = internal ? this.#tools.mesh.metadata?.header : undefined;
    const traced = life.trace?.headers(internal) ?? NONE;
    const forwarded = internal ? this.#caller.request.forwarded : NONE;
    const nothing = hop === undefined && told === undefined && traced.length + forwarded.length === 0;
    if (life.deadline === Infinity && nothing && attempt === 0 && !waits) return edited;
    const result = edited === metadata ? metadata.clone() : edited;
    // The call waits for its service, not for this one endpoint.
    if (waits) result.setOptions({ ...metadata.getOptions(), waitForReady: false });
    // Not as grpc-js's deadline: the mesh keeps time itself, for all attempts together.
    if (life.deadline < Infinity) result.set('grpc-timeout', timeoutText(life.deadline - this.#tools.mesh.now()));
    if (hop !== undefined) result.set(HOP_HEADER, hop);
    if (told !== undefined) result.set(...told);
    setLines(result, traced);
    setLines(result, forwarded);
    this.#count(result);
    return result;
  }

  /** Both sides learn how many attempts went before this one (gRFC A6). */
  #count(metadata: Metadata): void {
    const { attempt } = this.#exchange;
    if (attempt > 0) metadata.set('grpc-previous-rpc-attempts', String(attempt));
  }

  // ---- grpc-js's events ------------------------------------------------------------------------------------------

  onReceiveMetadata(metadata: Metadata): void {
    if (this.#mode !== 'waiting') return;
    if (!isGrpc(metadata)) {
      this.#foreign = metadata;
      return;
    }
    this.#metadata = metadata;
    this.#count(metadata);
    this.#unslot();
    this.#weigh(metadata);
    this.#placement.responded(200, AWAITED);
    this.#hold();
  }

  onReceiveMessage(message: Buffer): void {
    this.#exchange.life.responseBytes += message.length + PREFIX_BYTES;
    if (this.#mode === 'live') this.#caller.onReceiveMessage(message);
    else if (this.#mode === 'held') this.#message = message;
    // Bytes that only look like one: how the answer ends is what matters.
    else if (this.#foreign !== undefined) this.#inner?.startRead();
  }

  onReceiveStatus(given: StatusObject): void {
    if (this.#mode === 'over') return;
    const status = proper(this.#foreign === undefined ? given : foreign(given, this.#foreign));
    const failure = failureOf(status, this.endpoint.address, this.#metadata !== undefined);
    if (failure !== undefined) return this.#fail(failure);
    const waiting = this.#mode === 'waiting';
    if (waiting && isOwn(status)) return this.#own(status);
    if (waiting) {
      this.#count(status.metadata);
      this.#weigh(status.metadata);
    }
    this.grpcStatus = waiting ? status.code : -1;
    this.#placement.responded(200, status.code);
    const live = this.#mode === 'live';
    if (!live) this.#ending = status;
    this.#end(undefined);
    if (waiting) this.#hold();
    else if (live) this.#finish(status);
  }

  #weigh(metadata: Metadata): void {
    this.#exchange.life.answered(this, PSEUDO_STATUS + sizeOf(metadata), this.#tools.mesh.now());
  }

  #hold(): void {
    this.#mode = 'held';
    this.#resolve(this);
  }

  // ---- how it ends -----------------------------------------------------------------------------------------------

  #fail(error: MeshError): void {
    if (this.#mode === 'over') return;
    const mode = this.#mode;
    if (mode === 'held') this.#ending = error;
    else this.#mode = 'over';
    this.#end(mode === 'dropped' ? new MeshError('CANCELLED', 'the answer was not wanted', { cause: error }) : error);
    if (mode === 'waiting') this.#reject(error);
    else if (mode === 'live') this.#tell(error);
  }

  #own(status: StatusObject): void {
    this.#mode = 'over';
    this.#end(new MeshError('CANCELLED', status.details));
    this.#reject(new OwnFailure(status));
  }

  /** What this attempt took is free; whoever placed it learns how it went. Once. */
  #end(error: MeshError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unslot();
    if (this.#inner !== undefined) this.#caller.messages.detach(this.#inner);
    this.#lane?.end();
    this.#exchange.life.rest(this);
    this.#placement.ended(error);
  }

  #unslot(): void {
    if (this.#slot < 0) return;
    this.#exchange.life.deadlines.remove(this.#slot);
    this.#slot = -1;
  }

  /** Time is up: for the connection, or for the answer of this try. */
  expired(): void {
    this.#slot = -1;
    const { attemptTimeoutMs } = this.#exchange;
    const { address } = this.endpoint;
    if (!this.#connecting)
      return this.#stop(new MeshError('ATTEMPT_TIMEOUT', `${address} sent no answer within ${attemptTimeoutMs} ms, the time of one try`));
    this.#connecting = false;
    const { connectTimeoutMs } = this.#placement.policy.connection;
    if (this.#lane?.channel.getConnectivityState(false) !== grpcJs().connectivityState.READY)
      return this.#stop(new MeshError('CONNECT_FAILED', `${address}: no connection within ${connectTimeoutMs} ms`, { phase: 'unsent' }));
    if (attemptTimeoutMs > 0)
      this.#slot = this.#exchange.life.deadlines.add(this, this.#tools.mesh.now() + attemptTimeoutMs - connectTimeoutMs);
  }

  /** The whole call is over: deadline or caller. */
  cancelled(error: MeshError): void {
    this.#stop(error);
  }

  #stop(error: MeshError): void {
    if (this.#mode === 'over') return;
    this.#fail(error);
    // A held answer that came whole stays; its call is over all the same.
    if (this.#mode === 'held') this.#mode = 'over';
    this.#inner?.cancelWithStatus(grpcJs().status.CANCELLED, error.message);
  }

  // ---- Handable: towards the program -----------------------------------------------------------------------------

  deliver(): void {
    // First of all: what the policy sets may be nothing that metadata can be, and then nothing was delivered.
    const metadata = this.#metadata && editedMetadata(this.#metadata, this.#exchange.edits.response);
    this.#caller.messages.commit();
    this.#mode = 'live';
    if (metadata !== undefined) this.#caller.onReceiveMetadata(metadata);
    const message = this.#message;
    this.#message = undefined;
    if (message !== undefined) this.#caller.onReceiveMessage(message);
    const ending = this.#ending;
    if (ending === undefined || this.#mode !== 'live') return;
    if (MeshError.is(ending)) {
      this.#mode = 'over';
      this.#tell(ending);
    } else this.#finish(this.#metadata === undefined ? this.#withoutHeaders(ending) : ending);
  }

  /** Of a status without headers the route's response headers are its metadata. */
  #withoutHeaders(status: StatusObject): StatusObject {
    return { ...status, metadata: editedMetadata(status.metadata, this.#exchange.edits.response) };
  }

  #finish(status: StatusObject): void {
    this.#mode = 'over';
    this.#caller.finish(status);
  }

  #tell(error: MeshError): void {
    this.#exchange.life.refused(error);
    this.#caller.finish({ code: error.grpcStatus, details: error.message, metadata: new (grpcJs().Metadata)() });
  }

  startRead(): void {
    if (!this.#ended) this.#inner?.startRead();
  }

  discard(): void {
    if (this.#mode !== 'held') return;
    this.#mode = 'dropped';
    this.#message = undefined;
    if (this.#ended) this.#mode = 'over';
    else this.#inner?.cancelWithStatus(grpcJs().status.CANCELLED, 'the answer was not wanted');
  }
}

const NONE: readonly string[] = [];

function setLines(metadata: Metadata, lines: readonly string[]): void {
  for (let at = 0; at < lines.length; at += 2) metadata.set(lines[at]!, lines[at + 1]!);
}

/** Ends without a word of the other side, and not on the way to it: credentials that cannot be had, a message beyond the program's limit. */
const isOwn = ({ metadata }: StatusObject): boolean => Object.keys(metadata.getMap()).length === 0;

/** gRPC over HTTP/2: "application/grpc" and what begins so. A server that says nothing is believed. */
function isGrpc(metadata: Metadata): boolean {
  const [type] = metadata.get('content-type');
  return type === undefined || String(type).startsWith('application/grpc');
}

/** gRPC over HTTP/2: at most eight digits and a unit. */
function timeoutText(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  return whole < 1e8 ? `${whole}m` : `${Math.min(99_999_999, Math.ceil(whole / 1000))}S`;
}

/** Before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export const PREFIX_BYTES = 5;

/** What every request of grpc-js says besides its path and authority, and every answer; as HTTP/1.1 would write it. */
const PSEUDO_HEADERS = ':method: POST\r\n:scheme: http\r\n:path: \r\n:authority: \r\nte: trailers\r\ncontent-type: application/grpc\r\n'
  .length;
const PSEUDO_STATUS = ':status: 200\r\ncontent-type: application/grpc\r\n'.length;

function sizeOf(metadata: Metadata): number {
  let size = 0;
  const map = metadata.getMap();
  // Of several values of a name the map has the first: what is weighed here is for histograms, not for bills.
  for (const name in map) size += name.length + map[name]!.length + 4;
  return size;
}
