import type { RetryPolicy } from '@inmesh/policy';
import { expect, it } from 'vitest';
import { staticResolver } from '../endpoint/static.ts';
import { MeshError } from '../errors.ts';
import { retry } from '../filters/retry.ts';
import {
  fakeClock,
  scriptedTransport,
  testClusterPolicy,
  testExchange,
  testLocality,
  testRuntime,
  testService,
  testSpec,
  testWorkload,
} from '../testing/index.ts';
import { createCluster } from './cluster.ts';
import { leaseFeed } from './feed.ts';

const POLICY: RetryPolicy = {
  attempts: 4,
  retryOn: ['connect-failure'],
  statusCodes: [],
  perTryTimeoutMs: null,
  backoff: { baseMs: 25, maxMs: 250 },
  ignorePreviousHosts: true,
  remoteLocalities: false,
};

/** Regions called, in order, by a call from region `here` that never gets through; `here` has three endpoints, `there` two. */
async function regions(policy: RetryPolicy): Promise<string[]> {
  const clock = fakeClock();
  const runtime = testRuntime({ clock });
  const at = (host: string, region: string) => testSpec(host, { locality: testLocality(region) });
  const service = testService({
    endpoints: [at('10.0.0.1', 'here'), at('10.0.0.2', 'here'), at('10.0.0.3', 'here'), at('10.1.0.1', 'there'), at('10.1.0.2', 'there')],
  });
  const cluster = createCluster(
    testClusterPolicy({ locality: { kind: 'failover', byLocality: true, failover: [], failoverPriority: [] } }),
    service,
    testWorkload({ locality: testLocality('here') }),
    {
      runtime,
      feed: leaseFeed(runtime.lease, service, 80, { resolvers: [staticResolver], clock, random: runtime.random }),
      peers: [],
      connectionsPerEndpoint: 100,
    },
  );
  cluster.activate();
  const transport = scriptedTransport((attempt) => attempt.fail(new MeshError('CONNECT_FAILED', 'refused', { phase: 'unsent' })));
  const handler = retry.outbound!({ policy, timeoutMs: null, cluster }, runtime)(cluster.handler);
  const outcome = handler(testExchange({ clock }), transport);
  outcome.catch(() => {});
  await clock.pass(5000);
  await expect(outcome).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  return transport.attempts.map(({ placement }) => placement.endpoint.locality.region);
}

it('retries stay in the locality of the caller while it has endpoints', async () => {
  expect(await regions(POLICY)).toEqual(['here', 'here', 'here', 'here', 'here']);
});

it('retries leave it after two attempts under retryRemoteLocalities', async () => {
  expect((await regions({ ...POLICY, remoteLocalities: true })).slice(0, 4)).toEqual(['here', 'here', 'there', 'there']);
});
