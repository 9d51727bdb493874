import type { Fault } from '@inmesh/policy';
import type { LocalAnswer } from '../exchange.ts';
import type { Handler } from '../handler.ts';
import type { FilterKind } from '../kind.ts';
import { localAnswer } from './answers.ts';
import { chance } from './chance.ts';
import { pause } from './pause.ts';

/**
 * Injects faults (VirtualService `http.fault`): first a delay, then an abort, each drawn on its own.
 * Above timeout and retry, as in Envoy, where the fault filter runs before the router: an injected delay is not cut by
 * the route's timeout, an injected abort is never retried. Both are meant to be seen.
 */
export const fault: FilterKind<Fault> = {
  name: 'fault',
  outbound: ({ delay, abort }, { clock, random }) => {
    const delayed = delay === null ? undefined : chance(delay.percent, random);
    const aborted = abort === null ? undefined : chance(abort.percent, random);
    const answer = abort === null ? undefined : abortAnswer(abort);
    return (next) => {
      const afterDelay: Handler =
        aborted === undefined || answer === undefined
          ? next
          : (exchange, transport) => {
              if (!aborted()) return next(exchange, transport);
              exchange.life.flag('FI');
              exchange.life.answeredBy('fault_filter_abort');
              return Promise.resolve(transport.answer(exchange, answer));
            };
      if (delayed === undefined || delay === null) return afterDelay;
      return (exchange, transport) => {
        if (!delayed()) return afterDelay(exchange, transport);
        exchange.life.flag('DI');
        return pause(exchange.life, clock, delay.ms).then(() => afterDelay(exchange, transport));
      };
    };
  },
};

const BODY = 'fault filter abort';

/** The body is Envoy's. A gRPC status is sent as trailers-only: HTTP 200 with the status among the headers. */
function abortAnswer(abort: NonNullable<Fault['abort']>): LocalAnswer {
  if (abort.grpcStatus === null) return localAnswer(abort.httpStatus ?? 503, BODY, BODY);
  const headers = [
    ['grpc-status', String(abort.grpcStatus)],
    ['grpc-message', BODY],
  ] as const;
  return { status: 200, grpcStatus: abort.grpcStatus, headers, body: '', message: BODY };
}
