import { addressOf, type Clock, type Closeable, type Timer } from '@inmesh/core';
import { type EndpointSpec, isKind, kubernetesMembers, type ResourceOf } from '@inmesh/policy';
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
      ...(group?.troubles() ?? []),
      this.#slices.trouble,
      pods?.trouble ?? '',
      ...slices.map(({ problem }) => problem),
    ].filter((text) => text !== '');
    const before = { ...this.#members, troubles };
    if (group === undefined || !group.ready || !this.#slices.ready) return before;
    if (service === undefined)
      return group.sure(this.#namespace) ? { state: 'absent', endpoints: [], spoken: new Set(), troubles } : before;
    // Without labels no subset would have a member: they are waited for, unless they cannot be had.
    if (this.#slices.refused || (pods !== undefined && !pods.ready && pods.trouble === '')) return before;
    const resources = slices.flatMap(({ resource }) => (resource !== undefined && isKind('EndpointSlice')(resource) ? resource : []));
    if (!nodes.knows(nodeNames(resources))) return before;
    const { endpoints, complete } = this.#endpoints(service, resources);
    if (!complete && this.#members.state === 'unknown') return before;
    return { state: 'known', endpoints, spoken: addressesOf(resources), troubles };
  }

  #endpoints(service: ResourceOf<'Service'>, slices: readonly ResourceOf<'EndpointSlice'>[]) {
    const { nodes } = this.#tools;
    const unproven = new Set<string>();
    const endpoints = kubernetesMembers(service, slices, {
      node: (name) => nodes.get(name),
      pod: (namespace, name) => {
        const pod = this.#pods?.informer.get(namespace, name);
        if (pod === undefined) return undefined;
        const serviceAccountName = this.#accounts.of(pod);
        if (serviceAccountName === undefined) unproven.add(name);
        return { metadata: pod, spec: { serviceAccountName } };
      },
    });
    if (unproven.size > 0) this.#accounts.learn(this.#pods!.selector, [...unproven], this.#touch);
    const held = new Set(
      slices.flatMap(({ spec }) =>
        spec.endpoints.filter(({ targetRef }) => unproven.has(targetRef?.name ?? '')).flatMap(({ addresses }) => addresses),
      ),
    );
    // Whose identity is not known yet could be anybody: calls wait the moment until it is.
    return { endpoints: endpoints.filter(({ host }) => !held.has(host)), complete: held.size === 0 };
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

const nodeNames = (slices: readonly ResourceOf<'EndpointSlice'>[]): ReadonlySet<string> =>
  new Set(slices.flatMap(({ spec }) => spec.endpoints.flatMap(({ nodeName }) => nodeName ?? [])));

const addressesOf = (slices: readonly ResourceOf<'EndpointSlice'>[]): ReadonlySet<string> =>
  new Set(
    slices.flatMap(({ spec: { endpoints, ports } }) =>
      endpoints.flatMap(({ addresses }) =>
        addresses.flatMap((host) => ports.flatMap(({ port }) => (port === undefined ? [] : addressOf(host, port)))),
      ),
    ),
  );
