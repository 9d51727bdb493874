import type { Exchange, Transport } from '../exchange.ts';
import { MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import type { FilterKind } from '../kind.ts';
import type { RouteObserver } from '../observer.ts';
import { chance } from './chance.ts';

/** Where a share of the calls is copied to. */
export interface Mirrored {
  readonly percent: number;
  /** The mirror cluster's: its limits and its outlier detection hold for copies as for calls. */
  readonly handler: Handler;
  /** The mirror cluster's statistics: nobody else counts copies. */
  readonly observer: RouteObserver;
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
    const drawn = mirrors.map(({ percent, handler, observer }) => ({ draw: chance(percent, random), handler, observer }));
    const copy = (
      exchange: Exchange,
      transport: Transport<unknown>,
      { handler, observer }: Pick<Mirrored, 'handler' | 'observer'>,
    ): void => {
      const shadow = transport.shadow?.(exchange);
      if (shadow === undefined) return;
      const { life } = shadow.exchange;
      life.observer = observer;
      if (timeoutMs !== null) life.limit(clock.now() + timeoutMs);
      // Nobody hears of a failed copy, a broken one included: the call it was made of must not suffer.
      run(handler, shadow.exchange, shadow.transport).catch((error: unknown) => {
        const { status, grpcStatus, flag } = MeshError.is(error) ? error : NOTHING_SAID;
        if (flag !== null) life.flag(flag);
        life.end(status, grpcStatus, clock.now());
      });
    };
    return (next) => (exchange, transport) => {
      for (const one of drawn) if (one.draw()) copy(exchange, transport, one);
      return next(exchange, transport);
    };
  },
};

/** An answered copy lives on until its transport has read the answer away: its deadline holds for the body too. */
async function run(handler: Handler, exchange: Exchange, transport: Transport<unknown>): Promise<void> {
  const reply = await handler(exchange, transport);
  reply.discard();
}

const NOTHING_SAID = { status: 0, grpcStatus: -1, flag: null };
