import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createDevCa, saveDevCa } from '@inmesh/identity/dev';
import { fetched } from '../support/debian.ts';
import { freePorts } from '../support/ports.ts';
import { type Child, child } from '../support/process.ts';
import type { Answered, ServiceOptions } from './service.child.ts';

const h2load = fetched('h2load', 'scripts/get-h2load.sh');
export const noH2load: boolean = h2load.skip;

/** What visitors ask of the storefront, and how often in one round. */
export const ROUND: Readonly<Record<string, number>> = {
  '/ok': 24,
  '/missing': 6,
  '/broken': 10,
  '/flaky': 4,
  '/rated': 12,
  '/refused': 4,
  '/nowhere': 2,
};

/** A storefront, two versions of reviews and ratings, each a process, under mutual TLS; visitors come from outside the mesh. */
export interface Shop extends AsyncDisposable {
  /** `/metrics` of each process, by workload. */
  readonly metrics: Readonly<Record<string, string>>;
  /** Visitors ask everything of ROUND, one after the other; rejects unless h2load counts as many answers. */
  round(): Promise<void>;
  /** Puts another policy in force everywhere: as many retries as said, which here changes nothing else. */
  steer(retries: number): void;
  /** Publishes one that nobody can obey. */
  spoil(): void;
  /** What a workload has answered so far, by its own count. */
  answered(workload: string): Promise<Answered>;
}

const WORKLOADS = ['ratings-v1', 'reviews-v1', 'reviews-v2', 'storefront-v1'] as const;

export async function openShop(): Promise<Shop> {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-observed-'));
  const ca = join(folder, 'ca');
  const policy = join(folder, 'policy.yaml');
  mkdirSync(ca);
  await saveDevCa(ca, createDevCa());
  const ports = await freePorts(WORKLOADS.length);
  const steer = (retries: number): void =>
    writeFileSync(policy, policyOf(WORKLOADS.map((name, index) => ({ name, port: ports[index]! })), retries)); // prettier-ignore
  steer(2);
  const children = new Map<string, Child>();
  const dispose = async (): Promise<void> => {
    await Promise.all([...children.values()].map((one) => one.end()));
    rmSync(folder, { recursive: true, force: true });
  };
  const started = await Promise.allSettled(
    WORKLOADS.map(async (name, index) => {
      const [app, version] = name.split('-') as [ServiceOptions['app'], string];
      const options: ServiceOptions = { app, version, port: ports[index]!, policy, ca };
      children.set(name, await child('observability/service.child.ts', options));
    }),
  );
  const failed = started.find((one) => one.status === 'rejected');
  if (failed !== undefined) {
    await dispose();
    throw failed.reason;
  }
  const storefront = `http://127.0.0.1:${ports.at(-1)}`;
  return {
    metrics: Object.fromEntries([...children].map(([name, { ready }]) => [name, (ready as { readonly metrics: string }).metrics])),
    round: async () => {
      for (const [path, count] of Object.entries(ROUND)) await visit(`${storefront}${path}`, count);
    },
    steer,
    spoil: () => writeFileSync(policy, 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: spoilt }\nspec: { hosts: 7 }\n'), // prettier-ignore
    answered: async (workload) => {
      const { process: asked } = children.get(workload)!;
      const answer = once(asked, 'message') as Promise<[Answered]>;
      asked.send('?');
      return (await answer)[0];
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** One connection of HTTP/1.1, one request after the other. */
async function visit(url: string, count: number): Promise<void> {
  const { stdout } = await promisify(execFile)(h2load.path, ['--h1', '-n', String(count), '-c', '1', '-t', '1', url]);
  const said = /requests: \d+ total, \d+ started, (\d+) done/.exec(stdout)?.[1];
  if (Number(said) !== count) throw new Error(`${url} was to be asked ${count} times:\n${stdout}`);
}

/** One that clients tell of, and one that only the server can, for whoever calls it is no part of the mesh. */
export const OBJECTIVES = ['reviews', 'storefront'].map((name) => `---
apiVersion: inmesh.dev/v1
kind: ServiceLevelObjective
metadata: { name: ${name}, namespace: shop }
spec: { service: ${name}, indicator: { availability: {} }, objective: 99, window: 30d }
`).join(''); // prettier-ignore

function policyOf(workloads: readonly { readonly name: string; readonly port: number }[], retries: number): string {
  const service = (app: string, protocol: string): string => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${app}, namespace: shop }
spec:
  hosts: [${app}.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: main, protocol: ${protocol} }]
  workloadSelector: { labels: { app: ${app} } }
`;
  const entry = ({ name, port }: { readonly name: string; readonly port: number }): string => {
    const [app, version] = name.split('-');
    return `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: shop }
spec:
  address: 127.0.0.1
  ports: { main: ${port} }
  labels: { app: ${app}, version: ${version} }
  serviceAccount: ${app}
`;
  };
  return `${service('storefront', 'HTTP')}${service('reviews', 'HTTP')}${service('ratings', 'GRPC')}${service('nowhere', 'HTTP')}${workloads.map(entry).join('')}${OBJECTIVES}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } }
  subsets: [{ name: v1, labels: { version: v1 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews]
  http:
    - match: [{ uri: { exact: /flaky } }]
      retries: { attempts: ${retries}, retryOn: gateway-error }
      route: [{ destination: { host: reviews, subset: v1 } }]
    - route: [{ destination: { host: reviews } }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: storefront, namespace: shop }
spec:
  selector: { matchLabels: { app: storefront } }
  mtls: { mode: PERMISSIVE }
`;
}
