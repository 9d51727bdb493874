export type * from './model.ts';
export type * from './document.ts';
export type * from './problem.ts';
