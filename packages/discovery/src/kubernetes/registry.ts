import { type Clock, systemClock } from '@inmesh/core';
import type { PolicySource } from '@inmesh/policy/source';
import type { Registry } from '../registry.ts';
import { type AccessOptions, findAccess } from './find-access.ts';
import { KubeApi } from './api.ts';
import { tellAll } from './group.ts';
import type { InformerTools } from './informer.ts';
import { Nodes } from './nodes.ts';
import { clusterPolicy } from './policy-source.ts';
import { sliceResolver } from './resolver.ts';
import type { Scope } from './scope.ts';
import { Services, servicesSource } from './services.ts';

/** How a cluster is followed. */
export interface KubernetesOptions extends AccessOptions {
  /** Namespaces that are followed, or `*` for all. Default: the one this process is in (of a kubeconfig: its context's). */
  readonly namespaces?: Scope;
  /** Time the API server may take to begin an answer, and between parts of one. Default 10 s. */
  readonly timeoutMs?: number;
  /** A watch that said nothing for so long is begun anew. Default 150 s, ±: servers send a bookmark a minute. */
  readonly silenceMs?: number;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

export interface KubernetesRegistryOptions extends KubernetesOptions {
  /**
   * Services known to the mesh by hosts of other kinds, and the Service (`namespace/name`) whose endpoints are theirs: while one moves
   * from Consul or machines to Kubernetes, `{ 'reviews.mesh': 'shop/reviews' }` makes it one service.
   */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Its endpoints take calls when those of registries of lower numbers are not healthy enough. Default 0. */
  readonly priority?: number;
}

/**
 * Services of a Kubernetes cluster, and the endpoints of those that are called. Rejects where no cluster is to be found or its
 * credentials cannot be read; from then on whatever the API server does takes no traffic down.
 */
export async function kubernetesRegistry(options: KubernetesRegistryOptions = {}): Promise<Registry> {
  const { api, scope, tools } = await openCluster(options);
  const services = new Services(scope, tools);
  const nodes = new Nodes(tools);
  const { hosts = {}, priority = 0 } = options;
  const resolver = sliceResolver({ name: 'kubernetes', scope, hosts, priority }, { ...tools, services, nodes });
  return {
    name: api.name,
    resolver,
    services: servicesSource(api.name, services, tools),
    trouble: () => tellAll([...(services.group?.troubles() ?? []), ...resolver.troubles()]),
    close: () => api.close(),
  };
}

export interface KubernetesPolicyOptions extends KubernetesOptions {
  /** Where the last accepted document is kept for a start without the cluster. Default: nowhere. */
  readonly cacheFile?: string | undefined;
}

/**
 * The policy as it stands in a Kubernetes cluster: the resources of Istio, the Gateway API and inmesh.dev there. Rejects where no cluster
 * is to be found or its credentials cannot be read.
 */
export async function kubernetesPolicy(options: KubernetesPolicyOptions = {}): Promise<PolicySource> {
  const { api, scope, tools, another } = await openCluster(options);
  const open = () => {
    const own = another();
    return { ...tools, api: own, release: () => own.close() };
  };
  return clusterPolicy(api.name, scope, open, options.cacheFile);
}

async function openCluster(options: KubernetesOptions) {
  const access = await findAccess(options);
  // Whatever is wrong with files is better told now than by and by.
  await access.credentials();
  const { clock = systemClock, random = Math.random, timeoutMs, silenceMs, namespaces } = options;
  const another = (): KubeApi => new KubeApi(access, clock, timeoutMs);
  const api = another();
  const tools: InformerTools = { api, clock, random, ...(silenceMs === undefined ? {} : { silenceMs }) };
  return { api, tools, another, scope: namespaces ?? [access.namespace] };
}
