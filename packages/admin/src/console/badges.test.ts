import { expect, it } from 'vitest';
import { badgesOf } from './badges.ts';
import { graphOf } from './graph.ts';
import { REQUESTS, type Sample } from './sample.ts';
import type { Process } from './world.ts';

const call = (revision: string, flags = '-'): Sample => ({
  name: REQUESTS,
  value: 1,
  labels: {
    reporter: 'source', source_workload: 'web', source_workload_namespace: 'shop', request_protocol: 'http', response_code: '200', response_flags: flags,
    destination_canonical_service: 'reviews', destination_canonical_revision: revision, destination_workload_namespace: 'shop', destination_service: 'reviews.shop.svc',
  },
}); // prettier-ignore
interface Known {
  readonly version: string;
  readonly ejected?: boolean;
  readonly health?: string;
}
/** A process that sees these endpoints of reviews. */
const seeing = (endpoints: readonly Known[], panicPercent = 0): Process =>
  ({
    status: {
      snapshot: { clusters: [{ name: 'outbound|80||reviews.shop.svc', endpoints: endpoints.map(({ version, ejected = false, health = 'healthy' }) => ({ endpoint: { labels: { version } }, ejected, health })) }] },
    },
    snapshot: { clusters: [{ name: 'outbound|80||reviews.shop.svc', service: 'reviews.shop.svc', panicPercent }] },
  }) as unknown as Process; // prettier-ignore
const badges = (samples: readonly Sample[], ...processes: readonly Process[]) =>
  Object.fromEntries(
    [...badgesOf(graphOf(samples), processes)].map(([id, found]) => [id.split('|').at(-1), found.map(({ text }) => text)]),
  );

it('says where endpoints are ejected, by revision', () => {
  const process = seeing([{ version: 'v1' }, { version: 'v2', ejected: true }, { version: 'v2' }]);
  expect(badges([call('v1'), call('v2')], process)).toEqual({ v2: ['1 of 2 ejected'] });
});

it('goes by whoever sees it worst', () => {
  const fine = seeing([{ version: 'v1' }, { version: 'v1' }]);
  const bad = seeing([
    { version: 'v1', ejected: true },
    { version: 'v1', ejected: true },
  ]);
  expect(badges([call('v1')], fine, bad, fine)).toEqual({ v1: ['2 of 2 ejected'] });
});

it('says panic where fewer are healthy than the policy asks for', () => {
  const endpoints = [{ version: 'v1', health: 'unhealthy' }, { version: 'v1' }, { version: 'v1', ejected: true }];
  expect(badges([call('v1')], seeing(endpoints, 50))).toEqual({ v1: ['1 of 3 ejected', 'panic'] });
  expect(badges([call('v1')], seeing(endpoints, 20))).toEqual({ v1: ['1 of 3 ejected'] });
});

it('says it of the endpoints, not of the calls that reached none; unless none is reached at all', () => {
  const { destination_workload_namespace: _, destination_canonical_revision: __, ...labels } = call('v1').labels;
  const nobody: Sample = { ...call('v1'), labels: { ...labels, response_code: '503', response_flags: 'UH', destination_canonical_service: 'unknown', destination_service_name: 'reviews' } }; // prettier-ignore
  const process = seeing([{ version: 'v1', ejected: true }, { version: 'v1' }]);
  expect(Object.values(badges([call('v1'), nobody], process))).toEqual([['1 of 2 ejected']]);
  expect(Object.values(badges([nobody], process))).toEqual([['1 of 2 ejected']]);
});

it('says overflow where calls were refused over a limit', () => {
  expect(badges([call('v1'), call('v1', 'UO')], seeing([{ version: 'v1' }]))).toEqual({ v1: ['overflow'] });
});
