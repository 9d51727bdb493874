import type { IncomingMessage, ServerResponse } from 'node:http';
import { attach } from './attach.ts';
import { createJudge } from './middleware.ts';
import type { InboundMesh } from './told.ts';
import type { AnyServer, InboundWiring } from './wiring.ts';

/** What the plug-in asks of a Fastify instance: nothing here is loaded from Fastify. */
export interface FastifyLike {
  readonly server: unknown;
  decorateRequest(name: string, property: { getter(this: { readonly raw: IncomingMessage }): InboundMesh | undefined }): unknown;
  addHook(name: 'onRequest', hook: (request: { readonly raw: IncomingMessage }, reply: Reply, done: () => void) => void): unknown;
  addHook(name: 'onListen', hook: (done: () => void) => void): unknown;
}

interface Reply {
  readonly raw: ServerResponse;
}

export interface FastifyPlugin {
  (instance: FastifyLike): Promise<void>;
}

/**
 * For `await fastify.register(mesh.fastify)`: the mesh in front of the instance's server, and `request.mesh` in its handlers.
 * Requests that never came through the server (`inject`) meet the rules over requests in a hook.
 */
export function createFastifyPlugin(wiring: InboundWiring, warn: (message: string) => void): FastifyPlugin {
  const plugin = (instance: FastifyLike): Promise<void> => {
    attach(instance.server as AnyServer, wiring);
    const judge = createJudge(wiring, warn);
    instance.decorateRequest('mesh', {
      getter() {
        return this.raw.mesh;
      },
    });
    instance.addHook('onRequest', ({ raw }, reply, done) => {
      // The router has been there already: rewriting the path here would not lead to another handler.
      if (raw.mesh === undefined) judge(raw, reply.raw, done, (raw as { originalUrl?: string }).originalUrl ?? raw.url!);
      else done();
    });
    instance.addHook('onListen', (done) => {
      for (const server of moreServers(instance)) attach(server, wiring);
      done();
    });
    return Promise.resolve();
  };
  // What fastify-plugin sets: hooks and decorators belong to the instance it is registered on, not to a child of it.
  return Object.assign(plugin, {
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'inmesh',
    [Symbol.for('plugin-meta')]: { name: 'inmesh', fastify: '5.x' },
  });
}

/** Of `localhost`, its default, Fastify makes a server per address, and shows only the first. Requests to the others meet the hook until they are found. */
function moreServers(instance: object): AnyServer[] {
  for (let at: object | null = instance; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const symbol = Object.getOwnPropertySymbols(at).find(({ description }) => description === 'fastify.serverBindings');
    if (symbol !== undefined) return (instance as Record<symbol, AnyServer[]>)[symbol]!;
  }
  return [];
}
