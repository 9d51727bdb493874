export { type Admin, type AdminOptions, type ExplainQuery, startAdmin } from './admin.ts';
export type { OpenTap } from './tap.ts';
