export { fileRegistry, type FileRegistryOptions } from './registry.ts';
