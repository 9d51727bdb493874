import type { Channel } from '@grpc/grpc-js';
import type { Clock, UpstreamStats } from '@inmesh/core';
import { grpcJs } from './grpc-js.ts';

/**
 * Counts the connections of a channel to one address, which has one at a time. Told from the states it goes through: grpc-js shows
 * nobody its sockets before they stand.
 */
export function counted(channel: Channel, stats: UpstreamStats, clock: Clock): Channel {
  const { CONNECTING, READY, SHUTDOWN } = grpcJs().connectivityState;
  let state = channel.getConnectivityState(false);
  let began = 0;
  const changed = (): void => {
    const before = state;
    state = channel.getConnectivityState(false);
    if (before === READY) stats.disconnected();
    // What connects at once was seen as idle, then ready.
    if (state === CONNECTING || (state === READY && before !== CONNECTING)) {
      began = clock.now();
      stats.connecting();
    }
    if (state === READY) stats.connected(clock.now() - began);
    // Given up before it was known whether it would stand.
    else if (before === CONNECTING && state !== CONNECTING) stats.connectFailed(false);
    if (state !== SHUTDOWN) channel.watchConnectivityState(state, Infinity, changed);
  };
  channel.watchConnectivityState(state, Infinity, changed);
  return channel;
}
