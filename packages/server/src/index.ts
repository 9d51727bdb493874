export { UnreadableError } from './registry/disk.ts';
export { type RegistryServer, type RegistryServerOptions, startRegistry } from './registry/server.ts';
