import type { IncomingMessage, ServerResponse } from 'node:http';
import { Gate, type InboundWiring } from './attach.ts';
import type { Meshed } from './told.ts';

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Rules over requests as a middleware of Express and its like, for programs whose server is out of reach. It cannot see
 * upgrades, CONNECT, or the connection itself: on a server the mesh is attached to it does nothing more, and on
 * another it refuses where a policy asks who is at the other end.
 */
export function createMiddleware({ mesh, credentials }: InboundWiring, warn: (message: string) => void): Middleware {
  let warned = false;
  return (request, response, next) => {
    if ((request as Meshed).mesh !== undefined) return next();
    if (!warned) {
      warned = true;
      warn(
        'inmesh: the server under mesh.express() or mesh.listener() is not attached, so upgrades, CONNECT and the identity of callers are out of its sight: use mesh.attach(server) or mesh.listen(app, port)',
      );
    }
    const port = request.socket.localPort ?? 0;
    if (mesh.asksForPeer(port)) {
      // Not through `next`: an error handler of the program's may answer as if all were well.
      response.writeHead(403, { 'content-type': 'text/plain; charset=utf-8' });
      return void response.end('RBAC: access denied');
    }
    new Gate({ mesh, credentials }, () => {
      next();
      return true;
    }).request('request', request, response);
  };
}
