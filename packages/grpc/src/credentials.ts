import type { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import type { MutualPlan, TlsPlan } from '@inmesh/net';
import { checkServer, contextOf, tlsOptions } from '@inmesh/net';
import type { ClusterPolicy } from '@inmesh/policy';
import type { Socket } from 'node:net';
import { connect, type ConnectionOptions, type PeerCertificate } from 'node:tls';
import { grpcJs } from './grpc-js.ts';

/** Credentials of a channel to one endpoint. Made per channel: grpc-js shares connections between equal ones, and none is equal to another. */
export function endpointCredentials(
  tls: TlsPlan | MutualPlan | undefined,
  { tcpKeepalive }: Pick<ClusterPolicy['connection'], 'tcpKeepalive'>,
): ChannelCredentials {
  return connecting(tls !== undefined, (socket) => {
    if (tcpKeepalive !== null) socket.setKeepAlive(true, tcpKeepalive.timeMs ?? KEEPALIVE_MS);
    if (tls === undefined) return Promise.resolve(socket);
    return handshake(socket, () => ('identity' in tls ? mutual(tls) : { ...tlsOptions(tls), ALPNProtocols: ['h2'] }));
  });
}

/** Linux's own time before the first probe. */
const KEEPALIVE_MS = 7_200_000;

/** A sidecar on the other side knows traffic of the mesh by the `istio…` names (Istio's mtlsTCPWithMxcALPNs), whichever it then takes. */
const mutual = (plan: MutualPlan): ConnectionOptions => ({
  secureContext: contextOf(plan.identity),
  servername: plan.servername,
  ALPNProtocols: ['istio-h2', 'istio', 'h2'],
  rejectUnauthorized: true,
  checkServerIdentity: (_name: string, certificate: PeerCertificate) => checkServer(plan, certificate),
});

/**
 * A connection made ready by our own hand. Not grpc-js's own credentials: those fix what the policy may change (trust, protocol names,
 * SNI), look at the address where the policy says a name, and let nobody at the socket.
 */
function connecting(secure: boolean, connect: (socket: Socket) => Promise<Socket>): ChannelCredentials {
  const { ChannelCredentials: Base, CallCredentials: Calls } = grpcJs();
  class PolicyCredentials extends Base {
    _isSecure(): boolean {
      return secure;
    }

    _equals(other: ChannelCredentials): boolean {
      return this === other;
    }

    _createSecureConnector(_target: unknown, _options: unknown, calls: CallCredentials = Calls.createEmpty()) {
      return {
        connect: async (socket: Socket) => ({ socket: await connect(socket), secure }),
        waitForReady: () => Promise.resolve(),
        getCallCredentials: () => calls,
        destroy: () => {},
      };
    }
  }
  return new PolicyCredentials();
}

/** Options are asked for anew at each connection: reading the policy's files may fail; then this connection does, and says why. */
function handshake(socket: Socket, options: () => ConnectionOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const secure = connect({ ...options(), socket }, () => resolve(secure));
    secure.on('error', reject);
  });
}
