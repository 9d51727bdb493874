export { type Admin, type AdminOptions, type ExplainQuery, startAdmin } from './admin.ts';
