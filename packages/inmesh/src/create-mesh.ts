import {
  type AuditSink,
  type CertificateSource,
  type Explanation,
  type ExplainRequest,
  Mesh as Engine,
  MeshError,
  type MeshEvent,
  type MeshStatus as EngineStatus,
  type Observer,
  type Resolver,
  systemClock,
  type TokenVerifiers,
} from '@inmesh/core';
import { healthChecks, type Registry } from '@inmesh/discovery';
import { createGrpcClients, type GrpcClients, type GrpcServers } from '@inmesh/grpc';
import {
  type Connectrpc,
  createConnectrpc,
  createFetch,
  createRequest,
  type Fetch,
  type InboundMesh,
  install,
  type Installed,
  MeshDispatcher,
  type Request,
} from '@inmesh/http';
import { type Document, type Problem, resolve, type Workload } from '@inmesh/policy';
import { type DocumentHandlers, firstDocument, joinSources, NoDocumentError, type PolicySource } from '@inmesh/policy/source';
import { metadataExchange, type MetricProducer, type ObjectiveStatus } from '@inmesh/telemetry';
import { tokenVerifiers } from '@inmesh/identity';
import { type DnsOptions, openDns } from './dns.ts';
import type { Facts } from './environment.ts';
import { detectCertificates, Keyring } from './identity.ts';
import type { MetricsOptions } from './metrics.ts';
import { announceMetrics } from './otel-metrics.ts';
import { policyFrom } from './policy.ts';
import { openTelemetry, type Telemetry } from './telemetry.ts';
import { openRegistries } from './registries.ts';
import { findWorkload } from './whereabouts.ts';
import { ServerRoom, type Servers } from './servers.ts';

export interface CreateMeshOptions {
  /**
   * Where the policy comes from: a file or folder, an http(s) URL, the cluster (`kubernetes:`), Consul's key-value store
   * (`consul:PREFIX`, `consul://HOST:PORT/PREFIX`), or a source of your own. Default: INMESH_POLICY; with `registries` and neither, no rules.
   */
  readonly policy?: string | PolicySource;
  /** File in which the last accepted document of a URL is kept for a start without its server. Default: INMESH_POLICY_CACHE, else nowhere. */
  readonly policyCache?: string;
  /** Tried at the start when the source has no document and none was kept on disk: typically a file shipped with the program. */
  readonly bundledPolicy?: string | PolicySource;
  /** Who this process is. What is left out is found from the environment. */
  readonly workload?: Partial<Workload>;
  /** Opens the admin port on loopback: a port (0 picks one), or where to listen. Default: off, or INMESH_ADMIN_PORT. */
  readonly admin?: number | AdminAddress;
  /** How a refusal by the mesh reaches the caller: as an ordinary answer (default, as behind a sidecar) or thrown. */
  readonly localReplies?: 'answer' | 'throw';
  /** Bytes of a one-shot request body kept for another try. Default 64 KiB; beyond it there is no retry. */
  readonly replayBytes?: number;
  /** Who this process proves to be: a source of certificates, or false for nobody. Default: found from the environment. */
  readonly identity?: CertificateSource | false;
  /**
   * Says who calls where TLS ends between two workloads (a load balancer, a serverless platform): calls to services of the mesh carry
   * a signed token, and those of callers are believed. Both ends must ask for it. `audiences`: names this workload is called by, besides
   * the services whose selectors choose it. Default: off.
   */
  readonly hopTokens?: boolean | { readonly audiences: readonly string[] };
  /** Verifies tokens of callers (RequestAuthentication). Default: JWTs, with keys from where the policy says. */
  readonly tokens?: TokenVerifiers;
  /** Who keeps decisions about callers. */
  readonly audit?: readonly AuditSink[];
  /**
   * Where services and endpoints are registered; of one service the endpoints of all are used. Default: those of INMESH_REGISTRIES.
   * [] for none.
   */
  readonly registries?: readonly (string | Registry)[];
  /** How names are looked up: which servers are asked (INMESH_DNS_SERVERS), for which families of addresses. */
  readonly dns?: DnsOptions;
  /** Where endpoints come from besides: the lists of all that handle a service are one. */
  readonly resolvers?: readonly Resolver[];
  /** What is measured beside Istio's metrics and Envoy's statistics of clusters. */
  readonly metrics?: MetricsOptions;
  /** Who else counts calls and hears of events. */
  readonly observers?: readonly Observer[];
  /**
   * Traces go with the calls made for a request, without the program passing anything on. `forward`: other headers that do, to services of
   * the mesh (at most 16), so that routes can choose by them in every hop. false: nothing is handed on, and no span is made.
   */
  readonly tracing?: false | { readonly forward?: readonly string[] };
  /** Hears of everything rare: a policy applied or refused, an endpoint ejected. Shorthand for an observer. */
  readonly onEvent?: (event: MeshEvent) => void;
  /** Time the first document may take, per place it is looked for. Default 5 s. */
  readonly startTimeoutMs?: number;
}

export interface AdminAddress {
  readonly port: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Host headers accepted besides addresses and localhost. */
  readonly allowedHosts?: readonly string[];
  /** Shows all of it to people, too, at /console/. Default: off, or on with INMESH_CONSOLE=1. */
  readonly console?: boolean;
}

export interface MeshStatus extends EngineStatus {
  /** Does the global fetch follow the mesh? `displaced`: it did, and then somebody else set the global dispatcher. */
  readonly installed: 'no' | 'yes' | 'displaced';
  /** Where the policy comes from, and what is wrong with that place at the moment ('' = nothing). */
  readonly source: { readonly name: string; readonly trouble: string };
  /** Warnings and remarks on the document in force. */
  readonly problems: readonly Problem[];
  /** What this process knows about itself (`workload`), and for each field who says so: see docs/workload.md. */
  readonly self: Facts;
  /** Who this process proves to be, and what is wrong with the source of its certificate ('' = nothing); null: nobody. */
  readonly identity: IdentityStatus | null;
  /** The registries that are followed, and what is wrong with each at the moment ('' = nothing). */
  readonly registries: readonly { readonly name: string; readonly trouble: string }[];
  /** What the services of the policy have promised, and how they keep it as far as this process sees. */
  readonly objectives: readonly ObjectiveStatus[];
}

export interface IdentityStatus {
  readonly source: string;
  /** '' until there is a certificate. */
  readonly principal: string;
  /** Milliseconds since 1970; 0 until there is a certificate. */
  readonly expiresAt: number;
  readonly trouble: string;
}

/** Clients and servers of @grpc/grpc-js. */
export type Grpc = GrpcClients & GrpcServers<InboundMesh>;

/** The mesh of this process. */
export interface Mesh extends Servers {
  /** The built-in fetch, through the mesh. */
  readonly fetch: Fetch;
  /** The cheapest way to call: the body is collected, no stream is made unless asked for. */
  readonly request: Request;
  /** For @grpc/grpc-js. */
  readonly grpc: Grpc;
  /** For @connectrpc/connect 2: `createTransport(mesh.connectrpc({ baseUrl: 'http://ratings' }))`. */
  readonly connectrpc: Connectrpc;
  /** For undici: `undici.request(url, { dispatcher: mesh.dispatcher })`. */
  readonly dispatcher: MeshDispatcher;
  /** Makes the global fetch of this process follow the mesh, until `close`. */
  readonly install: () => void;
  /** What would become of a request, and why. Nothing is sent. */
  readonly explain: (request: ExplainRequest) => Explanation;
  readonly status: () => MeshStatus;
  /** Prometheus text. */
  readonly metrics: () => string;
  /**
   * The same and Node's own metrics for @opentelemetry/sdk-metrics 3.x:
   * `new PeriodicExportingMetricReader({ exporter, metricProducers: [mesh.metricProducer()] })`.
   */
  readonly metricProducer: () => MetricProducer;
  /** Address of the admin port, undefined if it is off. */
  readonly adminUrl: string | undefined;
  /** Restores the global fetch, lets calls in flight finish (at most `graceMs`, default 10 s), ends those that did not, and frees everything. */
  readonly close: (options?: { readonly graceMs?: number }) => Promise<void>;
}

/**
 * Starts the mesh of this process. Resolves when the first policy is in force; rejects with POLICY_INVALID, listing what
 * is wrong, when there is none. From then on a bad or missing update changes nothing.
 */
export async function createMesh(options: CreateMeshOptions = {}): Promise<Mesh> {
  let engine: Engine | undefined;
  const dns = openDns(options.dns, () => engine?.settings.dnsRefreshRateMs ?? 60_000);
  const registries = await openRegistries(options.registries);
  const written = await policyFrom(options.policy ?? process.env['INMESH_POLICY'] ?? '', {
    cacheFile: options.policyCache ?? process.env['INMESH_POLICY_CACHE'],
    needed: registries.length === 0,
  });
  const { workload: me, facts } = await findWorkload(options.workload, registries);
  let keyring: Keyring | undefined;
  let telemetry: Telemetry | undefined;
  const source = joinSources(
    written,
    registries.flatMap(({ services }) => services ?? []),
  );
  const trouble = { text: '', since: 0 };
  let document: Document | undefined;
  const handlers: DocumentHandlers = {
    document: (next) => {
      // Before the engine exists, the first document waits here for it.
      if (engine !== undefined) telemetry!.enforcement.apply(resolve(next, me), next.fingerprint);
      document = next;
    },
    rejected: ({ version, reason }) => engine?.reject(version, reason),
    source: (state, reason) => {
      trouble.text = reason;
      trouble.since = state === 'ok' ? 0 : trouble.since || systemClock.wall();
      telemetry?.observer.event({ type: 'policy.source', state, reason });
    },
  };
  const watch = await firstDocument(source, handlers, {
    timeoutMs: options.startTimeoutMs ?? 5000,
    fallbacks: options.bundledPolicy === undefined ? [] : [await policyFrom(options.bundledPolicy)],
  }).catch((error: unknown) => {
    for (const { close } of registries) close?.();
    throw error instanceof NoDocumentError ? new MeshError('POLICY_INVALID', describe(error), { cause: error }) : error;
  });
  try {
    const began = document!;
    const model = resolve(began, me);
    const { trustDomain } = model.settings;
    telemetry = openTelemetry({ workload: me, trustDomain, principal: () => keyring?.identity()?.principal.uri }, options);
    const { observer, tracer, enforcement } = telemetry;
    observer.event({ type: 'policy.source', state: trouble.text === '' ? 'ok' : 'failing', reason: trouble.text });
    engine = await Engine.create(model, began.fingerprint, {
      resolvers: [...(options.resolvers ?? []), ...registries.map(({ resolver }) => resolver), dns],
      health: healthChecks(),
      observer,
      tracer,
      localReplies: options.localReplies,
      audit: options.audit,
      metadata: metadataExchange(me),
      tokens: options.tokens ?? tokenVerifiers(),
    });
    enforcement.start(engine);
    // The source may have spoken again while the engine was made.
    if (document !== began) enforcement.apply(resolve(document!, me), document!.fingerprint);
    keyring = await openKeyring(options, engine, observer);
    for (const { join } of registries) join?.(me);
    return await assemble(engine, {
      options,
      source,
      trouble,
      telemetry,
      watch,
      keyring,
      registries,
      facts,
      document: () => document!,
    });
  } catch (error) {
    // Half a mesh is none: nothing may go on watching.
    watch.close();
    await engine?.close(0);
    await telemetry?.close();
    for (const { close } of registries) close?.();
    throw error;
  }
}

interface Parts {
  readonly options: CreateMeshOptions;
  readonly source: PolicySource;
  readonly trouble: { readonly text: string; readonly since: number };
  readonly telemetry: Telemetry;
  readonly watch: { close(): void };
  readonly keyring: Keyring | undefined;
  readonly registries: readonly Registry[];
  readonly facts: Facts;
  readonly document: () => Document;
}

async function assemble(engine: Engine, parts: Parts): Promise<Mesh> {
  const { options, source, trouble, telemetry, watch, keyring, registries, facts, document } = parts;
  const dispatcher = new MeshDispatcher(engine, { replayBytes: options.replayBytes, credentials: keyring });
  const room = new ServerRoom({ mesh: engine, credentials: keyring });
  let installed: Installed | undefined;
  const { metrics, tap, enforcement } = telemetry;
  const { objectives } = enforcement;
  const status = (): MeshStatus => ({
    ...engine.status(),
    installed: installed === undefined ? 'no' : installed.displaced ? 'displaced' : 'yes',
    source: { name: source.name, trouble: trouble.text },
    problems: document().problems,
    self: facts,
    identity: identityStatus(keyring),
    registries: registries.map(({ name, trouble: wrong }) => ({ name, trouble: wrong() })),
    objectives: objectives.status(),
  });
  const explain = (request: ExplainRequest): Explanation => engine.explain(request);
  metrics.look({
    upstream: () => engine.upstream(),
    rbac: () => engine.rbac(),
    health: () => ({
      policy: engine.policy,
      source: { failingSince: trouble.since },
      registries: registries.map(({ name, trouble: wrong }) => ({ name, trouble: wrong() })),
      identity: identityStatus(keyring),
    }),
  });
  const unannounce = announceMetrics(() => metrics.producer());
  const address = adminAddress(options.admin);
  // Loaded only when asked for: most processes never open it.
  const admin =
    address === undefined
      ? undefined
      : await import('@inmesh/admin').then(({ startAdmin }) =>
          startAdmin({
            ...address,
            metrics: { text: metrics.page() },
            status,
            snapshot: () => engine.model,
            explain,
            ready: () => room.ready,
            tap: (listener) => tap.tap(listener),
            slo: () => objectives.status(),
          }),
        );
  let closing: Promise<void> | undefined;
  const close = async (graceMs: number): Promise<void> => {
    watch.close();
    enforcement.close();
    keyring?.close();
    installed?.uninstall();
    installed = undefined;
    // First of all nobody shall be sent here any more.
    await Promise.all(registries.map(async ({ leave }) => leave?.()));
    // Before the engine: what its servers have under way may still want to call others.
    const began = systemClock.now();
    await room.close(graceMs);
    await engine.close(Math.max(0, graceMs - (systemClock.now() - began)));
    // Whoever took longer than the grace is ended.
    await Promise.all([dispatcher.destroy(), admin?.close()]);
    unannounce();
    for (const { close: release } of registries) release?.();
    // What was accepted is there at the next start.
    await source.lastGood?.idle();
    // The last calls and decisions are on their way to disk.
    await telemetry.close();
    await Promise.allSettled((options.audit ?? []).map(async (sink) => sink.close?.()));
  };
  return {
    ...room.servers,
    fetch: createFetch(dispatcher),
    request: createRequest(dispatcher),
    dispatcher,
    connectrpc: createConnectrpc(dispatcher),
    grpc: { ...createGrpcClients(engine, { replayBytes: options.replayBytes, credentials: keyring }), ...room.grpc },
    install: () => {
      if (closing !== undefined) throw new MeshError('MISUSE', 'the mesh is closed and cannot be installed: create a new one');
      if (installed?.displaced === true) installed.uninstall();
      if (installed === undefined || installed.displaced) installed = install(dispatcher);
    },
    explain,
    status,
    metrics: () => metrics.text(),
    metricProducer: () => metrics.producer(),
    adminUrl: admin?.url,
    close: ({ graceMs = 10_000 } = {}) => (closing ??= close(graceMs)),
  };
}

async function openKeyring(
  { identity, hopTokens = false, startTimeoutMs = 5000 }: CreateMeshOptions,
  engine: Engine,
  observer: Observer,
): Promise<Keyring | undefined> {
  const source = identity === false ? undefined : (identity ?? (await detectCertificates(engine.settings.trustDomainAliases)));
  if (source === undefined) {
    if (hopTokens === false) return undefined;
    throw new MeshError('MISUSE', 'hopTokens are signed with a certificate, and there is none: set INMESH_CERTIFICATES, or identity');
  }
  const audiences = hopTokens === false ? undefined : audiencesOf(engine, hopTokens === true ? [] : hopTokens.audiences);
  const tools = { clock: systemClock, random: Math.random, onEvent: (event: MeshEvent) => observer.event(event), audiences };
  return Keyring.open(source, startTimeoutMs, tools);
}

/** The services of the policy in force that this workload is a member of, and those it was given. */
function audiencesOf(engine: Engine, given: readonly string[]): () => ReadonlySet<string> {
  let services: Engine['model']['inbound']['services'] | undefined;
  let audiences: ReadonlySet<string> = new Set();
  return () => {
    if (services !== engine.model.inbound.services) {
      ({ services } = engine.model.inbound);
      audiences = new Set([...given.map((name) => name.toLowerCase()), ...services.map(({ host }) => host)]);
    }
    return audiences;
  };
}

function identityStatus(keyring: Keyring | undefined): IdentityStatus | null {
  if (keyring === undefined) return null;
  const identity = keyring.identity();
  return { source: keyring.name, principal: identity?.principal.uri ?? '', expiresAt: identity?.expiresAt ?? 0, trouble: keyring.trouble };
}

function adminAddress(option: CreateMeshOptions['admin']): AdminAddress | undefined {
  const console = process.env['INMESH_CONSOLE'] === '1';
  if (typeof option === 'number') return { port: option, console };
  if (option !== undefined) return { console, ...option };
  const port = process.env['INMESH_ADMIN_PORT'];
  if (port === undefined || port === '') return undefined;
  if (!/^\d{1,5}$/.test(port)) throw new MeshError('MISUSE', `INMESH_ADMIN_PORT is "${port}", but must be a port number`);
  return { port: Number(port), console };
}

/** All that is wrong, one line each, so that a failed start can be mended in one go. */
function describe(error: NoDocumentError): string {
  const lines = error.problems
    .filter(({ severity }) => severity === 'error')
    .map(
      ({ code, file, line, column, resource, path, message, hint }) =>
        `  ${file}:${line}:${column} [${code}] ${resource} ${path}: ${message}${hint === '' ? '' : ` (${hint})`}`,
    );
  return [error.message, ...lines].join('\n');
}
