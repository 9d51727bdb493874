import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AnyServer, attach, type InboundWiring } from './attach.ts';
import { createMiddleware } from './middleware.ts';
import type { InboundMesh, Meshed } from './told.ts';

/** What the plug-in asks of a Fastify instance: nothing here is loaded from Fastify. */
export interface FastifyLike {
  readonly server: unknown;
  decorateRequest(name: string, property: { getter(this: { readonly raw: object }): InboundMesh | undefined }): unknown;
  addHook(name: 'onRequest', hook: (request: { readonly raw: IncomingMessage }, reply: Reply) => Promise<unknown>): unknown;
}

interface Reply {
  readonly raw: ServerResponse;
  hijack(): unknown;
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
    const middleware = createMiddleware(wiring, warn);
    instance.decorateRequest('mesh', {
      getter() {
        return (this.raw as Meshed).mesh;
      },
    });
    instance.addHook('onRequest', ({ raw }, reply) => {
      if ((raw as Meshed).mesh !== undefined) return Promise.resolve();
      return new Promise<void>((resolve) => {
        let passed = false;
        middleware(raw, reply.raw, () => {
          passed = true;
          resolve();
        });
        if (passed) return;
        // Answered already, or about to be: Fastify has nothing more to say.
        reply.raw.once('close', () => {
          if (passed) return;
          reply.hijack();
          resolve();
        });
      });
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
