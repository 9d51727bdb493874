import type { Endpoint } from '@inmesh/core';
import { checkServer, contextOf, type MutualPlan } from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import { connect, type PeerCertificate } from 'node:tls';
import type { buildConnector } from 'undici';
import { undici } from './undici.ts';

/**
 * Opens a mutual TLS connection as Istio's proxies do. Not undici's own connector, which offers no protocol names but its
 * own: a sidecar on the other side knows traffic of the mesh by the `istio…` ones (Istio's mtlsHTTPALPNs), whichever it then takes.
 */
export function connectMutual(endpoint: Endpoint, { connection, http }: ClusterPolicy, plan: MutualPlan): buildConnector.connector {
  const { connectTimeoutMs, tcpKeepalive } = connection;
  const protocols = http === 'http2' ? ['istio-h2', 'istio', 'h2'] : ['istio-http/1.1', 'istio', 'http/1.1'];
  return (_, callback) => {
    const socket = connect({
      ...(endpoint.port === 0 ? { path: endpoint.host } : { host: endpoint.host, port: endpoint.port }),
      secureContext: contextOf(plan.identity),
      servername: plan.servername,
      ALPNProtocols: protocols,
      rejectUnauthorized: true,
      checkServerIdentity: (_name: string, certificate: PeerCertificate) => checkServer(plan, certificate),
    });
    if (tcpKeepalive !== null) socket.setKeepAlive(true, tcpKeepalive.timeMs ?? 7_200_000);
    socket.setNoDelay(true);
    const timer = setTimeout(() => {
      socket.destroy(new undici.errors.ConnectTimeoutError(`no TLS connection to ${endpoint.address} within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      callback(error, null);
    };
    socket.once('error', failed);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      callback(null, socket);
    });
  };
}
