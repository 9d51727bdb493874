import { fakeClock } from '@inmesh/core/testing';
import { describe, expect, it } from 'vitest';
import { textOf } from './exposition.ts';
import { healthFamilies, type MeshHealth } from './health.ts';

const clock = fakeClock();
clock.advance(1_000_000);
const now = clock.wall();

function linesOf(fields: Partial<MeshHealth> = {}): string[] {
  const health: MeshHealth = { policy: { version: 'v1', appliedAt: now - 90_000 }, source: { failingSince: 0 }, registries: [], identity: null, ...fields }; // prettier-ignore
  return textOf(healthFamilies(health, clock)).split('\n').filter((line) => line.startsWith('inmesh')); // prettier-ignore
}

describe('health', () => {
  it('of the policy: which, since when, and whether its source answers', () => {
    expect(linesOf()).toEqual([
      'inmesh_policy_info{version="v1"} 1',
      'inmesh_policy_age_seconds 90',
      'inmesh_policy_source_up 1',
      'inmesh_policy_stale_seconds 0',
    ]);
    expect(linesOf({ source: { failingSince: now - 1500 } })).toEqual(
      expect.arrayContaining(['inmesh_policy_source_up 0', 'inmesh_policy_stale_seconds 1.5']),
    );
  });

  it('of each registry', () => {
    const registries = [{ name: 'consul', trouble: '' }, { name: 'kubernetes', trouble: 'it answered 500' }]; // prettier-ignore
    expect(linesOf({ registries }).slice(4)).toEqual(['inmesh_registry_up{registry="consul"} 1', 'inmesh_registry_up{registry="kubernetes"} 0']); // prettier-ignore
  });

  it('of the identity: when it expires, once there is one', () => {
    const identity = { principal: 'spiffe://td/ns/a/sa/b', expiresAt: 5_000_000, trouble: '' };
    expect(linesOf({ identity }).slice(4)).toEqual([
      'inmesh_identity_source_up 1',
      'inmesh_identity_expiry_timestamp_seconds{principal="spiffe://td/ns/a/sa/b"} 5000',
    ]);
    expect(linesOf({ identity: { principal: '', expiresAt: 0, trouble: 'no CA' } }).slice(4)).toEqual(['inmesh_identity_source_up 0']);
  });
});
