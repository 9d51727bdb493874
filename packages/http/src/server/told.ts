import type { Claims, Exchange, Principal } from '@inmesh/core';

/** What a program learns of its caller: `request.mesh`. */
export interface InboundMesh {
  /** Proven by mutual TLS (or a hop token); undefined: nobody in particular. */
  readonly principal: Principal | undefined;
  /** Payload of the verified token. */
  readonly claims: Claims | undefined;
  /** Rule that let the call pass, as `ns[…]-policy[…]-rule[…]`; '' if none had to. */
  readonly policy: string;
  /** The client behind trusted proxies, else the TCP peer. */
  readonly clientAddress: string;
  /** Aborts when nobody waits for the answer any more. Made on first use. */
  readonly signal: AbortSignal;
}

declare module 'http' {
  interface IncomingMessage {
    /** Of a request that came through the mesh. */
    mesh?: InboundMesh;
  }
}

declare module 'http2' {
  interface Http2ServerRequest {
    mesh?: InboundMesh;
  }
  interface ServerHttp2Stream {
    mesh?: InboundMesh;
  }
}

/** What a call has become, for the program it is handed to. */
export class Told implements InboundMesh {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get principal(): Principal | undefined {
    return this.#exchange.call.peer!.principal;
  }

  get claims(): Claims | undefined {
    return this.#exchange.call.peer!.claims;
  }

  get policy(): string {
    return this.#exchange.call.peer!.policy;
  }

  get clientAddress(): string {
    return this.#exchange.call.peer!.clientAddress;
  }

  get signal(): AbortSignal {
    return this.#exchange.life.signal();
  }
}
