export * from './dns/index.ts';
export * from './health/index.ts';
export type { Registry } from './registry.ts';
