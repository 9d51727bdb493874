import type { Agent, ClientRequest, IncomingMessage } from 'node:http';

// Taken when this module loads, and not imported: see packages/policy/src/source/http.ts. What the mesh lives by must not go through it.
const { Agent: HttpAgent, request: requestHttp } = process.getBuiltinModule('node:http');
const { Agent: HttpsAgent, request: requestHttps } = process.getBuiltinModule('node:https');

/** Where the registry is and how to be let in. */
export interface Access {
  readonly url: URL;
  /** Asked with each request, so that tokens can rotate. */
  readonly token: () => string | undefined;
  /** PEM: whom to trust instead of the system's roots. */
  readonly ca: string | undefined;
}

export interface Asked {
  readonly method?: string;
  /** Below the URL of the registry, such as `v1/watch?catalog`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly agent?: Agent;
}

/** A request whose sockets keep no process alive. Whoever sends it hears its `error`. */
export function ask({ url, token, ca }: Access, { method = 'GET', path, headers = {}, body, agent }: Asked): ClientRequest {
  const target = new URL(path, url.href.endsWith('/') ? url : `${url.href}/`);
  const shown = token();
  const all = {
    'user-agent': 'inmesh',
    ...(shown === undefined ? {} : { authorization: `Bearer ${shown}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  const settings = { method, headers: all, agent: agent ?? false } as const;
  const request = target.protocol === 'https:' ? requestHttps(target, { ...settings, ca }) : requestHttp(target, settings);
  request.on('socket', (socket) => socket.unref());
  request.end(body);
  return request;
}

/** One connection that is kept between requests. */
export const keptAgent = ({ url, ca }: Access): Agent =>
  url.protocol === 'https:' ? new HttpsAgent({ keepAlive: true, maxSockets: 1, ca }) : new HttpAgent({ keepAlive: true, maxSockets: 1 });

/** Reads an answer to its end. */
export function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) response.destroy(new Error('the answer is too long'));
      else chunks.push(chunk);
    });
    response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    response.on('error', reject);
    response.on('close', () => reject(new Error('the answer was cut off')));
  });
}

/** A refused connection to a name with several addresses is an AggregateError without a message. */
export const reasonOf = (error: NodeJS.ErrnoException): string => error.message || error.code || 'unknown error';
