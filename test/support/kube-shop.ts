import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  kubernetesPolicy,
  type KubernetesPolicyOptions,
  kubernetesRegistry,
  type KubernetesRegistryOptions,
} from '@inmesh/discovery/kubernetes';
import { createMesh, type CreateMeshOptions, type Mesh, type MeshEvent } from 'inmesh';
import { KubeApiServer, type KubeApiOptions } from './kube-api.ts';
import { upstream, type Upstream } from './upstream.ts';

/** An endpoint of a slice; the pod behind it is of the same name. */
export interface SliceMember {
  readonly pod: string;
  readonly address?: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zone?: string;
  readonly node?: string;
}

/** A Service on port 80, whose pods carry `app: NAME`. */
export const service = (name: string, fields: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop' },
  spec: {
    clusterIP: '10.96.0.1',
    clusterIPs: ['10.96.0.1'],
    selector: { app: name },
    ports: [{ name: 'http', port: 80, targetPort: 'web' }],
    ...fields,
  },
});

/** One slice of a Service: members on loopback, all on one port, as real pods have it. */
export const slice = (name: string, service: string, port: number, members: readonly SliceMember[]): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': service } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port, protocol: 'TCP' }],
  endpoints: members.map(({ pod, address = '127.0.0.1', ready = true, serving = ready, terminating = false, zone, node }) => ({
    addresses: [address],
    conditions: { ready, serving, terminating },
    targetRef: { kind: 'Pod', namespace: 'shop', name: pod },
    ...(zone === undefined ? {} : { zone }),
    ...(node === undefined ? {} : { nodeName: node }),
  })),
});

export const pod = (name: string, labels: Record<string, string>, spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', labels },
  spec: { serviceAccountName: 'reviews', containers: [{ name: 'main' }], ...spec },
});

/** A cluster of one API server with its kubeconfig on disk, and meshes that follow it. */
export class KubeShop implements AsyncDisposable {
  readonly api: KubeApiServer;
  readonly folder = mkdtempSync(join(tmpdir(), 'inmesh-kube-'));
  readonly #meshes: Mesh[] = [];
  readonly #upstreams: Upstream[] = [];

  private constructor(api: KubeApiServer) {
    this.api = api;
  }

  static async open(options: KubeApiOptions = {}): Promise<KubeShop> {
    const shop = new KubeShop(await KubeApiServer.start({ tls: true, tokens: ['good'], ...options }));
    writeFileSync(shop.kubeconfig, shop.api.kubeconfig('good'));
    return shop;
  }

  get kubeconfig(): string {
    return join(this.folder, 'config');
  }

  /** Creates or replaces objects. Pods that slices speak of are there, too, as they always are. */
  apply(...objects: readonly (string | object)[]): void {
    for (const object of objects) {
      const {
        kind,
        metadata,
        endpoints = [],
      } = object as {
        kind?: string;
        metadata?: { labels?: Record<string, string> };
        endpoints?: readonly { targetRef: { name: string } }[];
      };
      if (kind === 'EndpointSlice')
        for (const { targetRef } of endpoints)
          if (this.api.store.get('/pods', 'shop', targetRef.name) === undefined)
            this.api.apply(pod(targetRef.name, { app: metadata!.labels!['kubernetes.io/service-name']! }));
    }
    this.api.apply(...objects);
  }

  /** A pod that says its name, on an address of loopback and port of its own. */
  async pod(name: string): Promise<number> {
    const server = await upstream((_request, response) => response.end(name));
    this.#upstreams.push(server);
    return server.port;
  }

  registry(options: KubernetesRegistryOptions = {}) {
    return kubernetesRegistry({ kubeconfig: this.kubeconfig, ...options });
  }

  policy(options: KubernetesPolicyOptions = {}) {
    return kubernetesPolicy({ kubeconfig: this.kubeconfig, ...options });
  }

  /** A mesh with policy and services of the cluster, unless told otherwise. */
  async mesh(
    options: CreateMeshOptions & { readonly kubernetes?: KubernetesRegistryOptions } = {},
  ): Promise<Mesh & { readonly events: MeshEvent[] }> {
    const { kubernetes = {}, ...rest } = options;
    const events: MeshEvent[] = [];
    const mesh = await createMesh({
      policy: await this.policy(kubernetes),
      registries: [await this.registry(kubernetes)],
      workload: { name: 'client', namespace: 'shop' },
      onEvent: (event) => events.push(event),
      ...rest,
    });
    this.#meshes.push(mesh);
    return Object.assign(mesh, { events });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#meshes.map((mesh) => mesh.close({ graceMs: 500 })));
    await Promise.all([this.api.down(), ...this.#upstreams.map((one) => one.kill())]);
    rmSync(this.folder, { recursive: true });
  }
}

/** Calls until told to stop, and counts who answered, and what failed. */
export class Traffic {
  readonly answers = new Map<string, number>();
  readonly failures: string[] = [];
  #going = true;
  readonly #over: Promise<void>;

  constructor(mesh: Mesh, url: string) {
    this.#over = this.#run(mesh, url);
  }

  get calls(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, this.failures.length);
  }

  async stop(): Promise<this> {
    this.#going = false;
    await this.#over;
    return this;
  }

  async #run(mesh: Mesh, url: string): Promise<void> {
    while (this.#going) {
      try {
        const reply = await mesh.request(url);
        const text = reply.text();
        if (reply.status === 200) this.answers.set(text, (this.answers.get(text) ?? 0) + 1);
        else this.failures.push(`${reply.status} ${text}`);
      } catch (error) {
        this.failures.push((error as Error).message);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
