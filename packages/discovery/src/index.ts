export * from './dns/index.ts';
export type { Registry } from './registry.ts';
