import type { Resource } from '../document.ts';
import type { Finding } from '../parse/finding.ts';

/** Takes findings about a resource of the document. */
export type Tell = (resource: Resource, finding: Finding) => void;
