import type { Exchange, Reply, Transport } from '../exchange.ts';
import { MeshError } from '../errors.ts';
import type { FilterKind } from '../kind.ts';
import type { RetryCluster } from './retry.ts';

export interface TransparentRetry {
  readonly cluster: Pick<RetryCluster, 'name' | 'stats'>;
}

/**
 * Places a gRPC call a second time, elsewhere if it can, where the server promises that it did not begin (REFUSED_STREAM, or a GOAWAY
 * that leaves its stream out): "transparent retries" of gRFC A6, which every gRPC client makes. Once per call and at once, whatever the
 * policy says of retries, whose count and budget it does not touch; a second refusal is the policy's to judge. HTTP has no such custom,
 * and Envoy none either: there the policy's `refused-stream` decides alone.
 */
export const transparentRetry: FilterKind<TransparentRetry> = {
  name: 'transparentRetry',
  outbound:
    ({ cluster }, { observer }) =>
    (next) => {
      function again<T>(error: unknown, exchange: Exchange, transport: Transport<T>): Promise<Reply<T>> {
        const { call, life, tried } = exchange;
        if (!MeshError.is(error) || error.code !== 'REFUSED' || error.phase === 'answered') throw error;
        // Ended meanwhile, or no longer all in hand.
        if (life.why !== undefined || !call.replayable) throw error;
        cluster.stats.rqRetry += 1;
        observer.event({ type: 'call.retried', cluster: cluster.name, attempt: 0, reason: 'transparent' });
        return next(life.endpoint === undefined ? exchange : { ...exchange, tried: [...tried, life.endpoint] }, transport);
      }

      return (exchange, transport) => {
        // Only the first try (grpc-go's rule): what the policy repeats is not repeated between.
        if (exchange.call.protocol !== 'grpc' || exchange.attempt > 0) return next(exchange, transport);
        return next(exchange, transport).catch((error: unknown) => again(error, exchange, transport));
      };
    },
};
