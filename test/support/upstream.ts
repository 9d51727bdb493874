import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A request as a server saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** A real HTTP server on a port of its own that keeps what it saw. */
export interface Upstream extends AsyncDisposable {
  readonly port: number;
  readonly seen: Seen[];
  /** Sockets open now, and ever opened. */
  readonly open: ReadonlySet<Socket>;
  readonly connections: number;
  /** Stops as a killed process does: every connection is reset, nothing listens any more. */
  kill(): Promise<void>;
  /** Listens on the same port again. */
  revive(): Promise<void>;
}

export type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

export const say =
  (text: string, status = 200, headers: Record<string, string> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/plain', ...headers });
    response.end(text);
  };

/** Collects the body, notes the request, then answers. */
export async function upstream(answer: Answer, create: (listener: RequestListener) => Server = createServer): Promise<Upstream> {
  return rawUpstream((request, response, seen) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => {});
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      seen.push({ method: request.method!, url: request.url!, headers: request.headers, rawHeaders: request.rawHeaders, body });
      answer(request, response, body);
    });
  }, create);
}

/** The listener does everything itself. */
export async function rawUpstream(
  listener: (request: IncomingMessage, response: ServerResponse, seen: Seen[]) => void,
  create: (listener: RequestListener) => Server = createServer,
): Promise<Upstream> {
  const seen: Seen[] = [];
  const open = new Set<Socket>();
  let connections = 0;
  let port = 0;
  const start = async (): Promise<Server> => {
    const server = create((request, response) => listener(request, response, seen));
    server.on('connection', (socket: Socket) => {
      connections += 1;
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
    return server;
  };
  let server: Server | undefined = await start();
  const kill = async (): Promise<void> => {
    const dying = server;
    server = undefined;
    if (dying === undefined) return;
    const closed = new Promise<void>((resolve) => dying.close(() => resolve()));
    for (const socket of open) socket.resetAndDestroy();
    await closed;
  };
  return {
    get port() {
      return port;
    },
    seen,
    open,
    get connections() {
      return connections;
    },
    kill,
    revive: async () => {
      server = await start();
    },
    [Symbol.asyncDispose]: kill,
  };
}
