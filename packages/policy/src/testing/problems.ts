import { expect } from 'vitest';
import type { Document } from '../document.ts';
import { parse } from '../parse/index.ts';
import type { Problem } from '../problem.ts';

/** For tests: all problems of a YAML or JSON text, also those of a sound document. */
export function problemsOf(...texts: readonly string[]): readonly Problem[] {
  const parsed = parse(texts.map((text, index) => ({ file: `file-${index}.yaml`, text })));
  return parsed.ok ? parsed.document.problems : parsed.problems;
}

/** For tests: the document, which must be sound. */
export function documentOf(...texts: readonly string[]): Document {
  const parsed = parse(texts.map((text, index) => ({ file: `file-${index}.yaml`, text })));
  if (!parsed.ok) expect.fail(parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('\n'));
  return parsed.document;
}

const GROUPS: Readonly<Record<string, string>> = {
  HTTPRoute: 'gateway.networking.k8s.io/v1',
  GRPCRoute: 'gateway.networking.k8s.io/v1',
  TCPRoute: 'gateway.networking.k8s.io/v1alpha2',
  TLSRoute: 'gateway.networking.k8s.io/v1alpha2',
  BackendTLSPolicy: 'gateway.networking.k8s.io/v1',
  ReferenceGrant: 'gateway.networking.k8s.io/v1beta1',
  PeerAuthentication: 'security.istio.io/v1',
  RequestAuthentication: 'security.istio.io/v1',
  AuthorizationPolicy: 'security.istio.io/v1',
  Telemetry: 'telemetry.istio.io/v1',
  MeshConfig: 'inmesh.dev/v1',
  HedgePolicy: 'inmesh.dev/v1',
  ServiceLevelObjective: 'inmesh.dev/v1',
  Service: 'v1',
  Pod: 'v1',
  Node: 'v1',
  ConfigMap: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
};

/** For tests: a resource with this spec, as JSON text. */
export const resource = (kind: string, spec: unknown, metadata: object = {}): string =>
  JSON.stringify({ apiVersion: GROUPS[kind] ?? 'networking.istio.io/v1', kind, metadata: { name: 'it', ...metadata }, spec });

/** One row of a table of rules: what is wrong, and where it must be reported. `null` for what must be accepted without a word. */
export type Row = readonly [name: string, spec: unknown, path: string | null, message?: RegExp, severity?: Problem['severity']];

/** Rows as vitest's `it.each` names them. */
export const named = (rows: readonly Row[]) => rows.map((row) => ({ name: row[0], row }));

/** Judges a row: exactly one problem at the path, of the severity; or none at all. */
export function judge(kind: string, [, spec, path, message = /./, severity = 'error']: Row, metadata: object = {}): void {
  const problems = problemsOf(resource(kind, spec, metadata));
  const told = problems.map((problem) => `${problem.severity} ${problem.path}: ${problem.message}`).join('\n');
  if (path === null) {
    expect(told).toBe('');
    return;
  }
  const here = problems.filter((problem) => problem.path === path && problem.severity === severity && message.test(problem.message));
  expect(here, `expected ${severity} ${path} ${message}, found:\n${told}`).toHaveLength(1);
  expect(
    problems.filter((problem) => problem.severity === 'error'),
    told,
  ).toHaveLength(severity === 'error' ? 1 : 0);
}
