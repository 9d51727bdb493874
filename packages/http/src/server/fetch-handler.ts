import {
  type Connection,
  editLines,
  type Exchange,
  isGrpc,
  type LocalAnswer,
  MeshError,
  type Principal,
  readCall,
  type Received,
} from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import { type Outlet, Serving } from './serving.ts';
import { type InboundMesh, Told } from './told.ts';
import { hopProof } from './trust.ts';
import type { InboundWiring } from './wiring.ts';

/** A handler of fetch-style requests: `app.fetch` of Hono and its like. What an adapter passes besides the request is passed on. */
export type FetchHandler<Rest extends unknown[]> = (request: Request, ...rest: Rest) => Response | Promise<Response>;

/** What an adapter knows of the other end. Who proved an identity there is believed. */
export interface FetchPeer {
  readonly principal?: Principal;
  readonly remoteAddress?: string;
  readonly localPort?: number;
}

/**
 * Rules over requests around a fetch-style handler. The connection is the adapter's: `peerOf` says what it knows of it, and
 * without a word about it, or hop tokens, a call is refused (403) where a policy asks who is at the other end. The handler finds what was
 * learned of the caller at `request.mesh`.
 */
export function createFetchHandler<Rest extends unknown[]>(
  wiring: InboundWiring,
  handler: FetchHandler<Rest>,
  peerOf: (request: Request, ...rest: Rest) => FetchPeer | undefined = () => undefined,
): FetchHandler<Rest> {
  const { mesh } = wiring;
  const hops = hopProof(wiring);
  return (request, ...rest) => {
    const peer = peerOf(request, ...rest);
    const port = peer?.localPort ?? 0;
    if (peer === undefined && hops === undefined && mesh.asksForPeer(port)) return new Response('RBAC: access denied', { status: 403 });
    const connection: Connection = {
      principal: peer?.principal,
      remoteAddress: peer?.remoteAddress ?? '',
      localAddress: '',
      localPort: port,
      tls: request.url.startsWith('https:'),
      sni: undefined,
    };
    return new Promise<Response>((resolve, reject) => {
      const outlet = new FetchOutlet(request, (passed) => handler(passed, ...rest), resolve, reject);
      const routed = mesh.receive(port);
      const serving = new Serving(mesh, routed, outlet);
      outlet.watch(serving);
      const received = receivedOf(request);
      const editor = {
        edit(ops: readonly HeaderOp[]): void {
          editLines(received.rawHeaders, ops);
          outlet.edit(ops);
        },
      };
      try {
        serving.run(routed, readCall(received, connection, mesh.model, editor, hops, mesh.metadata));
      } catch (error) {
        if (!MeshError.is(error)) throw error;
        serving.reject(error, isGrpc(received.method, received.rawHeaders));
      }
    });
  };
}

/** The URL says for whom it is; a Host that says otherwise is refused as in a request of HTTP. */
function receivedOf({ method, url, headers }: Request): Received {
  const { protocol, host } = new URL(url);
  const scheme = protocol === 'https:' ? 'https' : 'http';
  return {
    method,
    target: url.slice(url.indexOf('/', url.indexOf('//') + 2)),
    rawHeaders: [...headers].flat(),
    authority: sameHost(headers.get('host'), protocol, host) ? undefined : host,
    scheme,
    upgrade: false,
  };
}

/** A URL leaves a default port out, a Host header may hold it. */
function sameHost(header: string | null, protocol: string, host: string): boolean {
  return header !== null && URL.parse(`${protocol}//${header}`)?.host === host;
}

/** Headers of a request, and its end, where both are values and not streams under way. */
class FetchOutlet implements Outlet {
  readonly #request: Request;
  readonly #handler: (request: Request) => Response | Promise<Response>;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;
  readonly #ops: HeaderOp[] = [];
  #serving: Serving | undefined = undefined;
  readonly instrumented = false;
  #closed = false;
  #headers: Headers | undefined = undefined;

  constructor(
    request: Request,
    handler: (request: Request) => Response | Promise<Response>,
    resolve: (response: Response) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request;
    this.#handler = handler;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  watch(serving: Serving): void {
    this.#serving = serving;
  }

  header(name: string): string | undefined {
    return this.#headers?.get(name) ?? undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  edit(ops: readonly HeaderOp[]): void {
    this.#ops.push(...ops);
  }

  proceed(exchange: Exchange): void {
    const { call, edits } = exchange;
    const query = edits.query ?? call.query;
    const url = `${call.scheme}://${call.authority}${call.path}${query === '' ? '' : `?${query}`}`;
    const ops = [...this.#ops, ...edits.request];
    const request: Request & { mesh?: InboundMesh } =
      url === this.#request.url && ops.length === 0 ? this.#request : edited(new Request(url, this.#request), ops);
    request.mesh = new Told(exchange);
    // A handler may throw at once; that is its caller's to hear of.
    void (async () => this.#handler(request))().then(
      (response) => this.#answered(response, edits.response),
      (error: unknown) => {
        this.#end(0, true);
        this.#reject(error);
      },
    );
  }

  #answered(response: Response, ops: readonly HeaderOp[]): void {
    this.#headers = response.headers;
    this.#end(response.status, false);
    this.#resolve(ops.length === 0 ? response : edited(new Response(response.body, response), ops));
  }

  answer({ status, headers, body }: LocalAnswer, ops: readonly HeaderOp[]): void {
    const own = headers.filter(([name]) => name !== 'connection') as [string, string][];
    this.#end(status, false);
    this.#resolve(edited(new Response(body === '' ? null : (body as string | Uint8Array<ArrayBuffer>), { status, headers: own }), ops));
  }

  last(): void {}

  /** The deadline passed: the adapter still waits. */
  destroy(): void {
    if (!this.#closed) this.answer({ status: 504, grpcStatus: 4, headers: [], body: 'upstream request timeout\n', message: '' }, []);
  }

  /** Its body belongs to the adapter: for the mesh a call ends with the headers of the answer. */
  #end(status: number, gone: boolean): void {
    this.#closed = true;
    this.#serving!.end(status, -1, gone);
  }
}

function edited<T extends { readonly headers: Headers }>(message: T, ops: readonly HeaderOp[]): T {
  for (const op of ops) {
    if (op.op === 'remove') message.headers.delete(op.name);
    else if (op.op === 'set') message.headers.set(op.name, op.value);
    else message.headers.append(op.name, op.value);
  }
  return message;
}
