import type { Clock, MeshEvent } from '@inmesh/core';
import { Family, type MetricFamily, type MetricSource } from './exposition.ts';

/** What is counted of the rare things that happen to the mesh: documents, certificates, keys, hedges. Of clusters, see upstream.ts. */
export class EventMetrics implements MetricSource {
  readonly #clock: Clock;
  readonly #hedges: Family;
  readonly #applied: Family;
  readonly #rejected: Family;
  readonly #lastRejected: Family;
  readonly #rotations: Family;
  readonly #identityFailures: Family;
  readonly #keys: Family;
  readonly #keyFailures: Family;
  readonly #logLines: Family;
  readonly #families: Family[] = [];

  /** `limit`: label sets per metric. */
  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    const family = (name: string, type: 'counter' | 'gauge', help: string): Family => {
      const made = new Family(name, type, help, limit);
      this.#families.push(made);
      return made;
    };
    this.#hedges = family('inmesh_hedges_total', 'counter', 'Attempts sent beside one under way, by cluster and reason: slow, or failed.');
    this.#applied = family('inmesh_policy_applied_total', 'counter', 'Policies put in force after the first.');
    this.#rejected = family('inmesh_policy_rejected_total', 'counter', 'Policies refused; the one before stays in force.');
    this.#lastRejected = family('inmesh_policy_last_rejected_timestamp_seconds', 'gauge', 'When a policy was last refused.');
    this.#rotations = family('inmesh_identity_rotations_total', 'counter', 'Certificates taken into use.');
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
    this.#logLines = family('inmesh_access_log_dropped_total', 'counter', 'Lines of access logs that could not be written, by log.');
    // Counters one alerts on exist from the start, or their first increase would not be seen.
    this.#applied.add({}, 0);
    this.#rejected.add({}, 0);
  }

  event(event: MeshEvent): void {
    switch (event.type) {
      case 'call.hedged':
        return this.#hedges.add({ cluster: event.cluster, reason: event.reason });
      case 'policy.applied':
        return this.#applied.add({});
      case 'policy.rejected':
        this.#lastRejected.set({}, this.#clock.wall() / 1000);
        return this.#rejected.add({});
      case 'identity.changed':
        return this.#rotations.add({});
      case 'identity.failed':
        return this.#identityFailures.add({});
      case 'keys.changed':
        return this.#keys.set({ source: event.source }, event.total);
      case 'log.failed':
        return this.#logLines.add({ log: event.log }, event.dropped);
      case 'keys.failed':
        return this.#keyFailures.add({ source: event.source });
      case 'slo.burning':
      case 'slo.recovered':
        // inmesh_slo_burn_rate tells it.
        return;
      default:
      // The clusters' own statistics tell it, or a look at how things stand.
    }
  }

  families(): MetricFamily[] {
    return this.#families.map((family) => family.family());
  }
}
