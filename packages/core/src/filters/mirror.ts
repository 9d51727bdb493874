import type { Exchange, Transport } from '../call.ts';
import { MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import type { FilterKind } from '../kind.ts';
import { chance } from './chance.ts';

/** Where a share of the calls is copied to. */
export interface Mirrored {
  readonly percent: number;
  /** The mirror cluster's: its limits and its outlier detection hold for copies as for calls. */
  readonly handler: Handler;
}

export interface Mirrors {
  readonly mirrors: readonly Mirrored[];
  /** A copy has as long as the call has (the route's timeout); null = no bound. */
  readonly timeoutMs: number | null;
}

/**
 * Sends copies of calls elsewhere and forgets them: what comes of a copy is neither awaited nor told to anyone.
 * Below edits, for a copy is sent as the original is; above retry, for a retry is not copied again. Calls that cannot be
 * copied (a body that is read once, upgrades) go without.
 */
export const mirror: FilterKind<Mirrors> = {
  name: 'mirror',
  outbound: ({ mirrors, timeoutMs }, { clock, random }) => {
    const drawn = mirrors.map(({ percent, handler }) => ({ draw: chance(percent, random), handler }));
    const copy = (exchange: Exchange, transport: Transport<unknown>, handler: Handler): void => {
      const shadow = transport.shadow?.(exchange);
      if (shadow === undefined) return;
      const { life } = shadow.exchange;
      if (timeoutMs !== null) life.limit(clock.now() + timeoutMs);
      run(handler, shadow.exchange, shadow.transport).then(
        (ended) => life.end(ended.status, ended.grpcStatus, clock.now()),
        // Nobody hears of a failed copy, a broken one included: the call it was made of must not suffer.
        () => life.end(0, -1, clock.now()),
      );
    };
    return (next) => (exchange, transport) => {
      for (const { draw, handler } of drawn) if (draw()) copy(exchange, transport, handler);
      return next(exchange, transport);
    };
  },
};

async function run(
  handler: Handler,
  exchange: Exchange,
  transport: Transport<unknown>,
): Promise<{ readonly status: number; readonly grpcStatus: number }> {
  try {
    const reply = await handler(exchange, transport);
    reply.discard();
    return reply;
  } catch (error) {
    if (!MeshError.is(error)) throw error;
    if (error.flag !== null) exchange.life.flag(error.flag);
    return { status: error.status, grpcStatus: error.grpcStatus };
  }
}
