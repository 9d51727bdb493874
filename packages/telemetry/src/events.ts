import type { Clock, MeshEvent } from '@inmesh/core';
import { Family, head, sample } from './exposition.ts';

/** What the rare things of the mesh are counted as: metrics of our own, where Istio's proxies have Envoy's cluster stats. */
export class EventMetrics {
  readonly #clock: Clock;
  readonly #retries: Family;
  readonly #hedges: Family;
  readonly #overflows: Family;
  readonly #ejections: Family;
  readonly #ejected: Family;
  readonly #panic: Family;
  readonly #endpoints: Family;
  readonly #lookupFailures: Family;
  readonly #policy: Family;
  readonly #applied: Family;
  readonly #rejected: Family;
  readonly #source: Family;
  readonly #rotations: Family;
  readonly #expiry: Family;
  readonly #identityFailures: Family;
  readonly #keys: Family;
  readonly #keyFailures: Family;
  readonly #families: Family[] = [];
  /** Addresses out of rotation by cluster: told twice, they still count once. */
  readonly #out = new Map<string, Set<string>>();
  #appliedAt: number | undefined;

  /** `limit`: label sets per metric. */
  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    const family = (name: string, type: 'counter' | 'gauge', help: string): Family => {
      const made = new Family(name, type, help, limit);
      this.#families.push(made);
      return made;
    };
    this.#retries = family('inmesh_retries_total', 'counter', 'Attempts made again, by cluster and by what the attempt before came to.');
    this.#hedges = family('inmesh_hedges_total', 'counter', 'Attempts sent beside one under way, by cluster and reason: slow, or failed.');
    this.#overflows = family('inmesh_overflow_total', 'counter', 'Calls refused because a limit of their cluster was reached, by limit.');
    this.#ejections = family('inmesh_ejections_total', 'counter', 'Endpoints taken out of rotation by outlier detection.');
    this.#ejected = family('inmesh_ejections_active', 'gauge', 'Endpoints out of rotation now.');
    this.#panic = family('inmesh_panic', 'gauge', '1 while so few endpoints of a cluster are healthy that all are used.');
    this.#endpoints = family('inmesh_endpoints', 'gauge', 'Known endpoints of a cluster.');
    this.#lookupFailures = family('inmesh_endpoint_failures_total', 'counter', 'Failed look-ups of endpoints; the last list stays in use.');
    this.#policy = family('inmesh_policy_info', 'gauge', '1, with the version of the policy in force.');
    this.#applied = family('inmesh_policy_applied_total', 'counter', 'Policies put in force.');
    this.#rejected = family('inmesh_policy_rejected_total', 'counter', 'Policies refused; the one before stays in force.');
    this.#source = family('inmesh_policy_source_up', 'gauge', '1 while the source of the policy answers.');
    this.#rotations = family('inmesh_identity_rotations_total', 'counter', 'Certificates taken into use.');
    this.#expiry = family('inmesh_identity_expiry_timestamp_seconds', 'gauge', 'When the certificate in use expires.');
    this.#identityFailures = family(
      'inmesh_identity_failures_total',
      'counter',
      'Certificates that could not be had; the last one stays in use.',
    );
    this.#keys = family('inmesh_jwt_keys', 'gauge', 'Usable keys of an issuer of tokens.');
    this.#keyFailures = family(
      'inmesh_jwt_key_failures_total',
      'counter',
      'Keys of issuers that could not be had; the last ones stay in use.',
    );
    // Counters one alerts on exist from the start, or their first increase would not be seen.
    this.#applied.add({}, 0);
    this.#rejected.add({}, 0);
  }

  event(event: MeshEvent): void {
    switch (event.type) {
      case 'call.retried':
        return this.#retries.add({ cluster: event.cluster, reason: /^[\w .-]{1,40}$/.test(event.reason) ? event.reason : 'other' });
      case 'call.hedged':
        return this.#hedges.add({ cluster: event.cluster, reason: event.reason });
      case 'call.overflow':
        return this.#overflows.add({ cluster: event.cluster, limit: event.limit });
      case 'endpoint.ejected':
        this.#ejections.add({ cluster: event.cluster });
        return this.#move(event.cluster, (out) => out.add(event.address));
      case 'endpoint.returned':
        return this.#move(event.cluster, (out) => out.delete(event.address));
      case 'endpoints.changed':
        return this.#endpoints.set({ cluster: event.cluster }, event.total);
      case 'endpoints.failed':
        return this.#lookupFailures.add({ cluster: event.cluster });
      case 'cluster.panic':
        return this.#panic.set({ cluster: event.cluster }, event.active ? 1 : 0);
      case 'policy.applied':
        this.#appliedAt = this.#clock.now();
        this.#applied.add({});
        return this.#policy.only({ version: event.version }, 1);
      case 'policy.rejected':
        return this.#rejected.add({});
      case 'policy.source':
        return this.#source.set({}, event.state === 'ok' ? 1 : 0);
      case 'identity.changed':
        this.#rotations.add({});
        return this.#expiry.only({ principal: event.principal }, event.expiresAt / 1000);
      case 'identity.failed':
        return this.#identityFailures.add({});
      case 'keys.changed':
        return this.#keys.set({ source: event.source }, event.total);
      case 'keys.failed':
        return this.#keyFailures.add({ source: event.source });
      case 'slo.burning':
      case 'slo.recovered':
        // inmesh_slo_burn_rate tells it.
        return;
      default:
        // A kind of a later version: nothing of ours to count.
        return event satisfies never;
    }
  }

  #move(cluster: string, change: (out: Set<string>) => void): void {
    const out = this.#out.get(cluster) ?? new Set();
    change(out);
    if (out.size === 0) this.#out.delete(cluster);
    else this.#out.set(cluster, out);
    this.#ejected.set({ cluster }, out.size);
  }

  text(): string {
    const text = this.#families.map((family) => family.text()).join('');
    if (this.#appliedAt === undefined) return text;
    const age = (this.#clock.now() - this.#appliedAt) / 1000;
    return `${text}${head('inmesh_policy_age_seconds', 'gauge', 'Seconds since the policy in force was applied.')}${sample('inmesh_policy_age_seconds', '', age)}`;
  }
}
