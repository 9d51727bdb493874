export type { Credentials, HopTokens } from './credentials.ts';
export { chainOf, checkServer, contextOf, type MutualPlan, noIdentity, secureNaming, servernameOf, wantsMutual } from './mutual.ts';
export { planTls, tlsOptions, type TlsPlan } from './tls.ts';
