export { type AnyServer, attach, type InboundWiring } from './attach.ts';
export { Drain, type DrainOptions } from './drain.ts';
export { createFastifyPlugin, type FastifyPlugin } from './fastify.ts';
export { createServer, listen, type Listening, type ListenOptions } from './listen.ts';
export { createMiddleware, type Middleware } from './middleware.ts';
export type { InboundMesh } from './told.ts';
