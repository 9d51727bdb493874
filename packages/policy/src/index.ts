export type * from './model.ts';
export type * from './document.ts';
export type * from './problem.ts';
export { parse, nameOf } from './parse/index.ts';
export { CODES, type ProblemCode } from './parse/codes.ts';
export * from './kinds/index.ts';
