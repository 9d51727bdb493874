import type { Resource } from '../document.ts';
import type { Tell } from './analyzer.ts';

/** Lints over a whole document of sound resources. They warn and inform; they never reject. */
export function analyze(_resources: readonly Resource[], _tell: Tell): void {}
