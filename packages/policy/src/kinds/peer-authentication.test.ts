import { describe, it } from 'vitest';
import { judge, named, type Row } from '../testing/problems.ts';

const selector = { matchLabels: { app: 'a' } };
const port = (key: string): object => ({ selector, portLevelMtls: { [key]: { mode: 'STRICT' } } });

const rows: readonly Row[] = [
  ['an empty one', {}, null],
  ['a mode', { mtls: { mode: 'STRICT' } }, null],
  ['a mode left out', { mtls: {} }, null],
  ['a mode that is none', { mtls: { mode: 'MUTUAL' } }, 'spec.mtls.mode', /not one of/],
  ['a port of selected workloads', port('8080'), null],
  ['ports without a selector', { portLevelMtls: { 8080: { mode: 'STRICT' } } }, 'spec.portLevelMtls', /needs a selector/],
  ['ports under an empty selector', { selector: { matchLabels: {} }, portLevelMtls: { 8080: {} } }, 'spec.portLevelMtls', /needs a selector/],
  ['no ports', { selector, portLevelMtls: {} }, 'spec.portLevelMtls', /empty/],
  ['port 0', port('0'), 'spec.portLevelMtls["0"]', /not a port/],
  ['port 65536', port('65536'), 'spec.portLevelMtls["65536"]', /not a port/],
  ['a port by name', port('http'), 'spec.portLevelMtls.http', /not a port/],
  ['a port with a leading zero', port('080'), 'spec.portLevelMtls["080"]', /not a port/],
  ['a mode of a port that is none', { selector, portLevelMtls: { 80: { mode: 'strict' } } }, 'spec.portLevelMtls["80"].mode', /not one of/],
  ['a selector of no labels', { selector: {} }, 'spec.selector.matchLabels', /every workload/, 'warning'],
  ['a selector with a wildcard', { selector: { matchLabels: { app: 'a*' } } }, 'spec.selector.matchLabels.app', /not a label value/],
  ['a selector of another kind', { selector: { labels: { app: 'a' } } }, 'spec.selector.labels', /unknown field/],
  ['targets, which it has not', { targetRefs: [] }, 'spec.targetRefs', /unknown field/],
]; // prettier-ignore

describe('PeerAuthentication', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('PeerAuthentication', row));

  it('cannot run dry', () =>
    judge('PeerAuthentication', ['', {}, 'metadata.annotations["istio.io/dry-run"]', /no meaning/], {
      annotations: { 'istio.io/dry-run': 'true' },
    }));
});
