import type { CallCredentials, Metadata, StatusObject } from '@grpc/grpc-js';
import type { Exchange, Life, LocalAnswer, Placement, Reply, Transport } from '@inmesh/core';
import { type Handable, LocalReply } from './answer.ts';
import { type Attempting, type Caller, GrpcAttempt } from './attempt.ts';
import type { Messages } from './messages.ts';
import type { GrpcRequest } from './request.ts';

/** An attempt beside another of the same call (hedging): its own copy of the request, the same listener. */
export class Beside implements Caller, Transport<Handable> {
  readonly messages: Messages;
  readonly #call: Caller & Pick<Transport<Handable>, 'answer'>;
  readonly #tools: Attempting;

  constructor(call: Caller & Pick<Transport<Handable>, 'answer'>, messages: Messages, tools: Attempting) {
    this.#call = call;
    this.messages = messages;
    this.#tools = tools;
  }

  get request(): GrpcRequest {
    return this.#call.request;
  }

  get credentials(): CallCredentials | undefined {
    return this.#call.credentials;
  }

  get reading(): boolean {
    return this.#call.reading;
  }

  attempt(exchange: Exchange, placement: Placement): Promise<Reply<Handable>> {
    return new GrpcAttempt(this, exchange, placement, this.#tools).start();
  }

  answer(exchange: Exchange, local: LocalAnswer): Reply<Handable> {
    return this.#call.answer(exchange, local);
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#call.onReceiveMetadata(metadata);
  }

  onReceiveMessage(message: Buffer): void {
    this.#call.onReceiveMessage(message);
  }

  finish(status: StatusObject): void {
    this.#call.finish(status);
  }
}

/** A mirrored copy: its answer is read and dropped. */
export class Shadow implements Caller, Transport<Handable> {
  readonly request: GrpcRequest;
  readonly messages: Messages;
  readonly credentials = undefined;
  readonly reading = true;
  readonly #life: Life;
  #attempt: GrpcAttempt | undefined = undefined;
  readonly #tools: Attempting;

  constructor(tools: Attempting, messages: Messages, request: GrpcRequest, life: Life) {
    this.request = request;
    this.messages = messages;
    this.#tools = tools;
    this.#life = life;
  }

  async attempt(exchange: Exchange, placement: Placement): Promise<Reply<Handable>> {
    this.#attempt = new GrpcAttempt(this, exchange, placement, this.#tools);
    const reply = await this.#attempt.start();
    reply.value.deliver();
    return reply;
  }

  answer(exchange: Exchange, local: LocalAnswer): Reply<Handable> {
    return new LocalReply(this, exchange, local);
  }

  onReceiveMetadata(): void {}

  onReceiveMessage(): void {
    this.#attempt?.startRead();
  }

  finish({ code }: StatusObject): void {
    this.#life.end(200, code, this.#tools.mesh.now());
  }
}
