import type { ResourceOf } from '../kinds/index.ts';
import type { ServicePort, Settings, Workload } from '../model.ts';
import { covers, overlap } from './hosts.ts';
import type { KnownService } from './known-service.ts';
import { byAge, labelOf } from './order.ts';
import { selects } from './visibility.ts';

type Sidecar = ResourceOf<'Sidecar'>;
type Egress = Sidecar['spec']['egress'][number];

/** A service a client may address by its names, on these ports. */
export interface Addressable {
  readonly known: KnownService;
  readonly ports: readonly ServicePort[];
}

/** What a workload sees of the mesh, once exportTo and its Sidecar are applied. */
export interface Scope {
  readonly addressable: readonly Addressable[];
  /**
   * The service a destination means. A Sidecar narrows what a client may address, not where an imported rule may send
   * it: whatever is exported to the workload can be reached (Istio sidecar.go adds destinations of imported rules).
   */
  destination(host: string): KnownService | undefined;
  /** Do the rules of a VirtualService of this namespace and these hosts reach calls on a port? null: on any. */
  imports(namespace: string, hosts: readonly string[], port: number | null): boolean;
  /** What the Sidecar says about unknown hosts, if anything. */
  readonly outboundTrafficPolicy: Settings['outboundTrafficPolicy'] | undefined;
  /** `Sidecar ns/name`, or null if none holds. */
  readonly sidecar: string | null;
}

/**
 * The Sidecar that holds for a workload: one of its namespace that selects it, else one of its namespace for all, else
 * one of the root namespace for all. Of several the oldest.
 */
export function sidecarFor(sidecars: readonly Sidecar[], workload: Workload, rootNamespace: string): Sidecar | undefined {
  const byAgeAll = sidecars.toSorted((a, b) => byAge(a.metadata, b.metadata));
  const home = byAgeAll.filter(({ metadata }) => metadata.namespace === workload.namespace);
  return (
    home.find(({ spec }) => spec.workloadSelector !== undefined && selects(spec.workloadSelector.labels, workload.labels)) ??
    home.find(({ spec }) => spec.workloadSelector === undefined) ??
    byAgeAll.find(({ spec, metadata }) => spec.workloadSelector === undefined && metadata.namespace === rootNamespace)
  );
}

/** `visible` as services.ts gives it: by host, who answers first in each list. */
export function scopeOf(sidecar: Sidecar | undefined, visible: ReadonlyMap<string, readonly KnownService[]>, workload: Workload): Scope {
  const listeners = listenersOf(sidecar, workload.namespace);
  const explicit = new Map(listeners.filter(({ port }) => port !== undefined).map((listener) => [listener.port, listener]));
  const catchAll = listeners.find(({ port }) => port === undefined);
  const at = (port: number): Listener | undefined => explicit.get(port) ?? catchAll;

  const addressable: Addressable[] = [];
  const imported = new Map<string, KnownService>();
  for (const [host, candidates] of visible) {
    const listened = listeners.length === 1 && catchAll !== undefined ? [catchAll] : listeners;
    const known = candidates.find((one) => listened.some((listener) => importsService(listener, one)));
    if (known === undefined) continue;
    imported.set(host, known);
    const ports = known.service.ports.filter(({ number }) => {
      const listener = at(number);
      return listener !== undefined && importsService(listener, known);
    });
    addressable.push({ known, ports });
  }
  return {
    addressable,
    destination: (host) => imported.get(host) ?? visible.get(host)?.[0],
    imports: (namespace, hosts, port) => {
      const asked = port === null ? listeners : [at(port)];
      return asked.some((listener) => listener !== undefined && hosts.some((host) => importsRule(listener, namespace, host)));
    },
    outboundTrafficPolicy: sidecar?.spec.outboundTrafficPolicy?.mode,
    sidecar: sidecar === undefined ? null : labelOf(sidecar),
  };
}

interface Pattern {
  /** `*`: every namespace. */
  readonly namespace: string;
  readonly host: string;
}

/** What calls on a port (undefined: on all other ports) may see. */
interface Listener {
  readonly port: number | undefined;
  readonly seen: readonly Pattern[];
  /** `~ns/host` takes away from what is seen. */
  readonly hidden: readonly Pattern[];
}

// Without a Sidecar, or with one that says nothing on egress, a workload sees all that is exported to it.
const EVERYTHING: readonly Listener[] = [{ port: undefined, seen: [{ namespace: '*', host: '*' }], hidden: [] }];

const listenersOf = (sidecar: Sidecar | undefined, namespace: string): readonly Listener[] =>
  sidecar === undefined || sidecar.spec.egress.length === 0
    ? EVERYTHING
    : sidecar.spec.egress.map((egress) => listenerOf(egress, namespace));

function listenerOf({ port, hosts }: Egress, own: string): Listener {
  const seen: Pattern[] = [];
  const hidden: Pattern[] = [];
  for (const text of hosts) {
    const slash = text.indexOf('/');
    const namespace = text.slice(0, slash);
    const host = text.slice(slash + 1).toLowerCase();
    if (namespace === '~') continue;
    const taken = namespace.startsWith('~');
    const name = taken ? namespace.slice(1) : namespace;
    (taken ? hidden : seen).push({ namespace: name === '.' ? own : name, host });
  }
  return { port: port?.number, seen, hidden };
}

const names = (pattern: Pattern, namespace: string): boolean => pattern.namespace === '*' || pattern.namespace === namespace;

function importsService({ seen, hidden }: Listener, { service }: KnownService): boolean {
  const fits = (pattern: Pattern): boolean => names(pattern, service.namespace) && covers(pattern.host, service.host);
  return seen.some(fits) && !hidden.some(fits);
}

// A rule for *.example.com matters to who sees a.example.com, and the other way round.
const importsRule = ({ seen, hidden }: Listener, namespace: string, host: string): boolean =>
  seen.some((pattern) => names(pattern, namespace) && overlap(pattern.host, host)) &&
  !hidden.some((pattern) => names(pattern, namespace) && covers(pattern.host, host));
