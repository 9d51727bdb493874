import type { HeaderOp } from '../model.ts';
import { compareText } from './order.ts';

/** Header operations of one stage, as Istio and the Gateway API both write them. */
export interface HeaderOperations {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** What one scope (a route, or a destination of it) does to headers. */
export interface HeaderEdits {
  readonly request?: HeaderOperations | undefined;
  readonly response?: HeaderOperations | undefined;
}

const NO_OPS: readonly HeaderOp[] = [];
const AUTHORITY = new Set(['host', 'authority', ':authority']);

// Envoy refuses changes of pseudo headers and of host by header operations; Istio leaves them out.
const editable = (name: string): boolean => !name.startsWith(':') && !AUTHORITY.has(name);

const removals = ({ remove }: HeaderOperations): HeaderOp[] =>
  remove.map((name) => name.toLowerCase()).filter(editable).map((name) => ({ op: 'remove', name })); // prettier-ignore

const values = (op: 'set' | 'add', headers: Readonly<Record<string, string>>): HeaderOp[] =>
  Object.entries(headers)
    .map(([name, value]) => ({ op, name: name.toLowerCase(), value }))
    .filter(({ name }) => editable(name))
    .sort((a, b) => compareText(a.name, b.name));

const additions = (stage: HeaderOperations): HeaderOp[] => [...values('set', stage.set), ...values('add', stage.add)];

/** One scope alone: remove, then set, then add (Envoy header_parser.cc; Istio translateHeadersOperations). */
export const headerOps = (stage: HeaderOperations | undefined): readonly HeaderOp[] =>
  stage === undefined ? NO_OPS : [...removals(stage), ...additions(stage)];

/**
 * A route's and its destination's operations in the order they apply. With one destination Istio writes both into one
 * Envoy stage, the destination's behind the route's, so the destination wins; with several the destination is a stage of
 * its own before the route's, so the route wins (processDestination, processWeightedDestination).
 */
export function mergeHeaderOps(
  route: HeaderOperations | undefined,
  destination: HeaderOperations | undefined,
  single: boolean,
): readonly HeaderOp[] {
  if (route === undefined || destination === undefined) return headerOps(route ?? destination);
  return single
    ? [...removals(route), ...removals(destination), ...additions(route), ...additions(destination)]
    : [...headerOps(destination), ...headerOps(route)];
}

/** The authority a stage asks for: set or add of `host`, `authority` or `:authority` is a host rewrite, set before add. */
export function authorityOf(stage: HeaderOperations | undefined): string | null {
  if (stage === undefined) return null;
  for (const headers of [stage.set, stage.add])
    for (const name in headers) if (AUTHORITY.has(name.toLowerCase())) return headers[name] ?? null;
  return null;
}
