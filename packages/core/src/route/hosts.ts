/** Names and port under which a value is addressed; port null = any. Domains are lower-case, exact or `*.suffix`. */
export interface Addressed<V> {
  readonly domains: readonly string[];
  readonly port: number | null;
  readonly value: V;
}

interface Ports<V> {
  any: V | undefined;
  readonly by: Map<number, V>;
}

/**
 * Which virtual host is meant by a host and port: an exact name before a wildcard, the longest wildcard first
 * (`*.foo.com` holds any depth below foo.com, not foo.com itself), and for one name its own port before "any port".
 * Of two that claim the same name and port the first stays. A look-up costs one Map access, or one per label.
 */
export class HostTable<V> {
  readonly #exact = new Map<string, Ports<V>>();
  /** By suffix with its leading dot. */
  readonly #wild = new Map<string, Ports<V>>();

  constructor(hosts: Iterable<Addressed<V>>) {
    for (const { domains, port, value } of hosts) {
      for (const domain of domains) {
        if (domain.startsWith('*.')) add(this.#wild, domain.slice(1), port, value);
        else add(this.#exact, domain, port, value);
      }
    }
  }

  /** `host` is lower-case and without port. undefined: no policy speaks of it. */
  find(host: string, port: number): V | undefined {
    const exact = at(this.#exact, host, port);
    if (exact !== undefined || this.#wild.size === 0) return exact;
    for (let dot = host.indexOf('.', 1); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const wild = at(this.#wild, host.slice(dot), port);
      if (wild !== undefined) return wild;
    }
    return undefined;
  }

  /** Ports on which a name is known, for sentences; null stands for any. Exact names and wildcards alike. */
  portsOf(host: string): (number | null)[] {
    const found = new Set<number | null>();
    const take = (ports: Ports<V> | undefined): void => {
      if (ports === undefined) return;
      if (ports.any !== undefined) found.add(null);
      for (const port of ports.by.keys()) found.add(port);
    };
    take(this.#exact.get(host));
    for (let dot = host.indexOf('.', 1); dot >= 0; dot = host.indexOf('.', dot + 1)) take(this.#wild.get(host.slice(dot)));
    return [...found].sort((left, right) => (left ?? 0) - (right ?? 0));
  }
}

function add<V>(table: Map<string, Ports<V>>, name: string, port: number | null, value: V): void {
  let ports = table.get(name);
  if (ports === undefined) table.set(name, (ports = { any: undefined, by: new Map() }));
  if (port === null) ports.any ??= value;
  else if (!ports.by.has(port)) ports.by.set(port, value);
}

function at<V>(table: Map<string, Ports<V>>, name: string, port: number): V | undefined {
  const ports = table.get(name);
  return ports === undefined ? undefined : (ports.by.get(port) ?? ports.any);
}
