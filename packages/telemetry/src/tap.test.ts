import { fakeClock, testCall, testEndedCall, testEndpoint, testPeer, testWorkload } from '@inmesh/core/testing';
import { expect, it } from 'vitest';
import { ISTIO_JSON } from './access-log/istio.ts';
import { createTap, type TappedCall } from './tap.ts';
import { clientInfo, serverInfo } from './testing/infos.ts';

const tapped = () => createTap({ workload: testWorkload({ name: 'web', namespace: 'shop', serviceAccount: 'web' }), clock: fakeClock() });
const made = testEndedCall({
  call: testCall({ url: 'http://reviews/ratings?page=2', headers: { authorization: 'Bearer s3cret', cookie: 'sid=s3cret' } }),
  endpoint: testEndpoint('10.0.0.4:9080', { workload: 'reviews-v2', namespace: 'default', serviceAccount: 'reviews' }),
  mutual: true,
});

it("tells who looks of each call: Istio's 24 keys, and who called whom", () => {
  const tap = tapped();
  const seen: TappedCall[] = [];
  const looking = tap.tap((call) => seen.push(call));
  tap.route(clientInfo).ended(made);
  const metadata = { workload: 'browser-7d', namespace: 'web', cluster: '', labels: {} };
  const peer = testPeer({ principal: 'cluster.local/ns/web/sa/browser', metadata });
  const headers = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  tap.inbound!(serverInfo).ended(testEndedCall({ call: testCall({ peer, headers }), mutual: true }));
  looking.close();
  tap.route(clientInfo).ended(made);
  expect(seen).toHaveLength(2);
  expect(Object.keys(seen[0]!)).toEqual([
    ...Object.keys(ISTIO_JSON),
    'reporter', 'source_workload', 'source_principal', 'destination_service', 'destination_workload', 'trace_id',
  ]); // prettier-ignore
  expect(seen[0]).toMatchObject({
    path: '/ratings?page=2',
    response_code: 200,
    reporter: 'source',
    source_workload: 'web',
    source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
    destination_service: 'reviews.default.svc.cluster.local',
    destination_workload: 'reviews-v2',
    trace_id: null,
  });
  expect(seen[1]).toMatchObject({
    reporter: 'destination',
    source_workload: 'browser-7d',
    source_principal: 'spiffe://cluster.local/ns/web/sa/browser',
    destination_workload: 'web',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  });
});

it('makes nothing while nobody looks', () => {
  const tap = tapped();
  const route = tap.route(clientInfo);
  const untouchable = new Proxy(made, {
    get: () => {
      throw new Error('the call was read');
    },
  });
  expect(() => route.ended(untouchable)).not.toThrow();
  tap.tap(() => {});
  expect(() => route.ended(untouchable)).toThrow('the call was read');
});

it('one that throws keeps nothing from the others; each closes its own', () => {
  const tap = tapped();
  const seen: number[] = [];
  tap.tap(() => {
    throw new Error('broken');
  });
  const listener = (): void => void seen.push(1);
  const first = tap.tap(listener);
  tap.tap(listener);
  tap.route(clientInfo).ended(made);
  expect(seen).toHaveLength(2);
  first.close();
  tap.route(clientInfo).ended(made);
  expect(seen).toHaveLength(3);
});

it.each([
  ['/a?page=2&access_token=s3cret&x', '/a?page=2&access_token=***&x'],
  ['/a?api_key=s3cret&password=s3cret&sig=s3cret', '/a?api_key=***&password=***&sig=***'],
  ['/a?page=2;token=s3cret;x=1', '/a?page=2;token=***;x=1'],
  ['/a?q=eyJhbGciOi.s3cret', '/a?q=***'],
  ['/a?eyJhbGciOi.s3cret', '/a?***'],
  ['/a?to%6ben=s3cret', '/a?to%6ben=***'],
  ['/a?auth=Bearer%20s3cret&%zz=1', '/a?auth=***&%zz=1'],
])('shows no secret of %s', (path, shown) => {
  const tap = tapped();
  const seen: TappedCall[] = [];
  tap.tap((call) => seen.push(call));
  const [pathname = '', query = ''] = path.split('?');
  tap
    .route(clientInfo)
    .ended(testEndedCall({ call: testCall({ path: pathname, query, headers: { authorization: 'Bearer s3cret', cookie: 's3cret' } }) }));
  expect(seen[0]!['path']).toBe(shown);
  expect(JSON.stringify(seen)).not.toContain('s3cret');
});
