import {
  type ExplainRequest,
  type Explanation,
  explainPolicy,
  Mesh,
  MeshError,
  type MeshEvent,
  printFlags,
  type Reply,
  type Resolver,
  type Transport,
} from '@inmesh/core';
import {
  type FakeClock,
  fakeClock,
  type ScriptedAttempt,
  type ScriptedTransport,
  scriptedTransport,
  seededRandom,
  testCall,
  testExchange,
  type TestCall,
} from '@inmesh/core/testing';
import { type ClusterPolicy, type Model, parse, type Problem, resolve, type Workload, workload } from '@inmesh/policy';

/**
 * How the conformance tables ask: policy as YAML, requests as people write them, answers as short texts. Everything goes
 * through the public functions only.
 */

// ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────

const GROUPS: Readonly<Record<string, string>> = {
  HTTPRoute: 'gateway.networking.k8s.io/v1',
  GRPCRoute: 'gateway.networking.k8s.io/v1',
  ReferenceGrant: 'gateway.networking.k8s.io/v1',
  BackendTLSPolicy: 'gateway.networking.k8s.io/v1',
  TCPRoute: 'gateway.networking.k8s.io/v1alpha2',
  TLSRoute: 'gateway.networking.k8s.io/v1alpha3',
  PeerAuthentication: 'security.istio.io/v1',
  RequestAuthentication: 'security.istio.io/v1',
  AuthorizationPolicy: 'security.istio.io/v1',
  Telemetry: 'telemetry.istio.io/v1',
  MeshConfig: 'inmesh.dev/v1',
};

/** One resource: `name` or `namespace/name` (default: default), its age by `day` (the smaller the older), `spec` as YAML. */
export function resource(
  kind: string,
  id: string,
  spec: string,
  { day = 0, annotations = {} }: { readonly day?: number; readonly annotations?: object } = {},
): string {
  const [namespace, name] = id.includes('/') ? id.split('/') : ['default', id];
  const created = new Date(Date.UTC(2024, 0, 1 + day)).toISOString();
  return [
    `apiVersion: ${GROUPS[kind] ?? 'networking.istio.io/v1'}`,
    `kind: ${kind}`,
    `metadata: ${JSON.stringify({ name, namespace, creationTimestamp: created, annotations })}`,
    'spec:',
    indent(spec, 2),
  ].join('\n');
}

export const virtualService = (id: string, spec: string, more: { readonly day?: number } = {}): string =>
  resource('VirtualService', id, spec, more);
export const destinationRule = (id: string, spec: string, more: { readonly day?: number; readonly annotations?: object } = {}): string =>
  resource('DestinationRule', id, spec, more);

/** A VirtualService for `reviews`; `http` is its YAML list. */
export const rules = (http: string): string => virtualService('reviews', `hosts: [reviews]\nhttp:\n${indent(http, 2)}`);

export const meshConfig = (spec: string): string => resource('MeshConfig', 'mesh', spec);

export const document = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join('\n---\n');

/** Moves YAML written inside a template literal to where it belongs. */
function indent(text: string, by: number): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const least = Math.min(...lines.map((line) => line.search(/\S/)));
  return lines.map((line) => ' '.repeat(by) + line.slice(least)).join('\n');
}

export interface Pods {
  /** `name:number`, or a number, which is an HTTP port. */
  readonly ports?: readonly (string | number)[];
  /** Label version of each pod; 10.0.N.M is the address of the M-th. */
  readonly versions?: readonly string[];
  readonly net?: number;
  readonly spec?: object;
  readonly annotations?: object;
  /** Labels of every pod beside app and version. */
  readonly labels?: object;
}

/** A Kubernetes Service with its EndpointSlice and Pods, `name` or `name.namespace`. */
export function kube(
  id: string,
  { ports = [80], versions = ['v1'], net = 0, spec = {}, annotations = {}, labels = {} }: Pods = {},
): string {
  const [name = '', namespace = 'default'] = id.split('.');
  const meta = (own: string, labels: object = {}) => ({ name: own, namespace, labels });
  const open = ports.map((port) => {
    const [label = '', number] = String(port).split(':');
    return number === undefined ? { name: `http-${label}`, port: Number(label) } : { name: label, port: Number(number) };
  });
  const addresses = versions.map((_, index) => `10.0.${net}.${index + 1}`);
  const objects = [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...meta(name), annotations },
      spec: { clusterIP: `10.96.${net}.1`, selector: { app: name }, ports: open, ...spec },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: meta(`${name}-1`, { 'kubernetes.io/service-name': name }),
      addressType: 'IPv4',
      ports: open,
      endpoints: addresses.map((address, index) => ({
        addresses: [address],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: `${name}-${index}`, namespace },
      })),
    },
    ...versions.map((version, index) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: meta(`${name}-${index}`, { app: name, version, ...labels }),
      spec: {},
    })),
  ];
  return objects.map((object) => JSON.stringify(object)).join('\n---\n');
}

/** Services of namespace default: reviews in three versions, ratings, and multi on two ports. */
export const WORLD = document(
  kube('reviews', { versions: ['v1', 'v2', 'v3'], net: 1 }),
  kube('ratings', { net: 2 }),
  kube('multi', { ports: [80, 81], net: 3 }),
  destinationRule(
    'subsets',
    'host: reviews\nsubsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }, { name: v3, labels: { version: v3 } }, { name: none, labels: { version: v9 } }]',
  ),
);

// ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────────

export const problemsOf = (yaml: string): readonly Problem[] => {
  const parsed = parse([{ file: 'test.yaml', text: yaml }]);
  return parsed.ok ? parsed.document.problems : parsed.problems;
};

/** What a workload of namespace default is told, or another. */
export function modelOf(yaml: string, who: Partial<Workload> = {}): Model {
  const parsed = parse([{ file: 'test.yaml', text: yaml }]);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ resource: at, path, message }) => `${at} ${path}: ${message}`).join('\n'));
  return resolve(parsed.document, workload({ name: 'client', ...who }));
}

type Headers = NonNullable<ExplainRequest['headers']>;

/** `GET http://reviews/a?b=c`, `POST …`, or only a URL, or only a path of reviews. */
export function request(line: string, headers: Headers = {}): ExplainRequest {
  const [first = '', second] = line.split(' ');
  const [method, url] = second === undefined ? ['GET', first] : [first, second];
  return { method, url: url.startsWith('/') ? `http://reviews${url}` : url, headers };
}

export const ask = (yaml: string, line: string, headers: Headers = {}, who: Partial<Workload> = {}): Explanation =>
  explainPolicy(modelOf(yaml, who), request(line, headers));

/** `outbound|80|v1|reviews.default.svc.cluster.local` as `80|v1|reviews`. */
export const short = (cluster: string): string =>
  cluster
    .replace(/^outbound\|/, '')
    .replace(/\.svc\.cluster\.local$/, '')
    .replace(/\.default$/, '');

/** What becomes of a request: `80|v1|reviews`, with several weights `… 90, … 10`, `301 http://…`, `direct 200 text`, `refuse 404 NR`. */
export function outcome(explanation: Explanation): string {
  const { decision, status, flag, clusters, redirect, directResponse } = explanation;
  switch (decision) {
    case 'route':
      return clusters.map(({ name, weight }) => (clusters.length === 1 ? short(name) : `${short(name)} ${weight}`)).join(', ');
    case 'redirect':
      return `${redirect?.status} ${redirect?.location}`;
    case 'directResponse':
      return `direct ${directResponse?.status} ${directResponse?.body}`.trim();
    case 'refuse':
      return `refuse ${status}${flag === null ? '' : ` ${flag}`}`;
  }
}

export const fate = (yaml: string, line: string, headers: Headers = {}, who: Partial<Workload> = {}): string =>
  outcome(ask(yaml, line, headers, who));

/** The policy of a cluster, written short as in `short`. */
export function cluster(model: Model, name: string): ClusterPolicy {
  const found = model.clusters.find((one) => short(one.name) === name);
  if (found === undefined) throw new Error(`no cluster ${name}; there are ${model.clusters.map((one) => short(one.name)).join(', ')}`);
  return found;
}

// ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How one call ended. */
export interface Ending {
  readonly status: number;
  readonly grpcStatus: number;
  /** `UH`, `-`: Envoy's response flags. */
  readonly flags: string;
  readonly body: string;
  readonly header: (name: string) => string | undefined;
  /** Milliseconds on the fake clock. */
  readonly ms: number;
  readonly address: string | undefined;
}

export interface Running {
  readonly mesh: Mesh;
  readonly clock: FakeClock;
  readonly transport: ScriptedTransport;
  readonly events: readonly MeshEvent[];
  /** Copies that were sent, in order. */
  readonly shadows: ScriptedTransport;
  /** A call that runs until it is answered; time passes only by `clock.pass`. */
  readonly begin: (call: TestCall | string) => { readonly ended: Promise<Ending>; readonly done: () => Ending | undefined };
  /** A call and its end, letting at most `withinMs` of time pass. */
  readonly call: (call: TestCall | string, withinMs?: number) => Promise<Ending>;
}

interface RunOptions {
  readonly who?: Partial<Workload>;
  readonly random?: () => number;
  /** For services whose endpoints no document names. */
  readonly resolvers?: readonly Resolver[];
}

/** A mesh over a scripted wire: `play` answers attempts (default: 200 at once). */
export async function run(
  yaml: string,
  play: (attempt: ScriptedAttempt) => void = (attempt) => attempt.reply(200),
  { who = {}, random = seededRandom(7), resolvers = [] }: RunOptions = {},
  playShadow: (attempt: ScriptedAttempt) => void = (attempt) => attempt.reply(200),
): Promise<Running> {
  const clock = fakeClock();
  const events: MeshEvent[] = [];
  const observer = { route: () => ({ ended: () => {} }), event: (event: MeshEvent) => void events.push(event) };
  const mesh = await Mesh.create(modelOf(yaml, who), 'v1', { clock, random, observer, resolvers });
  const transport = scriptedTransport(play);
  const shadows = scriptedTransport(playShadow);
  const wire: Transport<string> = {
    // As a real transport does, it bounds an attempt that has no headers yet.
    attempt: (exchange, placement) => {
      const reply = transport.attempt(exchange, placement);
      const { latest } = transport;
      const { attemptTimeoutMs: ms } = exchange;
      if (ms > 0) {
        const timer = clock.after(ms, () => latest.fail(new MeshError('ATTEMPT_TIMEOUT', `no answer within ${ms} ms`)));
        reply.then(
          () => timer.cancel(),
          () => timer.cancel(),
        );
      }
      return reply;
    },
    answer: (exchange, local) => transport.answer(exchange, local),
    shadow: (exchange) => ({ exchange: { ...exchange, life: mesh.shadowLife(exchange.life) }, transport: shadows }),
  };

  const begin: Running['begin'] = (given) => {
    const call = testCall(typeof given === 'string' ? { url: given } : given);
    const routed = mesh.find(call);
    const life = mesh.life(routed);
    const exchange = testExchange({ call, life });
    const began = clock.now();
    let ending: Ending | undefined;
    const settle = async (): Promise<Ending> => {
      let reply: Reply<string>;
      try {
        reply = await routed.handler(exchange, wire);
      } catch (error) {
        if (!MeshError.is(error)) throw error;
        reply = mesh.refuse(error, exchange, wire);
      }
      const { status, grpcStatus, value, endpoint } = reply;
      const header = (name: string): string | undefined => reply.header(name);
      ending = {
        status,
        grpcStatus,
        flags: printFlags(life.flags),
        body: value,
        header,
        ms: clock.now() - began,
        address: endpoint?.address,
      };
      life.end(status, grpcStatus, clock.now());
      return ending;
    };
    return { ended: settle(), done: () => ending };
  };
  return {
    mesh,
    clock,
    transport,
    shadows,
    events,
    begin,
    call: async (given, withinMs = 60_000) => {
      const { ended, done } = begin(given);
      // Time stops as soon as the call is over: what follows must find the clock where the call left it.
      for (let passed = 0; done() === undefined && passed <= withinMs; passed += 1) await clock.pass(passed === 0 ? 0 : 1);
      if (done() === undefined) throw new Error(`the call did not end within ${withinMs} ms`);
      return ended;
    },
  };
}
