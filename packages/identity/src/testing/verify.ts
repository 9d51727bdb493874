import { peerVerifier } from '../verify/verifier.ts';
import { NOW, type TestAuthority } from './pki.ts';

export interface Trusting {
  /** Trust domain → roots. */
  readonly bundles: Readonly<Record<string, readonly TestAuthority[]>>;
  readonly crl?: string;
  readonly as?: 'client' | 'server';
  readonly now?: number;
}

/** `uri` of who was proven, or why nobody was. */
export function outcome(chain: readonly { readonly der: Uint8Array }[], { bundles, crl = '', as = 'client', now = NOW }: Trusting): string {
  const pems = Object.entries(bundles).map(([domain, roots]) => [domain, roots.map(({ pem }) => pem).join('')] as const);
  const result = peerVerifier().verify(
    chain.map(({ der }) => der),
    { bundles: new Map(pems), crl },
    as,
    now,
  );
  return result.ok ? result.principal.uri : result.reason;
}
