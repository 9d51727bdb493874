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
const known = (...values: (string | undefined)[]): string =>
  values.find((value) => value !== undefined && value !== '' && value !== 'unknown') ?? '';

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
  /** Places by what they prove to be; several versions of a service may share an account. */
  readonly #byPrincipal = new Groups();
  /** Places by the service they answer for. */
  readonly #byHost = new Groups();
  /** Places by `namespace/name`, of service and of workload: most accounts are called as what runs under them. */
  readonly #byName = new Groups();

  constructor(samples: readonly Sample[]) {
    for (const { labels } of samples) {
      const side = labels['reporter'] === 'source' ? 'source' : 'destination';
      const own = side === 'source' ? this.caller(labels) : calleeByName(labels);
      if (own === undefined) continue;
      this.#byPrincipal.add(known(labels[`${side}_principal`]), own);
      this.#byName.add(`${own.namespace}/${own.service}`, own);
      this.#byName.add(`${own.namespace}/${known(labels[`${side}_workload`])}`, own);
      if (side === 'destination') this.#byHost.add(known(labels['destination_service']), own);
    }
  }

  /** undefined: it is not named. */
  caller(labels: Labels): Place | undefined {
    const name = known(labels['source_canonical_service'], labels['source_workload']);
    if (name === '') return undefined;
    return place('workload', known(labels['source_workload_namespace']), name, known(labels['source_canonical_revision']) || 'latest');
  }

  /** Who may have proved to be `principal`; of somebody nobody knows, what its name says. Nothing proved is nobody known. */
  provers(principal: string): readonly Place[] {
    if (principal === '') return [place('unknown', '', 'unknown')];
    const [, namespace = '', account = principal] = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(principal) ?? [];
    const named = [...this.#byPrincipal.of(principal), ...this.#byName.of(`${namespace}/${account}`)];
    return named.length > 0 ? named : [place('workload', namespace, account, 'latest')];
  }

  callee(labels: Labels): Place {
    const service = known(labels['destination_service_name'], labels['destination_service']);
    if (OUTSIDE.has(service)) return place('outside', '', service);
    const named = calleeByName(labels);
    if (named !== undefined) return named;
    const namespace = known(labels['destination_service_namespace']);
    if ((labels['response_flags'] ?? '-') !== '-' && labels['reporter'] === 'source') return place('unreached', namespace, service);
    const [only, second] = this.#byHost.of(known(labels['destination_service']));
    return only !== undefined && second === undefined ? only : place('service', namespace, service === '' ? 'unknown' : service);
  }
}

class Groups {
  readonly #groups = new Map<string, Map<string, Place>>();

  add(key: string, one: Place): void {
    if (key === '') return;
    const group = this.#groups.get(key) ?? new Map<string, Place>();
    this.#groups.set(key, group.set(one.id, one));
  }

  of(key: string): readonly Place[] {
    return [...(this.#groups.get(key)?.values() ?? [])];
  }
}

function calleeByName(labels: Labels): Place | undefined {
  const name = known(labels['destination_canonical_service'], labels['destination_workload']);
  if (name === '') return undefined;
  const namespace = known(labels['destination_workload_namespace'], labels['destination_service_namespace']);
  return place('workload', namespace, name, known(labels['destination_canonical_revision']) || 'latest');
}

/** What a callee knows of its caller by its certificate; '' if it has shown none. */
export const principalOf = (labels: Labels): string => known(labels['source_principal']);
