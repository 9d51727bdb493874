import type { Exchange, LocalAnswer, Reply } from '@inmesh/core';
import type { StatusObject } from '@grpc/grpc-js';
import { editedMetadata } from './metadata.ts';
import { statusOf } from './status.ts';

/** What a chosen reply can do for the call it belongs to. */
export interface Handable {
  /** Hands everything over that came and comes. From here on nothing is repeated. */
  deliver(): void;
  startRead(): void;
  /** Peer and authentication are those of the chosen attempt. */
  readonly peer: string | undefined;
}

/** Whoever is told how the call ended. */
export interface Recipient {
  finish(status: StatusObject): void;
}

/** An answer the mesh gives itself: a status without headers (gRPC over HTTP/2, "trailers-only"). */
export class LocalReply implements Reply<Handable>, Handable {
  /** gRPC has one HTTP status only. */
  readonly status = 200;
  readonly grpcStatus: number;
  readonly endpoint = undefined;
  readonly peer = undefined;
  readonly #recipient: Recipient;
  readonly #exchange: Exchange;
  readonly #told: StatusObject;

  constructor(recipient: Recipient, exchange: Exchange, local: LocalAnswer) {
    this.grpcStatus = local.grpcStatus;
    this.#recipient = recipient;
    this.#exchange = exchange;
    this.#told = statusOf(local);
  }

  get value(): Handable {
    return this;
  }

  header(name: string): string | undefined {
    return this.#told.metadata.get(name).join(',') || undefined;
  }

  deliver(): void {
    this.#recipient.finish({ ...this.#told, metadata: editedMetadata(this.#told.metadata, this.#exchange.edits.response) });
  }

  startRead(): void {}

  discard(): void {}
}
