/** How soon a cluster of 10,000 endpoints obeys a change of them: from the resolver's word to the end of the first call after it. */
import { type Endpoint, Mesh, type Resolution, type Resolver } from '@inmesh/core';
import { istioMetrics } from '@inmesh/telemetry';
import { type Candidate, interleave, median, type Row, type Section, threadMs } from './measure.ts';
import { BenchCall, callOnce } from './wire.ts';
import { lookedUp, ME, modelOf } from './worlds.ts';

const ENDPOINTS = 10_000;

const BALANCERS = [
  { name: 'round robin', rule: lookedUp({ simple: 'ROUND_ROBIN' }) },
  { name: 'least request', rule: lookedUp({ simple: 'LEAST_REQUEST' }) },
  { name: 'random', rule: lookedUp({ simple: 'RANDOM' }) },
  { name: 'Peak EWMA', rule: lookedUp({}, { 'inmesh.dev/load-balancer': 'PEAK_EWMA' }) },
];

export async function measureChanges(rounds: number): Promise<Section> {
  const candidates: Candidate[] = [];
  for (const { name, rule } of BALANCERS) {
    candidates.push(await candidate(name, rule, false));
    candidates.push(await candidate(`${name}, and every endpoint told anew`, rule, true));
  }
  const costs = await interleave(candidates, rounds, 3);
  const rows = candidates.map(({ name }): Row => ({ what: name, value: median(costs.get(name)!), unit: 'ms', atMost: 5 }));
  return { name: 'One of 10,000 endpoints is replaced, until the end of the first call that follows', rows };
}

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
    mtls: false,
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

/** `anew`: the resolver makes new objects for endpoints that are the same as before. */
async function candidate(name: string, rule: readonly object[], anew: boolean): Promise<Candidate> {
  const told = toldResolver();
  const mesh = await Mesh.create(modelOf(rule), 'bench', { resolvers: [told.resolver], observer: istioMetrics({ workload: ME }) });
  let endpoints: readonly Endpoint[] = Array.from({ length: ENDPOINTS }, (_, index) => endpointOf(index));
  let joined = ENDPOINTS;
  told.tell(endpoints);
  const call = new BenchCall('/');
  for (let count = 0; count < 1000; count += 1) await callOnce(mesh, call);
  return {
    name,
    run: async () => {
      const gone = (joined * 7919) % ENDPOINTS;
      endpoints = endpoints.map((endpoint, index) =>
        index === gone ? endpointOf(joined) : anew ? { ...endpoint, labels: { ...endpoint.labels } } : endpoint,
      );
      joined += 1;
      const began = threadMs();
      told.tell(endpoints);
      await callOnce(mesh, call);
      return threadMs() - began;
    },
  };
}
