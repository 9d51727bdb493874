import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Model } from '../model.ts';
import { clusterAt, hostAt, modelOf, routesAt, targetsOf } from './trying.ts';

const corpus = (...names: string[]): Model =>
  modelOf(names.map((name) => readFileSync(new URL(`./corpus/${name}.yaml`, import.meta.url), 'utf8')));
const said = (model: Model, domain: string, port: number): string[] =>
  routesAt(model, domain, port).map((route) => {
    const header = route.match.headers.map(({ name, match }) => `${name}=${'value' in match ? match.value : '*'}`).join();
    return `${header} → ${targetsOf(route).replaceAll('.default.svc.cluster.local', '')}`;
  });

describe('Bookinfo', () => {
  const model = corpus('bookinfo', 'bookinfo-rules');

  it('sends jason to the black stars and splits all others', () => {
    expect(said(model, 'reviews', 9080)).toEqual([
      'end-user=jason → outbound|9080|v2|reviews×1',
      ' → outbound|9080|v1|reviews×50 outbound|9080|v3|reviews×50',
    ]);
    expect(clusterAt(model, 'outbound|9080|v2|reviews.default.svc.cluster.local').labels).toEqual({ version: 'v2' });
  });

  it('delays jason, aborts lucy, and bounds the rest', () => {
    expect(routesAt(model, 'ratings', 9080).map(({ fault, timeoutMs }) => [fault, timeoutMs])).toEqual([
      [{ delay: { ms: 7000, percent: 100 }, abort: null }, null],
      [{ delay: null, abort: { httpStatus: 500, grpcStatus: null, percent: 100 } }, null],
      [null, 500],
    ]);
  });

  it('the rules of the gateway govern nobody inside', () => {
    expect(model.hosts.map(({ name }) => name)).toEqual(
      ['details', 'productpage', 'ratings', 'reviews'].map((name) => `${name}.default.svc.cluster.local:9080`),
    );
    expect(said(model, 'productpage', 9080)).toEqual([' → outbound|9080||productpage×1']);
  });

  it('knows the pods of reviews by version and workload', () => {
    const reviews = model.services.find(({ name }) => name === 'reviews');
    expect(
      reviews?.endpoints.map(({ host, labels, workload, serviceAccount }) => [host, labels['version'], workload, serviceAccount]),
    ).toEqual([
      ['10.8.0.11', 'v1', 'reviews-v1', 'bookinfo-reviews'],
      ['10.8.0.12', 'v2', 'reviews-v2', 'bookinfo-reviews'],
      ['10.8.0.13', 'v3', 'reviews-v3', 'bookinfo-reviews'],
    ]);
  });

  it('without its DestinationRules every subset is missing', () => {
    const bare = corpus('bookinfo');
    expect(said(bare, 'reviews', 9080)).toEqual([' → outbound|9080||reviews×1']);
  });
});

describe('httpbin', () => {
  const model = corpus('httpbin');

  it('mirrors v1 to v2', () => {
    expect(routesAt(model, 'httpbin', 8000)).toMatchObject([
      { mirrors: [{ cluster: 'outbound|8000|v2|httpbin.default.svc.cluster.local', percent: 100 }] },
    ]);
    expect(said(model, 'httpbin', 8000)).toEqual([' → outbound|8000|v1|httpbin×1']);
  });

  it('trips its breaker at once', () => {
    expect(clusterAt(model, 'outbound|8000|v1|httpbin.default.svc.cluster.local')).toMatchObject({
      limits: { connections: 1, pending: 1, requests: null, retries: null },
      connection: { maxRequestsPerConnection: 1 },
      outlier: { consecutive5xx: 1, intervalMs: 1000, baseEjectionMs: 180_000, maxEjectionPercent: 100 },
      panicPercent: 0,
    });
  });

  it('bounds calls to httpbin.org', () => {
    expect(routesAt(model, 'httpbin.org', 80)).toMatchObject([{ resource: 'VirtualService default/httpbin-ext', timeoutMs: 3000 }]);
    expect(clusterAt(model, 'outbound|80||httpbin.org')).toMatchObject({
      location: 'external',
      resolution: 'dns',
      tls: { mode: 'DISABLE' },
    });
  });

  it('originates TLS for calls to port 80 of the news', () => {
    expect(clusterAt(model, 'outbound|80||edition.cnn.com')).toMatchObject({ tls: { mode: 'SIMPLE', sni: null } });
    expect(clusterAt(model, 'outbound|443||edition.cnn.com')).toMatchObject({ tls: { mode: 'DISABLE' }, protocol: 'HTTPS' });
    const service = model.services.find(({ host }) => host === 'edition.cnn.com');
    expect(service?.endpoints).toMatchObject([{ host: 'edition.cnn.com', ports: { 80: 443, 443: 443 } }]);
    expect(hostAt(model, 'edition.cnn.com', 443)).toBeDefined();
  });
});
