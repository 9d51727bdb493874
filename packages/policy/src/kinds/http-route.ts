import * as v from 'valibot';
import { defaulted, documented, list, optional, required, text } from '../schema/fields.ts';
import { gepDuration, oneOf, regexFault, whole } from '../schema/scalars.ts';
import { gatewayApiKind, type Check } from './kind.ts';
import {
  checkBackend,
  checkFilters,
  checkParents,
  checkSession,
  hostnames,
  httpBackendRefs,
  httpFilters,
  httpHeaderMatches,
  parentRefs,
  sessionPersistence,
} from './parts/gateway-api.ts';

const match = v.object({
  path: v.optional(
    documented(
      v.object({
        type: defaulted(
          oneOf('Exact', 'PathPrefix', 'RegularExpression'),
          'PathPrefix',
          'How the path is compared; PathPrefix takes whole segments.',
          { honoured: 'H' },
        ),
        value: defaulted(v.pipe(v.string(), v.maxLength(1024, 'is longer than 1024 characters')), '/', 'Path to compare with.', {
          honoured: 'H',
        }),
      }),
      'Path of the call, without its query.',
      { honoured: 'H' },
    ),
    {},
  ),
  headers: httpHeaderMatches,
  queryParams: list(
    v.object({
      type: defaulted(oneOf('Exact', 'RegularExpression'), 'Exact', 'How the value is compared.', { honoured: 'H' }),
      name: required(v.string(), 'Name of the parameter.', { honoured: 'H' }),
      value: required(v.string(), 'Value, or RE2 expression over the whole value.', { honoured: 'H' }),
    }),
    'Query parameters that must match, all of them. Of entries of the same name the first counts.',
    { honoured: 'H' },
  ),
  method: optional(oneOf('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'), 'HTTP method.', {
    default: 'any',
    honoured: 'H',
  }),
});

const everything = [{}];

const rule = v.object({
  name: text('Name of the rule in logs, metrics and explain.', { honoured: 'H' }),
  matches: defaulted(
    v.pipe(v.array(match), v.maxLength(64, 'holds more than 64 matches')),
    everything,
    'Alternatives; within one all conditions must hold. The most specific match of all rules decides.',
    { default: 'every call', honoured: 'H' },
  ),
  filters: httpFilters,
  backendRefs: httpBackendRefs,
  timeouts: optional(
    v.object({
      request: optional(gepDuration, 'Time of the whole call; 0s: none.', { honoured: 'H' }),
      backendRequest: optional(gepDuration, 'Time of each try; at most request. 0s: none.', { honoured: 'H' }),
    }),
    'Times.',
    { default: 'none', honoured: 'H' },
  ),
  retry: optional(
    v.object({
      codes: list(whole(400, 599), 'Status codes to retry.', { honoured: 'H' }),
      attempts: optional(whole(1, 2_147_483_647), 'Retries beyond the first try.', { default: '2', honoured: 'H' }),
      backoff: optional(gepDuration, 'Base of the random pause before a retry.', { default: '25ms', honoured: 'H' }),
    }),
    'When and how often a failed try is repeated.',
    { honoured: 'H' },
  ),
  sessionPersistence,
});

const schema = v.object({
  parentRefs,
  useDefaultGateways: text('Attach to default gateways.', { notHonoured: 'nothing plays the gateway' }),
  hostnames,
  rules: defaulted(
    v.pipe(
      v.array(rule),
      v.minLength(1, 'is empty\nadd a rule, or remove the field'),
      v.maxLength(16, 'holds more than 16 rules\nuse several resources'),
    ),
    [{}],
    'Rules of the route.',
    { default: 'one rule that matches every call', honoured: 'H' },
  ),
});

export type HTTPRouteSpec = v.InferOutput<typeof schema>;

const PATH = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;

const MOST_MATCHES = 128;

const rules: Check<HTTPRouteSpec> = (spec, report) => {
  checkParents(spec.parentRefs, report);
  const names = new Set<string>();
  let matches = 0;
  for (const [index, entry] of (spec.rules ?? []).entries()) {
    if (entry === undefined) continue;
    const at = ['rules', index];
    if (entry.name !== undefined && names.size === names.add(entry.name).size)
      report.error([...at, 'name'], `rule name "${entry.name}" is used twice`, 'rename one');
    matches += entry.matches?.length ?? 0;

    for (const [matchIndex, one] of (entry.matches ?? []).entries()) {
      if (one === undefined) continue;
      const where = [...at, 'matches', matchIndex];
      const { type, value } = one.path ?? {};
      if (type === 'RegularExpression') {
        const fault = value === undefined ? undefined : regexFault(value);
        if (fault !== undefined) report.error([...where, 'path', 'value'], fault);
      } else if (
        type !== undefined &&
        value !== undefined &&
        (!value.startsWith('/') || /\/\/|\/\.\.?(?:\/|$)|%2f|#/i.test(value) || !PATH.test(value))
      )
        report.error([...where, 'path', 'value'], `"${value}" is not a path`, "it begins with /, and has no //, /./, /../, %2f, # or '?'");
      for (const list of ['headers', 'queryParams'] as const) {
        const conditions = one[list] ?? [];
        if (conditions.length > 16) report.error([...where, list], `holds more than 16 ${list}`, 'leave some out');
        for (const [conditionIndex, condition] of conditions.entries()) {
          if (condition?.name === '') report.error([...where, list, conditionIndex, 'name'], 'the name is empty');
          const fault = condition?.type === 'RegularExpression' && condition.value !== undefined ? regexFault(condition.value) : undefined;
          if (fault !== undefined) report.error([...where, list, conditionIndex, 'value'], fault);
        }
      }
    }

    checkFilters(entry.filters, [...at, 'filters'], report);
    const redirects = (entry.filters ?? []).some((filter) => filter?.type === 'RequestRedirect');
    if (redirects && (entry.backendRefs ?? []).length > 0)
      report.conflict([...at, 'backendRefs'], 'RequestRedirect excludes backendRefs', 'remove one of them');
    for (const [filterIndex, filter] of (entry.filters ?? []).entries())
      for (const name of ['requestRedirect', 'urlRewrite'] as const)
        if (
          filter?.[name]?.path?.type === 'ReplacePrefixMatch' &&
          !(entry.matches ?? []).every((one) => one?.path?.type === 'PathPrefix' || one?.path?.type === undefined)
        )
          report.error(
            [...at, 'filters', filterIndex, name, 'path', 'type'],
            'ReplacePrefixMatch needs PathPrefix matches',
            'use one rule for each kind of match',
          );

    const backends = entry.backendRefs ?? [];
    if (backends.length > 16) report.error([...at, 'backendRefs'], 'holds more than 16 backendRefs', 'leave some out');
    for (const [backendIndex, backend] of backends.entries()) {
      const where = [...at, 'backendRefs', backendIndex];
      checkBackend(backend, where, report);
      checkFilters(backend?.filters, [...where, 'filters'], report);
      if ((backend?.filters ?? []).some((filter) => filter?.type === 'RequestRedirect'))
        report.error([...where, 'filters'], 'RequestRedirect stands on a rule, not on a backendRef');
      for (const [filterIndex, filter] of (backend?.filters ?? []).entries())
        if (filter?.type === 'CORS')
          report.warning([...where, 'filters', filterIndex], 'CORS has no effect on a backendRef', 'put it on the rule', 'INM0302');
    }

    const { request, backendRequest } = entry.timeouts ?? {};
    if (request !== undefined && backendRequest !== undefined && request > 0 && backendRequest > request)
      report.error(
        [...at, 'timeouts', 'backendRequest'],
        'backendRequest is longer than request',
        'a try is part of the call: make it at most request',
      );
    checkSession(entry.sessionPersistence, [...at, 'sessionPersistence'], report);
  }
  if (matches > MOST_MATCHES)
    report.error(['rules'], `all rules together have ${matches} matches, more than ${MOST_MATCHES}`, 'use several resources');
};

/** Routes of the Gateway API for HTTP; for callers in the mesh its parent is a Service. */
export const httpRoute = gatewayApiKind({
  kind: 'HTTPRoute',
  summary: 'Where HTTP calls to a Service go: matching, splits, rewrites, redirects, timeouts, retries, mirrors, headers.',
  schema,
  checks: [rules],
});
