import type { Labels, Sample } from './sample.ts';

/** A box of the graph. */
export interface Place {
  readonly id: string;
  /**
   * `workload`: a canonical service and its revision; `service`: what was called, where nobody says who answered; `unreached`: calls
   * that got to no endpoint of a service; `outside`: hosts no registry knows; `unknown`: callers that prove nothing.
   */
  readonly kind: 'workload' | 'service' | 'unreached' | 'outside' | 'unknown';
  readonly namespace: string;
  /** Canonical name. */
  readonly service: string;
  /** '' where there is none. */
  readonly revision: string;
}

const OUTSIDE: ReadonlySet<string> = new Set(['PassthroughCluster', 'BlackHoleCluster', 'InboundPassthroughCluster']);
const known = (...values: (string | undefined)[]): string => values.find((value) => value !== undefined && value !== '' && value !== 'unknown') ?? '';

const place = (kind: Place['kind'], namespace: string, service: string, revision = ''): Place => ({
  id: [kind, namespace, service, revision].join('|'),
  kind,
  namespace,
  service,
  revision,
});

/**
 * Who is who in the labels of both reporters. A caller tells its own name and, of whom it called, what its registry knows; a
 * callee tells its own name and, of its caller, what the certificate proves. Together they are one graph.
 */
export class Identities {
  readonly #byPrincipal = new Map<string, Place>();
  readonly #byHost = new Map<string, Map<string, Place>>();

  constructor(samples: readonly Sample[]) {
    // Two processes may differ in what they call a service by; what it says of itself goes first.
    for (const { labels } of samples) {
      const own = labels['reporter'] === 'source' ? this.#callerByName(labels) : this.#calleeByName(labels);
      const principal = known(labels[labels['reporter'] === 'source' ? 'source_principal' : 'destination_principal']);
      if (own !== undefined && principal !== '') this.#byPrincipal.set(principal, own);
      if (own !== undefined && labels['reporter'] !== 'source') this.#serves(known(labels['destination_service']), own);
    }
  }

  caller(labels: Labels): Place {
    const named = this.#callerByName(labels);
    if (named !== undefined) return named;
    const principal = known(labels['source_principal']);
    if (principal === '') return place('unknown', '', 'unknown');
    const found = this.#byPrincipal.get(principal);
    if (found !== undefined) return found;
    // Its service account is all that is known of it: most workloads have one of their own.
    const [, namespace = '', account = principal] = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(principal) ?? [];
    return place('workload', namespace, account, 'latest');
  }

  callee(labels: Labels): Place {
    const service = known(labels['destination_service_name'], labels['destination_service']);
    if (OUTSIDE.has(service)) return place('outside', '', service);
    const named = this.#calleeByName(labels);
    if (named !== undefined) return named;
    const namespace = known(labels['destination_service_namespace']);
    if ((labels['response_flags'] ?? '-') !== '-' && labels['reporter'] === 'source') return place('unreached', namespace, service);
    const candidates = [...(this.#byHost.get(known(labels['destination_service']))?.values() ?? [])];
    return candidates.length === 1 ? candidates[0]! : place('service', namespace, service === '' ? 'unknown' : service);
  }

  #serves(host: string, own: Place): void {
    if (host === '') return;
    const places = this.#byHost.get(host) ?? new Map<string, Place>();
    this.#byHost.set(host, places.set(own.id, own));
  }

  #callerByName(labels: Labels): Place | undefined {
    const name = known(labels['source_canonical_service'], labels['source_workload']);
    if (name === '') return undefined;
    return place('workload', known(labels['source_workload_namespace']), name, known(labels['source_canonical_revision']) || 'latest');
  }

  #calleeByName(labels: Labels): Place | undefined {
    const name = known(labels['destination_canonical_service'], labels['destination_workload']);
    if (name === '') return undefined;
    const namespace = known(labels['destination_workload_namespace'], labels['destination_service_namespace']);
    return place('workload', namespace, name, known(labels['destination_canonical_revision']) || 'latest');
  }
}
