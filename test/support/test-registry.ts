import { addressOf, type Endpoint, type Resolution } from '@inmesh/core';
import type { Registry } from '@inmesh/discovery';

/** A platform as a test plays it: it says what it is told to say, to everybody who follows a service. */
export interface TestRegistry extends Registry {
  /** How many follow a service of it now. */
  readonly followers: number;
  say(...endpoints: readonly Endpoint[]): void;
  fail(reason: string): void;
  forget(): void;
}

export function testRegistry(name: string, host: string, priority = 0): TestRegistry {
  let last: Resolution = { state: 'pending' };
  const followers = new Set<(resolution: Resolution) => void>();
  const tell = (resolution: Resolution): void => {
    last = resolution;
    for (const follower of followers) follower(resolution);
  };
  return {
    name,
    get followers() {
      return followers.size;
    },
    resolver: {
      name,
      priority,
      handles: ({ service }) => service.host === host,
      watch: (_ref, onChange) => {
        const follower = (resolution: Resolution): void => onChange(resolution);
        followers.add(follower);
        onChange(last);
        return { close: () => void followers.delete(follower) };
      },
    },
    trouble: () => (last.state === 'failed' ? last.reason : ''),
    say: (...endpoints) => tell({ state: 'bound', endpoints }),
    fail: (reason) => tell({ state: 'failed', reason }),
    forget: () => tell({ state: 'absent' }),
  };
}

/** An endpoint on loopback, as a registry describes one. */
export const endpointAt = (port: number, fields: Partial<Endpoint> = {}): Endpoint => ({
  address: addressOf('127.0.0.1', port),
  host: '127.0.0.1',
  port,
  labels: {},
  locality: { region: '', zone: '', subzone: '' },
  network: '',
  weight: 1,
  serviceAccount: '',
  mtls: false,
  workload: '',
  namespace: '',
  node: '',
  health: 'healthy',
  ...fields,
});
