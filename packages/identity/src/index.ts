export { type MadeIdentity, type Material, toIdentity } from './certificates/identity.ts';
export { type ParsedSpiffeId, parseSpiffeId, trustDomainProblem } from './spiffe/id.ts';
export { peerVerifier } from './verify/verifier.ts';
