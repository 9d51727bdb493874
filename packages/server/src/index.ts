export { type RegistryServer, type RegistryServerOptions, startRegistry } from './registry/server.ts';
