import * as v from 'valibot';
import { defaulted, list, optional, text } from '../schema/fields.ts';
import { oneOf, regexFault } from '../schema/scalars.ts';
import { gatewayApiKind, type Check } from './kind.ts';
import {
  checkBackend,
  checkFilters,
  checkParents,
  checkSession,
  grpcBackendRefs,
  grpcFilters,
  hostnames,
  httpHeaderMatches,
  parentRefs,
  sessionPersistence,
} from './parts/gateway-api.ts';

const rule = v.object({
  name: text('Name of the rule in logs, metrics and explain.', { honoured: 'G' }),
  matches: list(
    v.object({
      method: optional(
        v.object({
          type: defaulted(oneOf('Exact', 'RegularExpression'), 'Exact', 'How service and method are compared.', { honoured: 'G' }),
          service: text('Full name of the service, such as shop.Ratings.', { default: 'any', honoured: 'G' }),
          method: text('Name of the method.', { default: 'any', honoured: 'G' }),
        }),
        'The method called.',
        { default: 'any', honoured: 'G' },
      ),
      headers: httpHeaderMatches,
    }),
    'Alternatives; within one all conditions must hold. Empty: every call.',
    { honoured: 'G' },
  ),
  filters: grpcFilters,
  backendRefs: grpcBackendRefs,
  sessionPersistence,
});

const schema = v.object({
  parentRefs,
  useDefaultGateways: text('Attach to default gateways.', { notHonoured: 'nothing plays the gateway' }),
  hostnames,
  rules: list(rule, 'Rules of the route.', { honoured: 'G' }),
});

export type GRPCRouteSpec = v.InferOutput<typeof schema>;

const NAME = { service: /^(?:[A-Za-z_][A-Za-z_0-9]*)(?:\.[A-Za-z_][A-Za-z_0-9]*)*$/, method: /^[A-Za-z_][A-Za-z_0-9]*$/ } as const;

const rules: Check<GRPCRouteSpec> = (spec, report) => {
  checkParents(spec.parentRefs, report);
  const all = spec.rules ?? [];
  if (all.length > 16) report.error(['rules'], 'holds more than 16 rules', 'use several resources');
  const names = new Set<string>();
  for (const [index, entry] of all.entries()) {
    if (entry === undefined) continue;
    const at = ['rules', index];
    if (entry.name !== undefined && names.size === names.add(entry.name).size)
      report.error([...at, 'name'], `rule name "${entry.name}" is used twice`, 'rename one');
    if ((entry.matches?.length ?? 0) > 64) report.error([...at, 'matches'], 'holds more than 64 matches', 'leave some out');
    for (const [matchIndex, one] of (entry.matches ?? []).entries()) {
      const where = [...at, 'matches', matchIndex];
      const { method } = one ?? {};
      if (method !== undefined && method.service === undefined && method.method === undefined)
        report.error(
          [...where, 'method', 'service'],
          'the method match names neither service nor method',
          'add one of them, or remove the match',
        );
      for (const part of ['service', 'method'] as const) {
        const value = method?.[part];
        if (value === undefined) continue;
        if (method?.type === 'RegularExpression') {
          const fault = regexFault(value);
          if (fault !== undefined) report.error([...where, 'method', part], fault);
        } else if (method?.type === 'Exact' && !NAME[part].test(value))
          report.error([...where, 'method', part], `"${value}" is not the name of a ${part}`);
      }
      for (const [headerIndex, header] of (one?.headers ?? []).entries()) {
        const fault = header?.type === 'RegularExpression' && header.value !== undefined ? regexFault(header.value) : undefined;
        if (fault !== undefined) report.error([...where, 'headers', headerIndex, 'value'], fault);
      }
    }
    checkFilters(entry.filters, [...at, 'filters'], report);
    if ((entry.backendRefs?.length ?? 0) > 16) report.error([...at, 'backendRefs'], 'holds more than 16 backendRefs', 'leave some out');
    for (const [backendIndex, backend] of (entry.backendRefs ?? []).entries()) {
      checkBackend(backend, [...at, 'backendRefs', backendIndex], report);
      checkFilters(backend?.filters, [...at, 'backendRefs', backendIndex, 'filters'], report);
    }
    checkSession(entry.sessionPersistence, [...at, 'sessionPersistence'], report);
  }
};

/** Routes of the Gateway API for gRPC; for callers in the mesh its parent is a Service. */
export const grpcRoute = gatewayApiKind({
  kind: 'GRPCRoute',
  summary: 'Where gRPC calls to a Service go: matching by service and method, splits, mirrors, headers.',
  schema,
  checks: [rules],
});
