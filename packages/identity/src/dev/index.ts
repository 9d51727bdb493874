export { parseSpiffeId } from '../spiffe/id.ts';
