import type { InboundModel } from '../inbound.ts';

/** What a document demands that says nothing of callers: everybody may call, in plaintext or by mutual TLS (Istio's defaults). */
export const OPEN: InboundModel = {
  mtls: { mode: 'PERMISSIVE', ports: {}, resources: [] },
  jwt: [],
  authorization: [],
  cors: [],
  trustedHops: 0,
};
