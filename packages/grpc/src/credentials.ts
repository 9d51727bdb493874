import type { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import type { MutualPlan, TlsPlan } from '@inmesh/net';
import { checkServer, contextOf, tlsOptions } from '@inmesh/net';
import type { Socket } from 'node:net';
import { connect, type ConnectionOptions, type PeerCertificate } from 'node:tls';
import { grpcJs } from './grpc-js.ts';

/** Credentials of a channel to one endpoint. Made per channel: grpc-js shares connections between equal ones, and none is equal to another. */
export function endpointCredentials(tls: TlsPlan | MutualPlan | undefined): ChannelCredentials {
  if (tls === undefined) return grpcJs().ChannelCredentials.createInsecure();
  return secured(() => ('identity' in tls ? mutual(tls) : { ...tlsOptions(tls), ALPNProtocols: ['h2'] }));
}

/** A sidecar on the other side knows traffic of the mesh by the `istio…` names (Istio's mtlsTCPWithMxcALPNs), whichever it then takes. */
const mutual = (plan: MutualPlan): ConnectionOptions => ({
  secureContext: contextOf(plan.identity),
  servername: plan.servername,
  ALPNProtocols: ['istio-h2', 'istio', 'h2'],
  rejectUnauthorized: true,
  checkServerIdentity: (_name: string, certificate: PeerCertificate) => checkServer(plan, certificate),
});

/**
 * TLS by options asked for anew at each connection. Not grpc-js's own credentials: those fix what the policy may change (trust, protocol
 * names, SNI), and look at the address where the policy says a name.
 */
function secured(options: () => ConnectionOptions): ChannelCredentials {
  const { ChannelCredentials: Base, CallCredentials: Calls } = grpcJs();
  class PolicyCredentials extends Base {
    _isSecure(): boolean {
      return true;
    }

    _equals(other: ChannelCredentials): boolean {
      return this === other;
    }

    _createSecureConnector(_target: unknown, _options: unknown, calls: CallCredentials = Calls.createEmpty()) {
      return {
        connect: (socket: Socket) => handshake(socket, options),
        waitForReady: () => Promise.resolve(),
        getCallCredentials: () => calls,
        destroy: () => {},
      };
    }
  }
  return new PolicyCredentials();
}

function handshake(socket: Socket, options: () => ConnectionOptions): Promise<{ socket: Socket; secure: boolean }> {
  return new Promise((resolve, reject) => {
    // Reading the policy's files may fail: then this connection does, and says why.
    const secure = connect({ ...options(), socket }, () => resolve({ socket: secure, secure: true }));
    secure.on('error', reject);
  });
}
