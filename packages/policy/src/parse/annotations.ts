import type { Metadata } from '../document.ts';
import { LOAD_BALANCER_ANNOTATION } from '../kinds/destination-rule.ts';
import { nearest } from '../schema/nearest.ts';
import { clip } from '../schema/scalars.ts';
import type { Findings } from './finding.ts';

/** Annotations of ours: where they may stand and which values they have. */
const KNOWN = new Map<string, { readonly kind: string; readonly values: readonly string[] }>([
  [LOAD_BALANCER_ANNOTATION, { kind: 'DestinationRule', values: ['PEAK_EWMA'] }],
]);

/** Judges the annotations of inmesh.dev; those of others are none of our business. */
export function checkAnnotations(kind: string, metadata: Metadata, found: Findings): void {
  for (const [name, value] of Object.entries(metadata.annotations)) {
    if (!name.startsWith('inmesh.dev/')) continue;
    const path = ['metadata', 'annotations', name];
    const known = KNOWN.get(name);
    if (known === undefined) {
      const guess = nearest(name, KNOWN.keys());
      found.push({
        code: 'IST0108',
        severity: 'warning',
        path,
        message: `annotation "${clip(name)}" is not known`,
        hint: guess === undefined ? '' : `did you mean ${guess}?`,
        atKey: true,
      });
    } else if (known.kind !== kind)
      found.push({
        code: 'IST0107',
        severity: 'warning',
        path,
        message: `annotation ${name} has no meaning on a ${kind}`,
        hint: `it belongs on a ${known.kind}`,
        atKey: true,
      });
    else if (!known.values.includes(value))
      found.push({
        code: 'IST0125',
        severity: 'error',
        path,
        message: `"${clip(value)}" is no value of ${name}`,
        hint: `write ${known.values.join(' or ')}`,
      });
  }
}
