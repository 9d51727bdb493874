export { type ParsedSpiffeId, parseSpiffeId, trustDomainProblem } from './spiffe/id.ts';
