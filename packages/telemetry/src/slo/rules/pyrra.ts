import type { DeclaredObjective } from '@inmesh/policy';
import { GRPC_SERVER_ERRORS } from '../outcome.ts';
import { callsTo, describe, idOf, promDuration, selectors } from './queries.ts';

/** Pyrra counts errors by one selector; the errors of HTTP and gRPC stand in different labels. */
const ERRORS = { http: 'response_code=~"5..|0"', grpc: `grpc_response_status=~"${GRPC_SERVER_ERRORS.join('|')}"` } as const;

type Protocol = keyof typeof ERRORS;

/** ServiceLevelObjectives of Pyrra (pyrra.dev/v1alpha1); of a service that speaks both HTTP and gRPC one for each. */
export function pyrraObjectives(objective: DeclaredObjective): readonly object[] {
  if (objective.indicator.kind === 'latency') {
    const { good, total } = selectors(objective);
    return [resource(objective, idOf(objective), { latency: { success: { metric: good }, total: { metric: total } } })];
  }
  const protocols = protocolsOf(objective);
  return protocols.map((protocol) => {
    const counted = `${callsTo(objective)},response_flags!="DC",grpc_response_status!="1",request_protocol="${protocol}"`;
    const [errors, total] = [`istio_requests_total{${counted},${ERRORS[protocol]}}`, `istio_requests_total{${counted}}`];
    const name = protocols.length === 1 ? idOf(objective) : `${idOf(objective)}-${protocol}`;
    return resource(objective, name, { ratio: { errors: { metric: errors }, total: { metric: total } } });
  });
}

function protocolsOf({ protocols }: DeclaredObjective): readonly Protocol[] {
  const spoken = new Set(protocols.map((protocol): Protocol => (protocol.startsWith('GRPC') ? 'grpc' : 'http')));
  // Of a service the policy does not declare nobody knows: both.
  return spoken.size === 0 ? ['http', 'grpc'] : [...spoken].toSorted().toReversed();
}

const resource = (objective: DeclaredObjective, name: string, indicator: object): object => ({
  apiVersion: 'pyrra.dev/v1alpha1',
  kind: 'ServiceLevelObjective',
  metadata: { name, namespace: objective.namespace },
  spec: { target: String(objective.objective), window: promDuration(objective.windowMs), description: describe(objective), indicator },
});
