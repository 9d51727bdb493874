/** How soon a cluster of 10,000 endpoints obeys a change of them: from the resolver's word to the end of the first call after it. */
import { type Endpoint, Mesh, type Resolution, type Resolver } from '@inmesh/core';
import { istioMetrics } from '@inmesh/telemetry';
import { type Candidate, interleave, median, type Row, type Section, threadMs } from './measure.ts';
import { BenchCall, callOnce } from './wire.ts';
import { lookedUp, ME, modelOf } from './worlds.ts';

const ENDPOINTS = 10_000;

const BALANCERS = ['ROUND_ROBIN', 'LEAST_REQUEST', 'RANDOM', 'PEAK_EWMA'] as const;

export async function measureChanges(rounds: number): Promise<Section> {
  const candidates: Candidate[] = [];
  for (const simple of BALANCERS) {
    candidates.push(await candidate(`${nameOf(simple)}, one endpoint replaced`, simple, false));
    candidates.push(await candidate(`${nameOf(simple)}, one endpoint replaced, all reported as new objects`, simple, true));
  }
  const costs = await interleave(candidates, rounds, 3);
  const rows = candidates.map(({ name }): Row => ({ what: name, value: median(costs.get(name)!), unit: 'ms', atMost: 5 }));
  return { name: `An endpoint changes in a cluster of ${ENDPOINTS}, until the end of the first call that follows`, rows };
}

const nameOf = (simple: string): string => simple.toLowerCase().replace('_', ' ');

/** As a registry of a Kubernetes cluster reports an endpoint. */
export function endpointOf(index: number): Endpoint {
  const host = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  return {
    address: `${host}:8080`,
    host,
    port: 8080,
    labels: { app: 'echo', version: `v${(index % 2) + 1}` },
    locality: { region: 'eu-west-1', zone: `eu-west-1${'abc'[index % 3]}`, subzone: '' },
    network: '',
    weight: 1,
    serviceAccount: 'echo',
    workload: 'echo',
    namespace: 'default',
    node: `node-${index % 200}`,
    health: 'healthy',
  };
}

/** A resolver that says what it is told to. */
export function toldResolver(): { readonly resolver: Resolver; tell(endpoints: readonly Endpoint[]): void } {
  let hear: ((resolution: Resolution) => void) | undefined;
  let endpoints: readonly Endpoint[] = [];
  return {
    resolver: {
      name: 'told',
      handles: () => true,
      watch: (_ref, onChange) => {
        hear = onChange;
        onChange({ state: 'bound', endpoints });
        return { close: () => {} };
      },
    },
    tell: (next) => {
      endpoints = next;
      hear?.({ state: 'bound', endpoints });
    },
  };
}

async function candidate(name: string, simple: string, afresh: boolean): Promise<Candidate> {
  const told = toldResolver();
  const model = modelOf(lookedUp({ loadBalancer: loadBalancerOf(simple), outlierDetection: { consecutive5xxErrors: 5 } }));
  const mesh = await Mesh.create(model, 'bench', { resolvers: [told.resolver], observer: istioMetrics({ workload: ME }) });
  let endpoints: readonly Endpoint[] = Array.from({ length: ENDPOINTS }, (_, index) => endpointOf(index));
  let joined = ENDPOINTS;
  told.tell(endpoints);
  const call = new BenchCall('/');
  for (let count = 0; count < 1000; count += 1) await callOnce(mesh, call);
  return {
    name,
    run: async () => {
      const gone = (joined * 7919) % ENDPOINTS;
      const next = endpoints.map((endpoint, index) =>
        index === gone ? endpointOf(joined) : afresh ? { ...endpoint, labels: { ...endpoint.labels } } : endpoint,
      );
      joined += 1;
      endpoints = next;
      const began = threadMs();
      told.tell(next);
      await callOnce(mesh, call);
      return threadMs() - began;
    },
  };
}

/** Istio's `simple` names, and our own. */
function loadBalancerOf(simple: string): object {
  return { simple };
}
