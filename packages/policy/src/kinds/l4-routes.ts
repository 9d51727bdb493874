import * as v from 'valibot';
import { filled, text } from '../schema/fields.ts';
import { gatewayApiKind, type Check } from './kind.ts';
import { checkBackend, checkParents, hostnames, l4BackendRefs, parentRefs } from './parts/gateway-api.ts';

const rules = filled(v.object({ name: text('Name of the rule.'), backendRefs: l4BackendRefs }), 'Rules of the route.');

const tcpSchema = v.object({ parentRefs, useDefaultGateways: text('Attach to default gateways.'), rules });
const tlsSchema = v.object({ parentRefs, useDefaultGateways: text('Attach to default gateways.'), hostnames, rules });

export type TCPRouteSpec = v.InferOutput<typeof tcpSchema>;

const backends: Check<TCPRouteSpec> = (spec, report) => {
  checkParents(spec.parentRefs, report);
  for (const [index, rule] of (spec.rules ?? []).entries())
    for (const [at, backend] of (rule?.backendRefs ?? []).entries()) checkBackend(backend, ['rules', index, 'backendRefs', at], report);
};

const notHonoured = 'raw TCP and TLS connections are not routed by it yet';

/** Routes of the Gateway API for TCP. */
export const tcpRoute = gatewayApiKind({
  kind: 'TCPRoute',
  summary: 'Where TCP connections to a Service go.',
  schema: tcpSchema,
  checks: [backends],
  notHonoured,
});

/** Routes of the Gateway API for TLS by server name. */
export const tlsRoute = gatewayApiKind({
  kind: 'TLSRoute',
  summary: 'Where TLS connections to a Service go, by server name.',
  schema: tlsSchema,
  checks: [backends],
  notHonoured,
});
