export { attach, type Attached } from './attach.ts';
export type { DrainOptions } from './drain.ts';
export { createFastifyPlugin, type FastifyPlugin } from './fastify.ts';
export { createFetchHandler, type FetchHandler, type FetchPeer } from './fetch-handler.ts';
export { createServer, listen, type Listening, type ListenOptions } from './listen.ts';
export { createListener, createMiddleware, type Middleware } from './middleware.ts';
export type { InboundMesh } from './told.ts';
export type { AnyServer, InboundWiring } from './wiring.ts';
