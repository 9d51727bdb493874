export { type CertificateFiles, fileCertificates, type FileCertificatesOptions, findCertificates } from './certificates/files.ts';
export { type MadeIdentity, type Material, toIdentity } from './certificates/identity.ts';
export { workloadApi, type WorkloadApiOptions } from './certificates/workload-api/source.ts';
export { tokenVerifiers, type TokenVerifiersOptions } from './jwt/verifiers.ts';
export { type HopTokenSigner, hopTokenSigner } from './hop/signer.ts';
export { HOP_HEADER } from '@inmesh/core';
export { type HopTokenVerifier, hopTokenVerifier } from './hop/verifier.ts';
export { type ParsedSpiffeId, parseSpiffeId, trustDomainProblem } from './spiffe/id.ts';
export { peerVerifier } from './verify/verifier.ts';
