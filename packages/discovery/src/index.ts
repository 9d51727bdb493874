export * from './dns/index.ts';
export * from './health/index.ts';
export type { Registry, Whereabouts } from './registry.ts';
