import { describe, expect, it } from 'vitest';
import { ask, destinationRule, document, kube, meshConfig, run, virtualService, WORLD } from './world.ts';

/** connectionPool limits ("circuit breaking"): counters per process and cluster, as Envoy's circuit_breakers. */

const limited = (pool: string, more = ''): string =>
  document(WORLD, destinationRule('dr', `host: ratings\ntrafficPolicy: { connectionPool: { ${pool} } }`), more);
const url = 'http://ratings/';

describe('http2MaxRequests', () => {
  it('bounds the active requests, of HTTP/1 too; more are 503 UO with x-envoy-overloaded', async () => {
    const { begin, call, clock, transport } = await run(limited('http: { http2MaxRequests: 3 }'), () => {});
    for (let count = 0; count < 3; count += 1) begin(url);
    await clock.pass(0);
    const ended = await call(url);
    expect([ended.status, ended.flags, ended.header('x-envoy-overloaded'), transport.attempts.length]).toEqual([503, 'UO', 'true', 3]);
  });

  it('a call that ended gives its place back', async () => {
    const { begin, clock, transport } = await run(limited('http: { http2MaxRequests: 1 }'), () => {});
    begin(url);
    await clock.pass(0);
    transport.latest.reply(200);
    await clock.pass(0);
    begin(url);
    await clock.pass(0);
    expect(transport.attempts).toHaveLength(2);
  });

  it('counts per cluster: subsets have their own', async () => {
    const yaml = document(
      kube('reviews', { versions: ['v1', 'v2'] }),
      destinationRule(
        'dr',
        'host: reviews\ntrafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } }\nsubsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]',
      ),
      virtualService(
        'vs',
        'hosts: [reviews]\nhttp: [{ match: [{ uri: { prefix: /1 } }], route: [{ destination: { host: reviews, subset: v1 } }] }, { route: [{ destination: { host: reviews, subset: v2 } }] }]',
      ),
    );
    const { begin, call, clock, transport } = await run(yaml, () => {});
    begin('http://reviews/1');
    begin('http://reviews/2');
    await clock.pass(0);
    expect(transport.attempts).toHaveLength(2);
    expect((await call('http://reviews/1')).flags).toBe('UO');
  });

  it('is not per endpoint', async () => {
    const yaml = document(
      kube('reviews', { versions: ['v1', 'v1', 'v1'] }),
      destinationRule('dr', 'host: reviews\ntrafficPolicy: { connectionPool: { http: { http2MaxRequests: 2 } } }'),
    );
    const { begin, call, clock } = await run(yaml, () => {});
    begin('http://reviews/');
    begin('http://reviews/');
    await clock.pass(0);
    expect((await call('http://reviews/')).flags).toBe('UO');
  });
});

describe('maxConnections and http1MaxPendingRequests', () => {
  it('over maxConnections calls of HTTP/1 wait their turn', async () => {
    const { begin, clock, transport } = await run(limited('tcp: { maxConnections: 1 }'), () => {});
    begin(url);
    const second = begin(url);
    await clock.pass(10);
    expect(transport.attempts).toHaveLength(1);
    transport.latest.reply(200);
    await clock.pass(10);
    expect(transport.attempts).toHaveLength(2);
    transport.latest.reply(201);
    expect((await second.ended).status).toBe(201);
  });

  it('over http1MaxPendingRequests waiting is refused', async () => {
    const { begin, call, clock, transport } = await run(
      limited('tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 2 }'),
      () => {},
    );
    for (let count = 0; count < 3; count += 1) begin(url);
    await clock.pass(0);
    expect(await call(url)).toMatchObject({ status: 503, flags: 'UO' });
    expect(transport.attempts).toHaveLength(1);
  });

  it('one connection per endpoint is allowed even beyond the limit, so that none starves', async () => {
    const yaml = document(
      kube('reviews', { versions: ['v1', 'v1', 'v1'] }),
      destinationRule(
        'dr',
        'host: reviews\ntrafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } }, loadBalancer: { simple: ROUND_ROBIN } }',
      ),
    );
    const { begin, clock, transport } = await run(yaml, () => {});
    for (let count = 0; count < 3; count += 1) begin('http://reviews/');
    await clock.pass(0);
    expect(new Set(transport.addresses).size).toBe(transport.addresses.length);
    expect(transport.addresses.length).toBeGreaterThanOrEqual(1);
  });

  it('who waits longer than the route allows gets 504', async () => {
    const { begin, call, transport } = await run(
      limited(
        'tcp: { maxConnections: 1 }',
        virtualService('vs', 'hosts: [ratings]\nhttp: [{ route: [{ destination: { host: ratings } }], timeout: 1s }]'),
      ),
      () => {},
    );
    begin(url);
    expect(await call(url)).toMatchObject({ status: 504, flags: 'UT', ms: 1000 });
    expect(transport.attempts).toHaveLength(1);
  });

  it('requests of HTTP/2 share a connection and do not wait for one', async () => {
    const { begin, clock, transport } = await run(limited('tcp: { maxConnections: 1 }, http: { h2UpgradePolicy: UPGRADE }'), () => {});
    for (let count = 0; count < 5; count += 1) begin(url);
    await clock.pass(0);
    expect(transport.attempts).toHaveLength(5);
  });
});

describe('without a rule', () => {
  it('there are no limits, save connections per endpoint', async () => {
    const { begin, clock, transport } = await run(document(WORLD, meshConfig('connectionsPerEndpoint: 50')), () => {});
    for (let count = 0; count < 60; count += 1) begin(url);
    await clock.pass(0);
    expect(transport.peak).toBe(50);
  });

  it('explain has no budget', () => {
    expect(ask(WORLD, url).retries?.budget).toBeNull();
  });
});
