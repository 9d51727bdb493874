import * as v from 'valibot';
import { defaulted, flag, optional } from '../../schema/fields.ts';
import { countOrDefault, duration, oneOf, positiveDuration, uint32 } from '../../schema/scalars.ts';
import type { Partly, Path, Report } from '../kind.ts';

/** Istio's ConnectionPoolSettings: limits and times of the connections to a destination. Counters hold per client process and cluster. */
export const connectionPool = v.object({
  tcp: optional(
    v.object({
      maxConnections: optional(countOrDefault, 'Most connections at once. 0 means the default.', {
        default: 'unlimited',
        honoured: 'HGWT',
      }),
      connectTimeout: optional(positiveDuration, 'How long a connection may take to be made.', {
        default: '10s (connectTimeout of the mesh)',
        honoured: 'HGWT',
      }),
      tcpKeepalive: optional(
        v.object({
          probes: optional(uint32, 'Unanswered probes before the connection counts as dead.', {
            default: 'of the operating system',
            notHonoured: 'Node.js lets only the time before the first probe be set',
          }),
          time: optional(duration, 'Idle time before the first probe.', { default: 'of the operating system' }),
          interval: optional(duration, 'Time between probes.', {
            default: 'of the operating system',
            notHonoured: 'Node.js lets only the time before the first probe be set',
          }),
        }),
        'TCP keep-alive of the connections.',
        { default: 'off', honoured: 'HGWT' },
      ),
      maxConnectionDuration: optional(positiveDuration, 'A connection is closed at this age.', { default: 'none', honoured: 'HGWT' }),
      idleTimeout: optional(duration, 'A connection without use is closed after this time; 0s: never.', { default: '1h', honoured: 'T' }),
    }),
    'Settings of every connection.',
    { honoured: 'HGWT' },
  ),
  http: optional(
    v.object({
      http1MaxPendingRequests: optional(countOrDefault, 'Most requests waiting for a connection, HTTP/2 included. 0 means the default.', {
        default: 'unlimited',
        honoured: 'HGW',
      }),
      http2MaxRequests: optional(countOrDefault, 'Most active requests at once, HTTP/1 included. 0 means the default.', {
        default: 'unlimited',
        honoured: 'HGW',
      }),
      maxRequestsPerConnection: optional(
        countOrDefault,
        'Requests after which a connection is replaced; 1: no keep-alive. 0 means the default.',
        {
          default: 'no limit',
          honoured: 'HG',
        },
      ),
      maxRetries: optional(countOrDefault, 'Most retries at once in the cluster. 0 means the default.', {
        default: 'unlimited',
        honoured: 'HG',
      }),
      idleTimeout: optional(duration, 'A pooled connection without use is closed after this time; wins over tcp.idleTimeout.', {
        default: 'below the keep-alive of the server',
        honoured: 'HG',
      }),
      h2UpgradePolicy: defaulted(
        oneOf('DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'),
        'DEFAULT',
        'Whether HTTP/1 calls travel over HTTP/2. DEFAULT: as the mesh says.',
        {
          honoured: 'H',
        },
      ),
      useClientProtocol: flag('Speak the HTTP version of the caller.', {
        notHonoured: 'inside the process there is no client connection whose protocol could be kept',
      }),
      maxConcurrentStreams: optional(countOrDefault, 'Most concurrent streams of one HTTP/2 connection. 0 means the default.', {
        default: '2147483647',
        honoured: 'HG',
      }),
      http2KeepAlive: optional(
        v.object({
          interval: optional(positiveDuration, 'Time between PING frames.'),
          timeout: optional(positiveDuration, 'How long the answer to a PING may take.'),
        }),
        'HTTP/2 PING of idle connections.',
        { notHonoured: 'HTTP/2 keep-alive pings cannot be set on the connection pools used here' },
      ),
    }),
    'Settings of HTTP and gRPC.',
    { honoured: 'HGW' },
  ),
});

export type ConnectionPool = v.InferOutput<typeof connectionPool>;

/** Istio's ValidateConnectionPool. */
export function checkConnectionPool(pool: Partly<ConnectionPool> | undefined, path: Path, report: Report): void {
  if (pool === undefined) return;
  if (pool.tcp === undefined && pool.http === undefined)
    report.warning(path, 'connectionPool holds neither tcp nor http', 'it has no effect; remove it');
  const { http } = pool;
  if (http?.useClientProtocol === true && http.h2UpgradePolicy === 'UPGRADE')
    report.warning(
      [...path, 'http', 'useClientProtocol'],
      'useClientProtocol is ignored where h2UpgradePolicy is UPGRADE',
      'remove one of them',
    );
  const ping = http?.http2KeepAlive;
  if (ping !== undefined && (ping.interval === undefined) !== (ping.timeout === undefined))
    report.error([...path, 'http', 'http2KeepAlive'], 'http2KeepAlive needs both interval and timeout', 'add the missing one');
}
