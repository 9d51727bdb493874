import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Gate, isNormal } from './gate.ts';
import { Links } from './links.ts';
import type { InboundWiring } from './wiring.ts';

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Rules over requests as a middleware of Express and its like, for programs whose server is out of reach. It cannot see
 * upgrades, CONNECT, or the connection itself: on a server the mesh is attached to it does nothing more, and on
 * another it refuses where a policy asks who is at the other end.
 */
export function createMiddleware(wiring: InboundWiring, warn: (message: string) => void): Middleware {
  const judge = createJudge(wiring, warn);
  return (request: IncomingMessage & { originalUrl?: string }, response, next) => {
    const { originalUrl, url } = request;
    // Mounted below a path, a middleware is shown only the rest of it: rules are about the whole.
    const mounted = originalUrl !== undefined && originalUrl !== url;
    judge(request, response, next, mounted ? originalUrl : undefined);
  };
}

/** The same for a plain handler: what it is given it sees only after the rules. */
export function createListener(wiring: InboundWiring, warn: (message: string) => void): (handler: RequestListener) => RequestListener {
  const judge = createJudge(wiring, warn);
  return (handler) => (request, response) => judge(request, response, () => handler(request, response), undefined);
}

/** `routed`: the whole target, of a request that a router has read already. */
export type Judge = (request: IncomingMessage, response: ServerResponse, next: () => unknown, routed: string | undefined) => void;

export function createJudge(wiring: InboundWiring, warn: (message: string) => void): Judge {
  const { mesh } = wiring;
  const gate = new Gate(wiring, new Links(wiring), false);
  let warned = false;
  return (request, response, next, routed) => {
    if (request.mesh !== undefined) return void next();
    if (!warned) {
      warned = true;
      warn(
        'inmesh: the server under mesh.express() or mesh.listener() is not attached, so upgrades, CONNECT and the identity of callers are out of its sight: use mesh.attach(server) or mesh.listen(app, port)',
      );
    }
    // Not through `next`: an error handler of the program's may answer as if all were well.
    if (mesh.asksForPeer(request.socket.localPort ?? 0)) return refuse(response, 403, 'RBAC: access denied');
    if (routed === undefined) return gate.request(request, response, next);
    if (!isNormal(routed, mesh)) return refuse(response, 400, UNROUTED);
    const { url } = request;
    request.url = routed;
    gate.request(
      request,
      response,
      () => {
        // Of the rest only the query may have changed: a token that was taken out.
        const query = request.url!.slice(routed.split('?', 1)[0]!.length);
        request.url = `${url!.split('?', 1)[0]!}${query}`;
        next();
      },
      true,
    );
  };
}

const UNROUTED = 'Bad Request: a router has read the path before it was normalized; mesh.attach(server) comes before all routers';

function refuse(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
