import type { Resource } from '../document.ts';
import { isKind, type KindName, type ResourceOf } from '../kinds/index.ts';
import type { ProblemCode } from '../parse/codes.ts';
import { covers, fullName } from '../resolve/hosts.ts';
import { byAge } from '../resolve/order.ts';

/** One lint over a whole document of sound resources. It warns or informs; it never rejects. */
export type Analyzer = (world: World, tell: Tell) => void;

/** Takes a finding about a resource; the path is from the root of the resource. */
export type Tell = (
  resource: Resource,
  severity: 'warning' | 'info',
  code: ProblemCode,
  path: readonly (string | number)[],
  message: string,
  hint: string,
) => void;

/** What analyzers ask of a document, worked out once. */
export class World {
  /** Of several the oldest holds. */
  readonly mesh: ResourceOf<'MeshConfig'> | undefined;
  readonly domain: string;
  readonly rootNamespace: string;
  readonly #byKind = new Map<string, readonly Resource[]>();
  readonly #hosts = new Set<string>();
  readonly #wildcards: string[] = [];
  readonly #names = new Set<string>();

  constructor(resources: readonly Resource[]) {
    for (const [kind, list] of Map.groupBy(resources, ({ kind }) => kind)) this.#byKind.set(kind, list);
    for (const { kind, metadata } of resources) this.#names.add(`${kind}/${metadata.namespace}/${metadata.name}`);
    this.mesh = this.all('MeshConfig').toSorted((a, b) => byAge(a.metadata, b.metadata))[0];
    this.domain = this.mesh?.spec.domain ?? 'cluster.local';
    this.rootNamespace = this.mesh?.spec.rootNamespace ?? 'istio-system';
    for (const { metadata } of this.all('Service')) this.#hosts.add(fullName(metadata.name, metadata.namespace, this.domain));
    for (const { spec } of this.all('ServiceEntry'))
      for (const host of spec.hosts)
        if (host.startsWith('*')) this.#wildcards.push(host.toLowerCase());
        else this.#hosts.add(host.toLowerCase());
  }

  all<Name extends KindName>(kind: Name): readonly ResourceOf<Name>[] {
    return (this.#byKind.get(kind) ?? []).filter(isKind(kind));
  }

  has(kind: KindName, namespace: string, name: string): boolean {
    return this.#names.has(`${kind}/${namespace}/${name}`);
  }

  /** Full name of the host a rule of `namespace` means. */
  host(host: string, namespace: string): string {
    return fullName(host, namespace, this.domain);
  }

  /**
   * Nothing here declares the host, although the document declares services of its sort: a document that leaves services to
   * discovery names hosts it cannot know.
   */
  missing(host: string): boolean {
    if (this.#hosts.has(host) || this.#wildcards.some((wildcard) => covers(wildcard, host))) return false;
    if (host.startsWith('*') && [...this.#hosts].some((known) => covers(host, known))) return false;
    return host.endsWith(`.svc.${this.domain}`) ? this.#byKind.has('Service') : this.#hosts.size + this.#wildcards.length > 0;
  }
}

/** Every label of `wanted` is among `labels`. */
export const selects = (wanted: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);
