export { registryServer, type RegistryOptions } from './registry.ts';
export type { SelfRegistration } from './registration.ts';
