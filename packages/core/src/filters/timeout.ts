import type { FilterKind } from '../kind.ts';

/** Time for the whole call, all tries and backoffs included, until its last byte (VirtualService `http.timeout`). */
export interface Timeout {
  readonly ms: number;
  /** Something above may have kept the call waiting (an injected delay): then the clock is read, else the call's start will do. */
  readonly waited: boolean;
}

/**
 * Gives the call a deadline. Above retry, for it spans the attempts; below fault, whose delay it does not cut.
 * A WebSocket outlives any route timeout once it is open (Envoy never starts it for an upgrade), so its handshake is
 * bounded as an attempt instead.
 */
export const timeout: FilterKind<Timeout> = {
  name: 'timeout',
  outbound:
    ({ ms, waited }, { clock }) =>
    (next) =>
    (exchange, transport) => {
      if (exchange.call.protocol === 'websocket') exchange.attemptTimeoutMs = ms;
      else exchange.life.limit((waited ? clock.now() : exchange.life.startedAt) + ms);
      return next(exchange, transport);
    },
};
