export { type ConnectionPlan, type KeptWire, keptWire, planConnection, tlsOf } from './connection-plan.ts';
export type { Credentials, HopTokens } from './credentials.ts';
export { chainOf, checkServer, contextOf, type MutualPlan } from './mutual.ts';
export { tlsOptions, type TlsPlan } from './tls.ts';
