import type { Metadata } from '../document.ts';
import { DRY_RUN_ANNOTATION } from '../kinds/authorization-policy-checks.ts';
import { LOAD_BALANCER_ANNOTATION } from '../kinds/destination-rule.ts';
import { CONSUL_SERVICE_ANNOTATION } from '../registered.ts';
import { nearest } from '../schema/nearest.ts';
import { clip } from '../schema/scalars.ts';
import type { Findings } from './finding.ts';

interface Annotation {
  /** Where it may stand. */
  readonly kinds: readonly string[];
  readonly values: RegExp;
  /** What the values are. */
  readonly words: string;
  /** Kinds on which it is not just without meaning but refused. */
  readonly refusedOn: readonly string[];
}

/** Annotations that are obeyed: where they may stand and which values they have. */
const KNOWN = new Map<string, Annotation>([
  [LOAD_BALANCER_ANNOTATION, { kinds: ['DestinationRule'], values: /^PEAK_EWMA$/, words: 'PEAK_EWMA', refusedOn: [] }],
  [
    CONSUL_SERVICE_ANNOTATION,
    { kinds: ['Service', 'ServiceEntry'], values: /^[^\s/]{1,255}$/, words: 'the name of a service in Consul', refusedOn: [] },
  ],
  [
    DRY_RUN_ANNOTATION,
    {
      kinds: ['AuthorizationPolicy'],
      // Go's ParseBool.
      values: /^(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/,
      words: '"true" or "false"',
      refusedOn: ['PeerAuthentication', 'RequestAuthentication'],
    },
  ],
]);

/** Judges the annotations of inmesh.dev, and those of Istio that are obeyed; those of others are none of our business. */
export function checkAnnotations(kind: string, metadata: Metadata, found: Findings): void {
  for (const [name, value] of Object.entries(metadata.annotations)) {
    const known = KNOWN.get(name);
    if (known === undefined && !name.startsWith('inmesh.dev/')) continue;
    const path = ['metadata', 'annotations', name];
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
    } else if (!known.kinds.includes(kind))
      found.push({
        code: 'IST0107',
        severity: known.refusedOn.includes(kind) ? 'error' : 'warning',
        path,
        message: `annotation ${name} has no meaning on a ${kind}`,
        hint: `it belongs on a ${known.kinds.join(' or ')}`,
        atKey: true,
      });
    else if (!known.values.test(value))
      found.push({
        code: 'IST0125',
        severity: 'error',
        path,
        message: `"${clip(value)}" is no value of ${name}`,
        hint: `write ${known.words}`,
      });
  }
}
