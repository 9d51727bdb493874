import type { CertificateSource } from '@inmesh/core';
import { toIdentity } from '../certificates/identity.ts';
import type { DevCa, DevSvidRequest } from './ca.ts';

export interface DevCertificatesOptions extends DevSvidRequest {
  /** Other names of the trust domain: whoever has one of them is verified against the same roots. */
  readonly aliases?: readonly string[];
  /** Federated trust domain → PEM of its roots. */
  readonly bundles?: Readonly<Record<string, string>>;
}

/** As Istio's agent: at half the lifetime, a hundredth earlier or later. */
const RENEW_AT = 0.5;
const JITTER = 0.01;
const RETRY_MS = 5000;

/** A development CA as the source of a workload's certificate: renewed at half its life, and at each step of an exchange of roots. */
export function devCertificates(ca: DevCa, { aliases = [], bundles = {}, ...request }: DevCertificatesOptions): CertificateSource {
  return {
    name: `development CA of ${ca.trustDomain}`,
    watch: (onChange, { clock, random }) => {
      let timer: ReturnType<typeof clock.after> | undefined;
      const renew = (): void => {
        timer?.cancel();
        const now = clock.wall();
        let wait = RETRY_MS;
        try {
          const made = toIdentity({ ...ca.issue(request), roots: ca.roots, aliases, bundles: new Map(Object.entries(bundles)) }, now);
          if (made.ok) {
            wait = (made.identity.expiresAt - now) * (RENEW_AT + JITTER * (2 * random() - 1));
            onChange({ state: 'ready', identity: made.identity });
          } else onChange({ state: 'failed', reason: made.reason });
        } catch (error) {
          onChange({ state: 'failed', reason: (error as Error).message });
        }
        timer = clock.after(wait, renew);
      };
      const watch = ca.watch(renew);
      renew();
      return {
        close: () => {
          watch.close();
          timer?.cancel();
        },
      };
    },
  };
}
