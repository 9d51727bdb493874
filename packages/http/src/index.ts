export { type Connectrpc, type ConnectrpcOptions, createConnectrpc } from './connectrpc.ts';
export { createFetch, type Fetch } from './fetch.ts';
export { createRequest, type MeshResponse, type Request, type RequestOptions } from './client.ts';
export { MeshDispatcher, type DispatcherOptions } from './dispatcher.ts';
export { install, type Installed } from './install.ts';
export * from './server/index.ts';
