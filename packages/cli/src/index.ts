export { initDevCa, type InitDevCaArgs, issueFromDevCa, type IssueFromDevCaArgs } from './dev-ca/run.ts';
export { Exit } from './exit.ts';
export { type ExplainArgs, explain } from './explain.ts';
export { explainInbound, type ExplainInboundArgs } from './explain-inbound.ts';
export type { Io, Sink } from './io.ts';
export { run } from './program.ts';
export { type RegistryArgs, runRegistry } from './registry/run.ts';
export { exportSlo, type ExportSloArgs } from './slo/run.ts';
export { validate, type ValidateArgs } from './validate.ts';
