import { MeshError } from '../errors.ts';
import type { Ledger } from '../inbound/ledger.ts';
import type { FilterKind } from '../kind.ts';

/**
 * Refuses who has not proven an identity, on a port that is STRICT. New connections are refused before they say anything;
 * this is for those that were there before the policy, and for servers whose connections are not ours.
 */
export const peer: FilterKind<{ readonly ledger: Ledger | undefined }> = {
  name: 'peer',
  inbound:
    ({ ledger }) =>
    (next) =>
    (exchange, transport) => {
      const { call } = exchange;
      if (call.peer?.connection.principal === undefined) {
        ledger?.refused(call, 403, '');
        throw new MeshError('PERMISSION_DENIED', 'PeerAuthentication is STRICT and the caller has not proven who it is by mutual TLS', {
          answer: { body: 'mutual TLS is required', headers: [['connection', 'close']] },
        });
      }
      return next(exchange, transport);
    },
};
