import { addressOf, type Clock, type Closeable, type Timer } from '@inmesh/core';
import { type EndpointSpec, type KubernetesEndpointSlice, kubernetesMembers, type KubernetesService } from '@inmesh/policy';
import { Accounts } from './accounts.ts';
import { check, type Checked } from './checked.ts';
import { Informer, type InformerTools, type KubeObject } from './informer.ts';
import type { Nodes } from './nodes.ts';
import type { Services } from './services.ts';

/** What is known of the members of a Service. */
export interface Members {
  /** `unknown`: not all has been heard; `absent`: there is no such Service. */
  readonly state: 'unknown' | 'absent' | 'known';
  readonly endpoints: readonly EndpointSpec[];
  /** Every address slices speak of, those that take no calls included. */
  readonly spoken: ReadonlySet<string>;
  /** Why it may be old or incomplete, in sentences; none: it is not. */
  readonly troubles: readonly string[];
}

export interface MembersTools extends InformerTools {
  readonly services: Services;
  readonly nodes: Nodes;
}

/** Labels of a Pod by which the mesh knows it. */
interface PodLabels {
  readonly uid: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

type SliceEndpoint = KubernetesEndpointSlice['spec']['endpoints'][number];

/** How long an endpoint waits for its pod. */
const UNSEEN_MS = 3000;

/** Changes that come together are one. */
const TOGETHER_MS = 20;

/** The members of one Service, for all its ports and for as long as anyone listens: its slices, and its pods for their labels. */
export class MembersWatch {
  readonly #namespace: string;
  readonly #name: string;
  readonly #tools: MembersTools;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  readonly #slices: Informer<Checked>;
  readonly #accounts: Accounts;
  #pods: { readonly selector: string; readonly informer: Informer<PodLabels> } | undefined;
  /** Pods of the endpoints as they were last. */
  #found: ReadonlyMap<string, PodLabels> = new Map();
  /** Pods that slices speak of and nobody has heard of, since when. */
  #unseen: ReadonlyMap<string, number> = new Map();
  #unseenTimer: Timer | undefined;
  #listening: Closeable[] = [];
  #timer: Timer | undefined;
  #members: Members = { state: 'unknown', endpoints: [], spoken: new Set(), troubles: [] };

  constructor(namespace: string, name: string, tools: MembersTools) {
    this.#namespace = namespace;
    this.#name = name;
    this.#tools = tools;
    this.#clock = tools.clock;
    this.#accounts = new Accounts(namespace, tools);
    this.#slices = new Informer<Checked>(
      {
        what: `EndpointSlices of ${namespace}/${name}`,
        path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
        labelSelector: `kubernetes.io/service-name=${name}`,
      },
      tools,
      (object) => check('discovery.k8s.io/v1', 'EndpointSlice', object, this.#slices.get(namespace, object.metadata.name)),
      this.#touch,
    );
  }

  get members(): Members {
    return this.#members;
  }

  get idle(): boolean {
    return this.#listeners.size === 0;
  }

  /** The first listener starts it, the last one stops it for good. */
  listen(onChange: () => void): Closeable {
    const listener = (): void => onChange();
    if (this.#listeners.size === 0) {
      this.#slices.start();
      this.#listening = [this.#tools.services.listen(this.#touch), this.#tools.nodes.listen(this.#touch)];
    }
    this.#listeners.add(listener);
    // Others may have made known already what this needs.
    this.#touch();
    return {
      close: () => {
        if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
        this.#timer?.cancel();
        this.#unseenTimer?.cancel();
        this.#slices.close();
        this.#accounts.close();
        this.#pods?.informer.close();
        for (const one of this.#listening) one.close();
      },
    };
  }

  readonly #touch = (): void => {
    this.#timer ??= this.#clock.after(this.#members.state === 'unknown' ? 0 : TOGETHER_MS, () => {
      this.#timer = undefined;
      this.#members = this.#look();
      for (const listener of this.#listeners) listener();
    });
  };

  #look(): Members {
    const { services, nodes } = this.#tools;
    const service = services.get(this.#namespace, this.#name);
    this.#followPods(service?.spec.selector);
    const { group } = services;
    const slices = [...this.#slices.values()];
    const pods = this.#pods?.informer;
    const troubles = [
      group?.trouble(this.#namespace) ?? '',
      this.#slices.trouble,
      pods?.trouble ?? '',
      ...slices.map(({ problem }) => problem),
    ].filter((text) => text !== '');
    const before = { ...this.#members, troubles };
    if (group === undefined || !group.ready || !this.#slices.ready) return before;
    if (service === undefined)
      return group.sure(this.#namespace) ? { state: 'absent', endpoints: [], spoken: new Set(), troubles } : before;
    // Without labels no subset would have a member: they are waited for, unless they cannot be had and nothing better is known.
    const unlabelled = pods !== undefined && !pods.ready && (pods.trouble === '' || this.#members.state === 'known');
    if (this.#slices.refused || unlabelled) return before;
    const resources = slices.flatMap(({ resource }) => (resource?.kind === 'EndpointSlice' ? (resource as KubernetesEndpointSlice) : []));
    if (!nodes.knows(nodeNames(resources))) return before;
    const { endpoints, complete } = this.#endpoints(service, resources);
    if (!complete && this.#members.state === 'unknown') return before;
    return { state: 'known', endpoints, spoken: addressesOf(resources), troubles };
  }

  /**
   * Two watches have no common order: of an endpoint whose pod was not heard of yet nobody knows how to talk to it, nor, without its account,
   * who it has to be. It waits, as in Istio: a moment, since slices may name pods that the selector does not mean. `complete`: the list may be
   * the first.
   */
  #endpoints(service: KubernetesService, slices: readonly KubernetesEndpointSlice[]) {
    const { nodes } = this.#tools;
    const pods = this.#pods?.informer;
    const expected = pods?.ready === true && !pods.refused;
    const now = this.#clock.now();
    const found = new Map<string, PodLabels>();
    const unseen = new Map<string, number>();
    const unproven = new Set<string>();
    const speaksFor = ({ targetRef }: SliceEndpoint): boolean => {
      const { kind = 'Pod', name, namespace = this.#namespace } = targetRef ?? {};
      if (name === undefined || kind !== 'Pod') return true;
      const key = `${namespace}/${name}`;
      // When the selector moves, slices name the pods of before for a while.
      const pod = pods?.get(namespace, name) ?? this.#found.get(key);
      if (pod === undefined) {
        if (!expected) return true;
        const since = this.#unseen.get(key) ?? now;
        unseen.set(key, since);
        return now - since >= UNSEEN_MS;
      }
      found.set(key, pod);
      if (this.#accounts.of(pod) !== undefined) return true;
      unproven.add(name);
      return false;
    };
    const known = slices.map((slice) => ({ ...slice, spec: { ...slice.spec, endpoints: slice.spec.endpoints.filter(speaksFor) } }));
    this.#found = found;
    this.#unseen = unseen;
    if (unproven.size > 0) this.#accounts.learn(this.#pods!.selector, [...unproven], this.#touch);
    const waiting = [...unseen.values()].filter((since) => now - since < UNSEEN_MS);
    this.#unseenTimer?.cancel();
    if (waiting.length > 0) this.#unseenTimer = this.#clock.after(Math.min(...waiting) + UNSEEN_MS - now, this.#touch);
    const endpoints = kubernetesMembers(service, known, {
      node: (name) => nodes.get(name),
      pod: (namespace, name) => {
        const pod = found.get(`${namespace}/${name}`);
        return pod === undefined ? undefined : { metadata: pod, spec: { serviceAccountName: this.#accounts.of(pod) } };
      },
    });
    return { endpoints, complete: unproven.size === 0 && (endpoints.length > 0 || waiting.length === 0) };
  }

  #followPods(labels: Readonly<Record<string, string>> | undefined): void {
    const selector = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`).sort().join(','); // prettier-ignore
    if (selector === (this.#pods?.selector ?? '')) return;
    this.#pods?.informer.close();
    this.#pods = undefined;
    // A Service without a selector names its members itself.
    if (selector === '') return;
    const informer = new Informer<PodLabels>(
      {
        what: `Pods of ${this.#namespace}/${this.#name}`,
        path: `/api/v1/namespaces/${this.#namespace}/pods`,
        labelSelector: selector,
        metadataOnly: true,
      },
      this.#tools,
      ({ metadata: { uid = '', name, labels: own = {} } }: KubeObject): PodLabels => ({ uid, name, labels: own }),
      this.#touch,
    );
    this.#pods = { selector, informer };
    informer.start();
  }
}

const nodeNames = (slices: readonly KubernetesEndpointSlice[]): ReadonlySet<string> =>
  new Set(slices.flatMap(({ spec }) => spec.endpoints.flatMap(({ nodeName }) => nodeName ?? [])));

const addressesOf = (slices: readonly KubernetesEndpointSlice[]): ReadonlySet<string> =>
  new Set(
    slices.flatMap(({ spec: { endpoints, ports } }) =>
      endpoints.flatMap(({ addresses }) =>
        addresses.flatMap((host) => ports.flatMap(({ port }) => (port === undefined ? [] : addressOf(host, port)))),
      ),
    ),
  );
