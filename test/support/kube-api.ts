import { createServer as createHttp, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { parse as parseYaml } from 'yaml';
import { createDevCa } from '@inmesh/identity/dev';
import { kinds } from '@inmesh/policy';
import { jsonPatch, KubeStore, mergePatch, Refusal, selects, type ServedKind, type Stored } from './kube-store.ts';

/** A request as the server saw it. */
export interface SeenRequest {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly token: string | undefined;
  readonly watch: boolean;
}

export interface KubeApiOptions {
  /** Tokens that are let in. Default: everybody is. */
  readonly tokens?: readonly string[];
  /** Serves https with a certificate of a CA of its own. Default: plain http, where kubectl sends no tokens. */
  readonly tls?: boolean;
  /** Between bookmarks. Default 1 s, where real servers take a minute. */
  readonly bookmarkMs?: number;
  readonly kinds?: readonly ServedKind[];
}

const core = (plural: string, kind: string, namespaced = true): ServedKind => ({ group: '', version: 'v1', plural, kind, namespaced });

/** Every policy kind as if its CRD were installed, and what the mesh reads of Kubernetes itself. */
export const ALL_KINDS: readonly ServedKind[] = [
  core('namespaces', 'Namespace', false), core('services', 'Service'), core('pods', 'Pod'), core('nodes', 'Node', false),
  core('configmaps', 'ConfigMap'),
  { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', kind: 'EndpointSlice', namespaced: true },
  ...kinds
    .filter(({ group }) => group !== '' && group !== 'discovery.k8s.io')
    .map(({ group, versions, kind, clusterScoped }) => ({
      group, version: versions[0]!, plural: pluralOf(kind), kind, namespaced: !clusterScoped,
    })),
]; // prettier-ignore

function pluralOf(kind: string): string {
  const word = kind.toLowerCase();
  return word.endsWith('y') && !word.endsWith('ay') ? `${word.slice(0, -1)}ies` : `${word}s`;
}

interface Target {
  readonly kind: ServedKind;
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

/** A stream under way. */
interface Stream {
  readonly response: ServerResponse;
  readonly path: string;
  readonly send: (type: string, object: unknown) => void;
  readonly close: () => void;
}

/**
 * An API server that keeps Kubernetes' protocol, for tests: discovery, lists in pages, watches with bookmarks and history, patches, tokens
 * and permissions. And the ways in which such servers fail.
 */
export class KubeApiServer implements AsyncDisposable {
  readonly store = new KubeStore();
  readonly seen: SeenRequest[] = [];
  readonly tokens: Set<string> | undefined;
  readonly #options: KubeApiOptions;
  readonly #kinds: ServedKind[];
  readonly #streams = new Set<Stream>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #ca = createDevCa();
  #port = 0;
  #frozen = false;
  #refuse: (request: SeenRequest) => Refusal | undefined = () => undefined;
  readonly #slow = new Map<string, number>();
  #mangle: (line: string) => string = (line) => line;

  private constructor(options: KubeApiOptions) {
    this.#options = options;
    this.#kinds = [...(options.kinds ?? ALL_KINDS)];
    this.tokens = options.tokens === undefined ? undefined : new Set(options.tokens);
    for (const name of ['default', 'shop', 'kube-system'])
      this.store.put('/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }

  static async start(options: KubeApiOptions = {}): Promise<KubeApiServer> {
    const server = new KubeApiServer(options);
    await server.up();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `${this.#options.tls === true ? 'https' : 'http'}://127.0.0.1:${this.#port}`;
  }

  /** Watches under way, by path. */
  get watches(): readonly string[] {
    return [...this.#streams].map(({ path }) => path);
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Whom to trust; PEM. */
  get ca(): string {
    return this.#ca.roots;
  }

  /** From now on new connections meet a certificate of another CA. */
  rotateCa(): void {
    this.#ca = createDevCa();
    (this.#server as HttpsServer).setSecureContext(this.#certificate());
  }

  /** A kubeconfig for this server; namespace of its context: shop. */
  kubeconfig(token?: string): string {
    const user = token === undefined ? {} : { token };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'shop' } }],
      clusters: [
        {
          name: 'test',
          cluster: {
            server: this.url,
            ...(this.#options.tls === true && { 'certificate-authority-data': Buffer.from(this.ca).toString('base64') }),
          },
        },
      ],
      users: [{ name: 'test', user }],
    });
  }

  /** Creates or replaces an object as YAML or data, as `kubectl apply` would. */
  apply(...given: readonly (string | object)[]): void {
    for (const one of given)
      for (const text of typeof one === 'string' ? one.split(/^---$/m) : [one]) {
        const object = (typeof text === 'string' ? parseYaml(text) : text) as Stored | null;
        if (object === null) continue;
        const kind = this.#kinds.find(({ kind: name, group }) => name === object.kind && object.apiVersion!.startsWith(group))!;
        const namespace = kind.namespaced ? { namespace: object.metadata.namespace ?? 'shop' } : {};
        this.store.put(collectionOf(kind), { ...object, metadata: { ...object.metadata, ...namespace } });
      }
  }

  remove(kindName: string, name: string, namespace = 'shop'): void {
    const kind = this.#kinds.find((one) => one.kind === kindName)!;
    this.store.delete(collectionOf(kind), kind.namespaced ? namespace : '', name);
  }

  /** Installs a CRD. */
  install(kind: ServedKind): void {
    this.#kinds.push(kind);
  }

  /** Uninstalls one. */
  uninstall(name: string): void {
    this.#kinds.splice(
      this.#kinds.findIndex(({ kind }) => kind === name),
      1,
    );
  }

  /** Some requests are answered with an error instead. Nothing given: no longer. */
  refuse(refusal: (request: SeenRequest) => Refusal | undefined = () => undefined): void {
    this.#refuse = refusal;
  }

  forbid(...plurals: readonly string[]): void {
    this.refuse(({ path }) =>
      plurals.some((plural) => path.split('/').includes(plural))
        ? new Refusal(403, 'Forbidden', `${plurals.join()} is forbidden: User "system:serviceaccount:shop:default" cannot list resource`)
        : undefined,
    );
  }

  /** Requests for a path wait before they are answered. */
  slow(path: string, ms: number): void {
    this.#slow.set(path, ms);
  }

  /** What watches send goes through this: for garbage. Nothing given: no longer. */
  mangle(by: (line: string) => string = (line) => line): void {
    this.#mangle = by;
  }

  /** Ends all watches as an orderly server does. */
  endWatches(): void {
    for (const { response } of this.#streams) response.end();
  }

  /** Cuts all connections in the middle of an event. */
  cutMidEvent(): void {
    for (const { response } of this.#streams)
      response.write('{"type":"MODIFIED","object":{"metadata":{"name":"re', () => response.socket?.destroy());
  }

  /** Accepts connections and says nothing any more; watches go silent. */
  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
  }

  async down(): Promise<void> {
    const dying = this.#server;
    this.#server = undefined;
    if (dying === undefined) return;
    const closed = new Promise<void>((resolve) => dying.close(() => resolve()));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    for (const stream of this.#streams) stream.close();
    await closed;
  }

  async up(): Promise<void> {
    const listener: RequestListener = (request, response) => void this.#serve(request, response);
    const server = this.#options.tls === true ? createHttps(this.#certificate(), listener) : createHttp(listener);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(this.#port, '127.0.0.1', 511, resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down();
  }

  #certificate(): { readonly cert: string; readonly key: string } {
    const { certificate, privateKey } = this.#ca.issue({ serviceAccount: 'kube-apiserver', hosts: ['127.0.0.1', 'localhost'] });
    return { cert: certificate, key: privateKey };
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const url = new URL(message.url!, 'http://api');
    const token = /^Bearer (.*)$/.exec(message.headers.authorization ?? '')?.[1];
    const watch = ['1', 'true'].includes(url.searchParams.get('watch') ?? '');
    const request = { at: performance.now(), method: message.method!, path: url.pathname, query: url.searchParams, accept: message.headers.accept ?? '', token, watch }; // prettier-ignore
    this.seen.push(request);
    if (this.#frozen) return;
    const ms = this.#slow.get(url.pathname);
    if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms));
    try {
      if (this.tokens !== undefined && (token === undefined || !this.tokens.has(token)))
        throw new Refusal(401, 'Unauthorized', 'Unauthorized');
      const refusal = this.#refuse(request);
      if (refusal !== undefined) throw refusal;
      const chunks: Buffer[] = [];
      for await (const chunk of message) chunks.push(chunk as Buffer);
      if (url.pathname === '/openapi/v2' && request.accept.includes('protobuf')) {
        response.writeHead(200, { 'content-type': 'application/octet-stream' });
        return void response.end(OPENAPI_V2);
      }
      const known = this.#discovery(url.pathname);
      if (known !== undefined) return send(message, response, 200, known);
      const target = this.#target(url.pathname);
      if (target === undefined) throw new Refusal(404, 'NotFound', 'the server could not find the requested resource');
      if (watch) return this.#watch(target, request, response);
      const [status, object] = this.#answer(target, request, message, Buffer.concat(chunks).toString());
      send(message, response, status, object);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(message, response, error.status, statusOf(error));
    }
  }

  #target(path: string): Target | undefined {
    const match = /^\/(?:api\/(?<core>v1)|apis\/(?<group>[^/]+)\/(?<version>[^/]+))(?:\/namespaces\/(?<namespace>[^/]+)(?=\/))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+))?$/.exec(path); // prettier-ignore
    if (match === null) return undefined;
    const { group = '', version = 'v1', namespace, plural, name } = match.groups!;
    const kind = this.#kinds.find((one) => one.group === group && one.version === version && one.plural === plural);
    return kind === undefined ? undefined : { kind, collection: collectionOf(kind), namespace, name };
  }

  #discovery(path: string): object | undefined {
    const groups = Map.groupBy(
      this.#kinds.filter(({ group }) => group !== ''),
      ({ group }) => group,
    );
    switch (path) {
      case '/version':
        return { major: '1', minor: '32', gitVersion: 'v1.32.0', platform: 'linux/amd64' };
      case '/api':
        return { kind: 'APIVersions', versions: ['v1'] };
      case '/apis':
        return {
          kind: 'APIGroupList',
          apiVersion: 'v1',
          groups: [...groups].map(([name, all]) => {
            const versions = [...new Set(all.map(({ version }) => version))].map((version) => ({
              groupVersion: `${name}/${version}`,
              version,
            }));
            return { name, versions, preferredVersion: versions[0] };
          }),
        };
      case '/openapi/v3':
        return { paths: Object.fromEntries(this.#groupVersions().map((gv) => [gv, { serverRelativeURL: `/openapi/v3/${gv}?hash=1` }])) };
    }
    const openapi = /^\/openapi\/v3\/(.*)$/.exec(path);
    if (openapi !== null) return this.#openapi(openapi[1]!);
    const [, group = '', version = 'v1'] = /^\/(?:api|apis\/([^/]+))\/([^/]+)$/.exec(path) ?? ['', 'none', ''];
    const served = this.#kinds.filter((one) => one.group === group && one.version === version);
    if (served.length === 0) return undefined;
    return {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: group === '' ? version : `${group}/${version}`,
      resources: served.map(({ plural, kind, namespaced }) => ({
        name: plural,
        singularName: kind.toLowerCase(),
        namespaced,
        kind,
        verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
      })),
    };
  }

  #groupVersions(): readonly string[] {
    return [...new Set(this.#kinds.map(({ group, version }) => (group === '' ? `api/${version}` : `apis/${group}/${version}`)))];
  }

  #schemas(): Record<string, object> {
    return Object.fromEntries(
      this.#kinds.map(({ group, version, kind }) => [
        `${group === '' ? 'core' : group}.${version}.${kind}`,
        {
          type: 'object',
          'x-kubernetes-preserve-unknown-fields': true,
          'x-kubernetes-group-version-kind': [{ group, version, kind }],
        },
      ]),
    );
  }

  /** That PATCH takes `fieldValidation` is what kubectl looks for: then the server checks, and not the client. */
  #openapi(groupVersion: string): object {
    const parameters = [{ name: 'fieldValidation', in: 'query', schema: { type: 'string' } }, { name: 'dryRun', in: 'query', schema: { type: 'string' } }]; // prettier-ignore
    const paths = this.#kinds
      .filter(({ group, version }) => groupVersion === (group === '' ? `api/${version}` : `apis/${group}/${version}`))
      .map(({ group, version, kind, plural, namespaced }) => [
        `/${groupVersion}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}/{name}`,
        {
          patch: { parameters, 'x-kubernetes-action': 'patch', 'x-kubernetes-group-version-kind': { group, version, kind }, responses: {} },
        },
      ]);
    return { openapi: '3.0.0', info: { title: 'Kubernetes', version: 'v1.32.0' }, paths: Object.fromEntries(paths), components: { schemas: this.#schemas() } }; // prettier-ignore
  }

  #answer(
    { kind, collection, namespace, name }: Target,
    { method, query, accept }: SeenRequest,
    message: IncomingMessage,
    body: string,
  ): readonly [number, object] {
    const place = kind.namespaced ? (namespace ?? '') : '';
    const found = name === undefined ? undefined : this.store.get(collection, place, name);
    const missing = (): Refusal =>
      new Refusal(404, 'NotFound', `${kind.plural}${kind.group === '' ? '' : `.${kind.group}`} "${name}" not found`);
    const own = (object: Stored): Stored => ({
      ...object,
      metadata: { ...object.metadata, ...(kind.namespaced ? { namespace: place } : {}) },
    });
    const type = message.headers['content-type']?.split(';', 1)[0] ?? '';
    switch (method) {
      case 'GET':
        if (name === undefined) return [200, this.#list(kind, collection, namespace, query, accept)];
        if (found === undefined) throw missing();
        return [200, shown(kind, found, accept)];
      case 'POST': {
        const object = own(parseYaml(body) as Stored);
        if (this.store.get(collection, place, object.metadata.name) !== undefined)
          throw new Refusal(409, 'AlreadyExists', `${kind.plural} "${object.metadata.name}" already exists`);
        return [201, this.store.put(collection, object)];
      }
      case 'PUT':
        if (found === undefined) throw missing();
        return [200, this.store.put(collection, own(parseYaml(body) as Stored))];
      case 'PATCH': {
        if (type === 'application/apply-patch+yaml')
          return [200, this.store.put(collection, own(mergePatch(found, parseYaml(body)) as Stored))];
        if (found === undefined) throw missing();
        const builtIn = kind.group === '' || (kind.group.endsWith('k8s.io') && !kind.group.startsWith('gateway'));
        if (type === 'application/json-patch+json') return [200, this.store.put(collection, jsonPatch(found, JSON.parse(body) as []))];
        // CRDs know nothing of strategic merging; of built-in kinds only maps are patched in tests.
        if (type === 'application/merge-patch+json' || (type === 'application/strategic-merge-patch+json' && builtIn))
          return [200, this.store.put(collection, mergePatch(found, JSON.parse(body)) as Stored)];
        throw new Refusal(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - ${type}`);
      }
      case 'DELETE':
        if (found === undefined) throw missing();
        this.store.delete(collection, place, name!);
        return [200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name, kind: kind.plural, uid: found.metadata.uid } }]; // prettier-ignore
      default:
        throw new Refusal(405, 'MethodNotAllowed', method);
    }
  }

  #list(kind: ServedKind, collection: string, namespace: string | undefined, query: URLSearchParams, accept: string): object {
    const all = this.store.list(collection).filter((object) => this.#selected(object, namespace, query));
    const limit = Number(query.get('limit') ?? 0);
    let { revision } = this.store;
    let start = 0;
    const token = query.get('continue');
    if (token !== null && token !== '') {
      const { revision: of, after } = JSON.parse(Buffer.from(token, 'base64url').toString()) as { revision: number; after: string };
      if (this.store.since(of) === undefined)
        throw new Refusal(410, 'Expired', 'The provided continue parameter is too old to display a consistent list result.');
      revision = of;
      start = all.findIndex((object) => `${object.metadata.namespace ?? ''}/${object.metadata.name}` > after);
      if (start < 0) start = all.length;
    }
    const items = limit > 0 ? all.slice(start, start + limit) : all.slice(start);
    const last = items.at(-1);
    const more = start + items.length < all.length && last !== undefined;
    const next = more
      ? Buffer.from(JSON.stringify({ revision, after: `${last.metadata.namespace ?? ''}/${last.metadata.name}` })).toString('base64url')
      : '';
    const partial = wantsMetadata(accept);
    return {
      kind: partial ? 'PartialObjectMetadataList' : `${kind.kind}List`,
      apiVersion: partial ? 'meta.k8s.io/v1' : apiVersionOf(kind),
      metadata: {
        resourceVersion: String(revision),
        ...(more ? { continue: next, remainingItemCount: all.length - start - items.length } : {}),
      },
      // Items of lists of built-in kinds do not say what they are.
      items: items
        .map((object) => shown(kind, object, accept))
        .map(({ kind: itsKind, apiVersion, ...rest }) =>
          kind.group === '' || kind.group === 'discovery.k8s.io' ? rest : { apiVersion, kind: itsKind, ...rest },
        ),
    };
  }

  #selected(object: Stored, namespace: string | undefined, query: URLSearchParams): boolean {
    const { metadata } = object;
    if (namespace !== undefined && metadata.namespace !== namespace) return false;
    const fields = query.get('fieldSelector') ?? '';
    const wanted = /(?:^|,)metadata\.name=([^,]*)/.exec(fields)?.[1];
    if (wanted !== undefined && metadata.name !== wanted) return false;
    return selects(query.get('labelSelector') ?? '', metadata.labels);
  }

  #watch({ kind, collection, namespace, name }: Target, request: SeenRequest, response: ServerResponse): void {
    const { query, accept, path } = request;
    if (name !== undefined) query.set('fieldSelector', `metadata.name=${name}`);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const send = (type: string, object: unknown): void => {
      if (!this.#frozen && !response.writableEnded) response.write(this.#mangle(`${JSON.stringify({ type, object })}\n`));
    };
    const tell = (before: Stored | undefined, after: Stored | undefined, revision: number): void => {
      const was = before !== undefined && this.#selected(before, namespace, query);
      const is = after !== undefined && this.#selected(after, namespace, query);
      if (is) send(was ? 'MODIFIED' : 'ADDED', shown(kind, after, accept));
      // Whoever leaves a selection is told as deleted, at the revision of that.
      else if (was)
        send(
          'DELETED',
          shown(kind, { ...(after ?? before), metadata: { ...(after ?? before).metadata, resourceVersion: String(revision) } }, accept),
        );
    };
    const from = query.get('resourceVersion') ?? '';
    const missed = from === '' || from === '0' ? undefined : this.store.since(Number(from));
    if (from === '' || from === '0') for (const object of this.store.list(collection)) tell(undefined, object, this.store.revision);
    else if (missed === undefined) {
      send('ERROR', statusOf(new Refusal(410, 'Expired', `too old resource version: ${from} (${this.store.revision})`)));
      response.end();
      return;
    } else for (const { collection: its, before, after, revision } of missed) if (its === collection) tell(before, after, revision);
    const stop = this.store.listen((change) => {
      if (change.collection === collection) tell(change.before, change.after, change.revision);
    });
    const bookmarks = ['true', '1'].includes(query.get('allowWatchBookmarks') ?? '') ? this.#bookmarks(kind, send) : undefined;
    const seconds = Number(query.get('timeoutSeconds') ?? 1800);
    const timeout = setTimeout(() => response.end(), seconds * 1000).unref();
    const close = (): void => {
      stop();
      clearInterval(bookmarks);
      clearTimeout(timeout);
      this.#streams.delete(stream);
    };
    const stream: Stream = { response, path, send, close };
    this.#streams.add(stream);
    response.on('close', close);
  }

  #bookmarks(kind: ServedKind, send: Stream['send']): ReturnType<typeof setInterval> {
    return setInterval(
      () =>
        send('BOOKMARK', {
          kind: kind.kind,
          apiVersion: apiVersionOf(kind),
          metadata: { resourceVersion: String(this.store.revision), creationTimestamp: null },
        }),
      this.#options.bookmarkMs ?? 1000,
    ).unref();
  }
}

/** What older kubectls ask for before they apply: a document without definitions, after which they check nothing themselves. */
const OPENAPI_V2 = Buffer.from('\n\x032.0\x12\x15\n\nKubernetes\x12\x07v1.32.0', 'latin1');

const collectionOf = ({ group, plural }: ServedKind): string => `${group}/${plural}`;
const apiVersionOf = ({ group, version }: ServedKind): string => (group === '' ? version : `${group}/${version}`);
const wantsMetadata = (accept: string): boolean => /as=PartialObjectMetadata/.test(accept);

function shown(kind: ServedKind, object: Stored, accept: string): Stored {
  if (wantsMetadata(accept)) return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
  return { ...object, kind: kind.kind, apiVersion: apiVersionOf(kind) };
}

const statusOf = ({ status, reason, message }: Refusal): object => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message,
  reason,
  code: status,
});

function send(request: IncomingMessage, response: ServerResponse, status: number, object: object): void {
  const body = Buffer.from(JSON.stringify(object));
  // As the real one: large answers are packed for those who take it.
  const packed = body.length > 4096 && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  response.writeHead(status, { 'content-type': 'application/json', ...(packed ? { 'content-encoding': 'gzip' } : {}) });
  response.end(packed ? gzipSync(body) : body);
}
