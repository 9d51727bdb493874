import type { Closeable } from '@inmesh/core';
import type { KubernetesService, SourceText } from '@inmesh/policy';
import type { PolicySource } from '@inmesh/policy/source';
import type { Checked } from './checked.ts';
import { Feed, sorted } from './feed.ts';
import { Group } from './group.ts';
import type { InformerTools } from './informer.ts';
import type { Scope } from './scope.ts';

const SERVICES = { root: '/api/v1', plural: 'services', kind: 'Service', namespaced: true };

/** The Services of the namespaces that are followed, for as long as anyone listens. */
export class Services {
  readonly #scope: Scope;
  readonly #tools: InformerTools;
  readonly #listeners = new Set<() => void>();
  #group: Group | undefined;

  constructor(scope: Scope, tools: InformerTools) {
    this.#scope = scope;
    this.#tools = tools;
  }

  /** Undefined while nobody listens. */
  get group(): Group | undefined {
    return this.#group;
  }

  get(namespace: string, name: string): KubernetesService | undefined {
    const found = this.#group?.get(namespace, name)?.resource;
    return found?.kind === 'Service' ? (found as KubernetesService) : undefined;
  }

  /** `onChange` is called after every change; what is there when it begins it has to look for itself. */
  listen(onChange: () => void): Closeable {
    const listener = (): void => onChange();
    this.#listeners.add(listener);
    if (this.#group === undefined) {
      this.#group = new Group(SERVICES, this.#scope, this.#tools, () => this.#listeners.forEach((one) => one()));
      this.#group.start();
    }
    return {
      close: () => {
        if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
        this.#group?.close();
        this.#group = undefined;
      },
    };
  }
}

/** The Services as resources of a document. Their members are for the resolver. */
export function servicesSource(name: string, services: Services, { clock }: InformerTools): PolicySource {
  return {
    name,
    watch: (onUpdate) => {
      const contents = () => {
        const { group } = services;
        const texts = group?.ready === true && !group.refused ? sorted([...group.values()].flatMap(textsOf)) : undefined;
        return { texts, troubles: group?.troubles() ?? [] };
      };
      const feed = new Feed(contents, onUpdate, clock);
      const listening = services.listen(feed.touch);
      // Another may listen already; then nothing new need come.
      feed.touch();
      return {
        close: () => {
          feed.close();
          listening.close();
        },
      };
    },
  };
}

/**
 * A slice without endpoints beside each Service says that slices, and not DNS, tell its members. An ExternalName is but a name to look up.
 */
function textsOf({ text, resource }: Checked): readonly SourceText[] {
  if (text === undefined || resource?.kind !== 'Service') return [];
  if ((resource as KubernetesService).spec.type === 'ExternalName') return [text];
  const { name, namespace } = resource.metadata;
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-followed`, namespace, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [],
  };
  return [text, { file: `EndpointSlice ${namespace}/${name}-followed`, text: JSON.stringify(slice) }];
}
