export type * from './model.ts';
export type * from './document.ts';
export type * from './problem.ts';
export { parse } from './parse/index.ts';
export { CODES, type ProblemCode } from './parse/codes.ts';
export * from './kinds/index.ts';
export { resolve } from './resolve/resolve.ts';
export { defaultWorkload, workload } from './resolve/workload.ts';
