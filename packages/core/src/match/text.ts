import type { StringMatch } from '@inmesh/policy';
import { fullMatch } from './re2.ts';

/** A StringMatch (Istio's exact, prefix, regex, or mere presence) as a predicate over a value that is there. Case-sensitive. */
export function compileText(match: StringMatch): (value: string) => boolean {
  switch (match.kind) {
    case 'exact':
      return (value) => value === match.value;
    case 'prefix':
      return (value) => value.startsWith(match.value);
    case 'regex':
      return fullMatch(match.value);
    case 'present':
      return () => true;
  }
}

/** `equal "jason"`: what a value must do, for sentences. */
export function describeText(match: StringMatch): string {
  switch (match.kind) {
    case 'exact':
      return `equal "${match.value}"`;
    case 'prefix':
      return `start with "${match.value}"`;
    case 'regex':
      return `match /${match.value}/ as a whole`;
    case 'present':
      return 'be present';
  }
}
