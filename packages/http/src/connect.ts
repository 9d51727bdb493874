import type { Clock, Endpoint, UpstreamStats } from '@inmesh/core';
import { type MutualPlan, tlsOptions, type TlsPlan } from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { connectMutual } from './connect-mutual.ts';
import type { buildConnector } from 'undici';
import { undici } from './undici.ts';

/**
 * TLS handshakes at a time in this process. Handshakes are the one part of a call that costs milliseconds of CPU; a cold
 * pool that starts hundreds at once starves the event loop they need to finish, and never recovers.
 */
const HANDSHAKES = 16;

let running = 0;
const waiting: (() => void)[] = [];

type Connector = buildConnector.connector;

/** Where connections are counted. */
export interface Counting {
  readonly stats: UpstreamStats;
  readonly clock: Clock;
}

/** Opens connections to one endpoint, as its policy says. */
export function connector(endpoint: Endpoint, policy: ClusterPolicy, tls: TlsPlan | MutualPlan | undefined, counting: Counting): Connector {
  const { connectTimeoutMs, tcpKeepalive } = policy.connection;
  const plain = {
    timeout: connectTimeoutMs,
    ...(endpoint.port === 0 ? { socketPath: endpoint.host } : {}),
    ...(tcpKeepalive === null ? {} : { keepAlive: true, keepAliveInitialDelay: tcpKeepalive.timeMs ?? 7_200_000 }),
    allowH2: policy.http === 'http2',
    preferH2: policy.http === 'http2',
    useH2c: policy.http === 'http2' && tls === undefined,
  };
  if (tls === undefined) return counted(undici.buildConnector(plain), counting);
  if ('identity' in tls) return inTurn(counted(connectMutual(endpoint, policy, tls), counting));
  // Built per connection: material is read anew, and sessions of an earlier identity are never resumed.
  const connect: Connector = (options, callback) =>
    undici.buildConnector({ ...plain, ...tlsOptions(tls), maxCachedSessions: 0 })(
      { ...options, servername: tls.servername || undefined },
      callback,
    );
  return inTurn(counted(connect, counting));
}

/** From the first packet until it is closed. A handshake that waits for its turn is none yet. */
function counted(connect: Connector, { stats, clock }: Counting): Connector {
  return (options, callback) => {
    const began = clock.now();
    stats.connecting();
    const settle: typeof callback = (...outcome) => {
      const [error, socket] = outcome;
      // With an error undici gives no second argument at all.
      if (socket == null) stats.connectFailed((error as NodeJS.ErrnoException).code === 'UND_ERR_CONNECT_TIMEOUT');
      else {
        stats.connected(clock.now() - began);
        socket.once('close', () => stats.disconnected());
      }
      (callback as (...args: typeof outcome) => void)(...outcome);
    };
    try {
      connect(options, settle);
    } catch (error) {
      // The policy's files cannot be read.
      stats.connectFailed(false);
      throw error;
    }
  };
}

/** Waits until few enough handshakes are under way. */
function inTurn(connect: Connector): Connector {
  return (options, callback) => {
    const begin = () => {
      running += 1;
      let done = false;
      const settle: typeof callback = (...outcome) => {
        if (!done) {
          done = true;
          running -= 1;
          waiting.shift()?.();
        }
        (callback as (...args: typeof outcome) => void)(...outcome);
      };
      try {
        connect(options, settle);
      } catch (error) {
        settle(error as Error, null);
      }
    };
    if (running < HANDSHAKES) begin();
    else waiting.push(begin);
  };
}
