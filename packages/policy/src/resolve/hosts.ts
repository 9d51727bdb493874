import { compareText } from './order.ts';

/**
 * Names of hosts as rules write them, and which of two is more specific (Istio pkg/config/host/name.go,
 * pilot/pkg/model/config.go). A wildcard begins with `*` and covers any depth below its suffix, but not the suffix.
 */

export const isWildcard = (host: string): boolean => host.startsWith('*');

/**
 * The full name a rule means. A name without a dot is a Kubernetes service of the rule's namespace; all else stays,
 * `reviews.prod` included: that form is for clients only (ResolveShortnameToFQDN).
 */
export function fullName(host: string, namespace: string, domain: string): string {
  const name = host.toLowerCase();
  return name === '' || name.includes('.') || name.includes(':') || isWildcard(name) ? name : `${name}.${namespace}.svc.${domain}`;
}

/** Does `pattern` cover every name that `host` (a name or a wildcard) stands for? */
export function covers(pattern: string, host: string): boolean {
  if (!isWildcard(pattern)) return pattern === host;
  const suffix = pattern.slice(1);
  return isWildcard(host) ? host.slice(1).endsWith(suffix) : host.length > suffix.length && host.endsWith(suffix);
}

/** Is there a name that both stand for? */
export const overlap = (a: string, b: string): boolean => covers(a, b) || covers(b, a);

/** Sorts the more specific first: names before wildcards, longer wildcards before shorter, then by the alphabet. */
export const moreSpecific = (a: string, b: string): number =>
  Number(isWildcard(a)) - Number(isWildcard(b)) || (isWildcard(a) ? b.length - a.length : 0) || compareText(a, b);

/** Things by host, looked up by the most specific host that covers a name: no scan over all of them. */
export class HostIndex<T> {
  readonly #exact = new Map<string, T>();
  readonly #wild = new Map<string, T>();
  /** Lengths of the wildcards there are, longest first. */
  #lengths: readonly number[] = [];

  /** Of several things for one host the caller decides: `join` gets what is there. */
  add(host: string, value: T, join: (present: T, added: T) => T): void {
    const map = isWildcard(host) ? this.#wild : this.#exact;
    const present = map.get(host);
    map.set(host, present === undefined ? value : join(present, value));
    if (present === undefined && isWildcard(host) && !this.#lengths.includes(host.length))
      this.#lengths = [...this.#lengths, host.length].sort((a, b) => b - a);
  }

  /** What stands for exactly this host. */
  get(host: string): T | undefined {
    return (isWildcard(host) ? this.#wild : this.#exact).get(host);
  }

  /** What stands for `host` most specifically. */
  mostSpecific(host: string): T | undefined {
    const exact = this.get(host);
    if (exact !== undefined) return exact;
    for (const wildcard of this.#covering(host)) return this.#wild.get(wildcard);
    return undefined;
  }

  /** Every wildcard here that covers `host`. */
  *#covering(host: string): Generator<string> {
    const name = isWildcard(host) ? host.slice(1) : host;
    for (const length of this.#lengths) {
      const suffix = length - 1;
      if (suffix > name.length) continue;
      const wildcard = `*${name.slice(name.length - suffix)}`;
      if (this.#wild.has(wildcard)) yield wildcard;
    }
  }

  coveringWildcards(host: string): Iterable<string> {
    return this.#covering(host);
  }

  *entries(): Generator<readonly [string, T]> {
    yield* this.#exact;
    yield* this.#wild;
  }
}

/**
 * The forms under which a client may write a host, the full name first (Istio httproute.go, generateVirtualHostDomains):
 * with a trailing dot, and for a service of our own cluster `svc.ns`, `svc.ns.svc` and, from the same namespace, `svc`.
 * Ports are not part of them. `pods` adds `*.` of each: the pods of a headless service.
 */
export function clientForms(host: string, namespace: string, domain: string, pods: boolean): readonly string[] {
  const forms = [host, `${host}.`];
  const inCluster = `.svc.${domain}`;
  if (host.endsWith(inCluster) && !isWildcard(host)) {
    const short = host.slice(0, -inCluster.length);
    const dot = short.indexOf('.');
    if (dot > 0) {
      if (short.slice(dot + 1) === namespace) forms.push(short.slice(0, dot));
      forms.push(short, `${short}.svc`);
    }
  }
  return pods ? [...forms, ...forms.map((form) => `*.${form}`)] : forms;
}
