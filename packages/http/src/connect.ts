import type { Endpoint } from '@inmesh/core';
import { type MutualPlan, tlsOptions, type TlsPlan } from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { AsyncLocalStorage } from 'node:async_hooks';
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

/** A connection is nobody's: in the context of the call that opened it, what all later ones cause would be taken for that one's. */
const onNobodysBehalf = AsyncLocalStorage.snapshot();

/** Opens connections to one endpoint, as its policy says. */
export function connector(endpoint: Endpoint, policy: ClusterPolicy, tls: TlsPlan | MutualPlan | undefined): Connector {
  const connect = connectorOf(endpoint, policy, tls);
  return (options, callback) => onNobodysBehalf(connect, options, callback);
}

function connectorOf(endpoint: Endpoint, policy: ClusterPolicy, tls: TlsPlan | MutualPlan | undefined): Connector {
  const { connectTimeoutMs, tcpKeepalive } = policy.connection;
  const plain = {
    timeout: connectTimeoutMs,
    ...(endpoint.port === 0 ? { socketPath: endpoint.host } : {}),
    ...(tcpKeepalive === null ? {} : { keepAlive: true, keepAliveInitialDelay: tcpKeepalive.timeMs ?? 7_200_000 }),
    allowH2: policy.http === 'http2',
    preferH2: policy.http === 'http2',
    useH2c: policy.http === 'http2' && tls === undefined,
  };
  if (tls === undefined) return undici.buildConnector(plain);
  if ('identity' in tls) return inTurn(connectMutual(endpoint, policy, tls));
  // Built per connection: material is read anew, and sessions of an earlier identity are never resumed.
  return inTurn((options, callback) =>
    undici.buildConnector({ ...plain, ...tlsOptions(tls), maxCachedSessions: 0 })(
      { ...options, servername: tls.servername || undefined },
      callback,
    ),
  );
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
