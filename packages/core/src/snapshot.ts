import type { Model } from '@inmesh/policy';
import type { Call } from './call.ts';
import type { Cluster, ClusterView } from './cluster/cluster.ts';
import { explain } from './explain.ts';
import type { Explanation, ExplainRequest } from './explanation.ts';
import type { Decision } from './inbound/authorization.ts';
import type { InboundTable } from './inbound-table.ts';
import type { LeaseScope } from './lease.ts';
import type { Peer } from './peer.ts';
import type { HostTable } from './route/hosts.ts';
import type { RouteTable } from './route/table.ts';
import type { CallCount, Routed } from './routed.ts';
import type { UpstreamView } from './upstream-stats.ts';

/** A virtual host, ready: its routes in order, and what answers when none matches. */
export interface CompiledHost {
  readonly routes: RouteTable<Routed>;
  readonly unmatched: Routed;
}

export interface SnapshotParts {
  readonly version: string;
  readonly model: Model;
  readonly hosts: HostTable<CompiledHost>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly inbound: InboundTable;
  /** Calls to hosts no virtual host is for. */
  readonly unknown: Routed;
  /** Calls after `close`, and those of others to us. */
  readonly closed: Routed;
  readonly shut: Routed;
  readonly calls: CallCount;
  readonly leases: LeaseScope;
}

export interface SnapshotView {
  readonly hosts: readonly { readonly name: string; readonly domains: readonly string[]; readonly routes: number }[];
  readonly clusters: readonly ClusterView[];
}

/** One compiled policy: immutable, served until the next is swapped in, then until its last call has ended. */
export class Snapshot {
  readonly #parts: SnapshotParts;
  #closed = false;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  get version(): string {
    return this.#parts.version;
  }

  get model(): Model {
    return this.#parts.model;
  }

  get calls(): CallCount {
    return this.#parts.calls;
  }

  find(call: Call): Routed {
    if (this.#closed) return this.#parts.closed;
    const host = this.#parts.hosts.find(call.host, call.port);
    return host === undefined ? this.#parts.unknown : (host.routes.find(call) ?? host.unmatched);
  }

  /** What becomes of a call to a port of this process. */
  receive(port: number): Routed {
    return this.#closed ? this.#parts.shut : this.#parts.inbound.receive(port);
  }

  /** May a TCP connection come in? */
  admit(peer: Peer): Decision {
    return this.#closed ? { allowed: false, rule: '' } : this.#parts.inbound.admit(peer);
  }

  get inbound(): InboundTable {
    return this.#parts.inbound;
  }

  /** Called once, when calls begin to come: hands the new settings to what was learned under earlier ones. */
  activate(): void {
    for (const cluster of this.#parts.clusters.values()) cluster.activate();
  }

  /** No call comes any more; what only this snapshot names is let go when its last call has ended, and `left` is told. */
  retire(left: () => void): void {
    this.#parts.calls.whenIdle(() => {
      this.#parts.leases.release();
      left();
    });
  }

  close(): void {
    this.#closed = true;
  }

  explain(request: ExplainRequest): Explanation {
    return explain(this.#parts.model, request, (name) => {
      const cluster = this.#parts.clusters.get(name);
      const view = cluster?.view();
      if (cluster === undefined || view === undefined) return undefined;
      // Nobody has looked yet: that is not the same as nobody being there. Of a static service the document has said it.
      const unknown = view.resolution === 'pending' && view.endpoints.length === 0 && cluster.policy.resolution !== 'static';
      return unknown ? undefined : view.endpoints.map(({ endpoint }) => endpoint);
    });
  }

  /** Statistics of the clusters that were used. */
  upstream(): readonly UpstreamView[] {
    return [...this.#parts.clusters.values()].flatMap((cluster) => cluster.upstream() ?? []);
  }

  view(): SnapshotView {
    return {
      hosts: this.#parts.model.hosts.map(({ name, domains, routes }) => ({ name, domains, routes: routes.length })),
      clusters: [...this.#parts.clusters.values()].map((cluster) => cluster.view()),
    };
  }
}
