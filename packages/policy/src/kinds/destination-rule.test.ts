import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, problemsOf, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const policy = (trafficPolicy: object): object => ({ host: 'reviews', trafficPolicy });
const lb = (loadBalancer: object): object => policy({ loadBalancer });
const locality = (localityLbSetting: object): object => policy({ loadBalancer: { localityLbSetting }, outlierDetection: {} });
const at = 'spec.trafficPolicy';

const rows: readonly Row[] = [
  ['a host alone', { host: 'reviews' }, null],
  ['no host', {}, 'spec.host', /required/],
  ['an empty host', { host: '' }, 'spec.host', /not a host/],
  ['an empty policy', policy({}), at, /empty/],
  ['an empty policy of a subset', { host: 'reviews', subsets: [{ name: 'v1', trafficPolicy: {} }] }, 'spec.subsets[0].trafficPolicy', /empty/],
  ['a subset twice', { host: 'reviews', subsets: [{ name: 'v1' }, { name: 'v1' }] }, 'spec.subsets[1].name', /twice/],
  ['a subset name that is none', { host: 'reviews', subsets: [{ name: 'V_1' }] }, 'spec.subsets[0].name', /DNS-1123/],
  ['a subset without a name', { host: 'reviews', subsets: [{}] }, 'spec.subsets[0].name', /required/],
  ['a label that is a number', { host: 'reviews', subsets: [{ name: 'v1', labels: { version: 1 } }] }, 'spec.subsets[0].labels.version', /a string is expected/],
  ['a selector exported elsewhere', { host: 'reviews', workloadSelector: { matchLabels: { a: 'b' } }, exportTo: ['other'] }, 'spec.exportTo[0]', /own namespace/],
  ['a selector exported at home', { host: 'reviews', workloadSelector: { matchLabels: { a: 'b' } }, exportTo: ['.'] }, null],

  ['simple beside consistentHash', lb({ simple: 'RANDOM', consistentHash: { useSourceIp: true } }), `${at}.loadBalancer.simple`, /excludes/],
  ['LEAST_CONN', lb({ simple: 'LEAST_CONN' }), `${at}.loadBalancer.simple`, /deprecated/, 'warning'],
  ['PEAK_EWMA, which Istio does not know', lb({ simple: 'PEAK_EWMA' }), `${at}.loadBalancer.simple`, /not one of/],
  ['an algorithm in small letters', lb({ simple: 'random' }), `${at}.loadBalancer.simple`, /"random" is not one of/],
  ['a hash without a key', lb({ consistentHash: {} }), `${at}.loadBalancer.consistentHash`, /no key/],
  ['a hash with two keys', lb({ consistentHash: { useSourceIp: true, httpHeaderName: 'x' } }), `${at}.loadBalancer.consistentHash.useSourceIp`, /exclude/],
  ['ringHash beside maglev', lb({ consistentHash: { httpHeaderName: 'x', ringHash: {}, maglev: {} } }), `${at}.loadBalancer.consistentHash.maglev`, /excludes/],
  ['a Maglev table of 65536', lb({ consistentHash: { httpHeaderName: 'x', maglev: { tableSize: 65_536 } } }), `${at}.loadBalancer.consistentHash.maglev.tableSize`, /prime/],
  ['a Maglev table of 5000011', lb({ consistentHash: { httpHeaderName: 'x', maglev: { tableSize: 5_000_011 } } }), `${at}.loadBalancer.consistentHash.maglev.tableSize`, /5000010/],
  ['a Maglev table of 4999999', lb({ consistentHash: { httpHeaderName: 'x', maglev: { tableSize: 4_999_999 } } }), null],
  ['a cookie without a name', lb({ consistentHash: { httpCookie: { ttl: '0s' } } }), `${at}.loadBalancer.consistentHash.httpCookie.name`, /required/],
  ['minimumRingSize beside', lb({ consistentHash: { httpHeaderName: 'x', minimumRingSize: 10 } }), `${at}.loadBalancer.consistentHash.minimumRingSize`, /deprecated/, 'warning'],
  ['minimumRingSize for maglev', lb({ consistentHash: { httpHeaderName: 'x', maglev: {}, minimumRingSize: 10 } }), `${at}.loadBalancer.consistentHash.minimumRingSize`, /no meaning/, 'warning'],
  ['a cookie with an empty name', lb({ consistentHash: { httpCookie: { name: '' } } }), `${at}.loadBalancer.consistentHash.httpCookie.name`, /no name/],
  ['warmup twice', lb({ warmup: { duration: '1s' }, warmupDurationSecs: '1s' }), `${at}.loadBalancer.warmupDurationSecs`, /excludes/],
  ['distribute to nowhere', locality({ distribute: [{ from: 'a', to: {} }] }), `${at}.loadBalancer.localityLbSetting.distribute[0].to`, /no locality/],
  ['a failoverPriority without a label', locality({ failoverPriority: ['=a'] }), `${at}.loadBalancer.localityLbSetting.failoverPriority[0]`, /no label/],
  ['a tunnel to nowhere', policy({ tunnel: { targetHost: '', targetPort: 1 } }), `${at}.tunnel.targetHost`, /empty/],
  ['warmup for RANDOM', lb({ simple: 'RANDOM', warmup: { duration: '10s' } }), `${at}.loadBalancer.warmup`, /ROUND_ROBIN/],
  ['warmup without duration', lb({ warmup: {} }), `${at}.loadBalancer.warmup.duration`, /required/],
  ['warmup of 101 %', lb({ warmup: { duration: '10s', minimumPercent: 101 } }), `${at}.loadBalancer.warmup.minimumPercent`, /percentage/],
  ['warmupDurationSecs', lb({ warmupDurationSecs: '10s' }), `${at}.loadBalancer.warmupDurationSecs`, /deprecated/, 'warning'],
  ['zone-aware routing', lb({ zoneAwareLbSetting: { enabled: true } }), `${at}.loadBalancer.zoneAwareLbSetting`, /not honoured/, 'info'],
  ['zones among its labels', lb({ zoneAwareLbSetting: { failoverPriority: ['topology.kubernetes.io/zone'] } }), `${at}.loadBalancer.zoneAwareLbSetting.failoverPriority[0]`, /may not/],

  ['distribute', locality({ distribute: [{ from: 'us-west/zone1/*', to: { 'us-west/zone1/*': 80, 'us-west/zone2/*': 20 } }] }), null],
  ['distribute of 99 %', locality({ distribute: [{ from: 'a', to: { a: 99 } }] }), `${at}.loadBalancer.localityLbSetting.distribute[0].to`, /99, not 100/],
  ['distribute with 0 %', locality({ distribute: [{ from: 'a', to: { a: 100, b: 0 } }] }), `${at}.loadBalancer.localityLbSetting.distribute[0].to.b`, /1 to 100/],
  ['distribute from twice', locality({ distribute: [{ from: 'a', to: { a: 100 } }, { from: 'a', to: { a: 100 } }] }), `${at}.loadBalancer.localityLbSetting.distribute[1].from`, /two entries/],
  ['distribute to places that overlap', locality({ distribute: [{ from: 'a', to: { 'a/*': 50, 'a/b': 50 } }] }), `${at}.loadBalancer.localityLbSetting.distribute[0].to["a/b"]`, /overlap/],
  ['a star in the middle', locality({ distribute: [{ from: 'a/*/b', to: { a: 100 } }] }), `${at}.loadBalancer.localityLbSetting.distribute[0].from`, /not a locality/],
  ['distribute beside failover', locality({ distribute: [{ from: 'a', to: { a: 100 } }], failover: [{ from: 'a', to: 'b' }] }), `${at}.loadBalancer.localityLbSetting.failover`, /excludes/],
  ['distribute beside failoverPriority', locality({ distribute: [{ from: 'a', to: { a: 100 } }], failoverPriority: ['a'] }), `${at}.loadBalancer.localityLbSetting.failoverPriority`, /excludes/],
  ['failover to itself', locality({ failover: [{ from: 'a', to: 'a' }] }), `${at}.loadBalancer.localityLbSetting.failover[0].to`, /itself/],
  ['failover of zones', locality({ failover: [{ from: 'a/b', to: 'c' }] }), `${at}.loadBalancer.localityLbSetting.failover[0].from`, /not a region/],
  ['failover twice', locality({ failover: [{ from: 'a', to: 'b' }, { from: 'a', to: 'c' }] }), `${at}.loadBalancer.localityLbSetting.failover[1].from`, /two entries/],
  ['a label of failoverPriority twice', locality({ failoverPriority: ['a', 'a=b'] }), `${at}.loadBalancer.localityLbSetting.failoverPriority[1]`, /twice/],
  ['failover without outlierDetection', lb({ localityLbSetting: { failover: [{ from: 'a', to: 'b' }] } }), `${at}.loadBalancer.localityLbSetting`, /needs outlierDetection/, 'warning'],

  ['maxConnections 0', policy({ connectionPool: { tcp: { maxConnections: 0 } } }), null],
  ['negative maxConnections', policy({ connectionPool: { tcp: { maxConnections: -1 } } }), `${at}.connectionPool.tcp.maxConnections`, /-1/],
  ['half a connection', policy({ connectionPool: { tcp: { maxConnections: 0.5 } } }), `${at}.connectionPool.tcp.maxConnections`, /0.5/],
  ['connectTimeout 0', policy({ connectionPool: { tcp: { connectTimeout: '0s' } } }), `${at}.connectionPool.tcp.connectTimeout`, /0 means/],
  ['idleTimeout 0', policy({ connectionPool: { http: { idleTimeout: '0s' } } }), null],
  ['an empty pool', policy({ connectionPool: {} }), `${at}.connectionPool`, /no effect|neither/, 'warning'],
  ['useClientProtocol', policy({ connectionPool: { http: { useClientProtocol: true } } }), `${at}.connectionPool.http.useClientProtocol`, /not honoured/, 'info'],
  ['useClientProtocol with an upgrade', policy({ connectionPool: { http: { useClientProtocol: true, h2UpgradePolicy: 'UPGRADE' } } }), `${at}.connectionPool.http.useClientProtocol`, /ignored/, 'warning'],
  ['half a keep-alive', policy({ connectionPool: { http: { http2KeepAlive: { interval: '1s' } } } }), `${at}.connectionPool.http.http2KeepAlive`, /both/],

  ['local failures without split', policy({ outlierDetection: { consecutiveLocalOriginFailures: 3 } }), `${at}.outlierDetection.consecutiveLocalOriginFailures`, /needs split/],
  ['local failures with split', policy({ outlierDetection: { consecutiveLocalOriginFailures: 3, splitExternalLocalOriginErrors: true } }), null],
  ['maxEjectionPercent 101', policy({ outlierDetection: { maxEjectionPercent: 101 } }), `${at}.outlierDetection.maxEjectionPercent`, /0 to 100/],
  ['code 600', policy({ outlierDetection: { outlierDetectionHttpErrorCodes: [600] } }), `${at}.outlierDetection.outlierDetectionHttpErrorCodes[0]`, /100 to 599/],
  ['consecutiveErrors', policy({ outlierDetection: { consecutiveErrors: 3 } }), `${at}.outlierDetection.consecutiveErrors`, /deprecated/, 'warning'],

  ['MUTUAL without a key', policy({ tls: { mode: 'MUTUAL', clientCertificate: 'a.pem' } }), `${at}.tls.privateKey`, /needs privateKey/],
  ['ISTIO_MUTUAL with files', policy({ tls: { mode: 'ISTIO_MUTUAL', caCertificates: 'a.pem' } }), `${at}.tls.caCertificates`, /excludes/],
  ['a secret, which a process does not have', policy({ tls: { mode: 'SIMPLE', credentialName: 'a' } }), `${at}.tls.credentialName`, /not honoured/, 'info'],
  ['probes Node.js cannot set', policy({ connectionPool: { tcp: { tcpKeepalive: { probes: 3 } } } }), `${at}.connectionPool.tcp.tcpKeepalive.probes`, /not honoured/, 'info'],
  ['a secret and files', policy({ tls: { mode: 'SIMPLE', credentialName: 'a', caCertificates: 'a.pem' } }), `${at}.tls.credentialName`, /excludes/],
  ['no verification and SANs', policy({ tls: { mode: 'SIMPLE', insecureSkipVerify: true, subjectAltNames: ['a'] } }), `${at}.tls.insecureSkipVerify`, /excludes/],
  ['no verification', policy({ tls: { mode: 'SIMPLE', insecureSkipVerify: true } }), `${at}.tls.insecureSkipVerify`, /pose/, 'warning'],

  ['tunnel beside proxyProtocol', policy({ tunnel: { targetHost: 'a', targetPort: 1 }, proxyProtocol: {} }), `${at}.proxyProtocol`, /excludes/],
  ['a port twice', policy({ portLevelSettings: [{ port: { number: 1 }, tls: {} }, { port: { number: 1 }, tls: {} }] }), `${at}.portLevelSettings[1].port.number`, /twice/],
  ['a port-level setting without port', policy({ portLevelSettings: [{ tls: {} }] }), `${at}.portLevelSettings[0].port`, /missing/],
  ['4097 ports', policy({ portLevelSettings: Array.from({ length: 4097 }, (_, index) => ({ port: { number: index + 1 }, tls: {} })) }), `${at}.portLevelSettings`, /4096/],
  ['settings that a port hides', policy({ outlierDetection: {}, portLevelSettings: [{ port: { number: 1 }, tls: {} }] }), `${at}.portLevelSettings[0]`, /outlierDetection above does not hold/, 'warning'],
  ['a budget of 120 %', policy({ retryBudget: { percent: 120 } }), `${at}.retryBudget.percent`, /percentage/],
]; // prettier-ignore

describe('DestinationRule', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('DestinationRule', row));

  it('takes zero for unset where protobuf cannot tell them apart, and for zero where it can', () => {
    const [rule] = documentOf(
      resource(
        'DestinationRule',
        policy({ connectionPool: { http: { http2MaxRequests: 0 } }, outlierDetection: { maxEjectionPercent: 0, consecutive5xxErrors: 0 } }),
      ),
    ).resources.filter(isKind('DestinationRule'));
    expect(rule?.spec.trafficPolicy?.connectionPool?.http?.http2MaxRequests).toBeUndefined();
    expect(rule?.spec.trafficPolicy?.outlierDetection?.maxEjectionPercent).toBeUndefined();
    expect(rule?.spec.trafficPolicy?.outlierDetection?.consecutive5xxErrors).toBe(0);
  });

  it.each([
    ['PEAK_EWMA', 'inmesh.dev/load-balancer', 'DestinationRule', []],
    ['ROUND_ROBIN', 'inmesh.dev/load-balancer', 'DestinationRule', ['error IST0125']],
    ['PEAK_EWMA', 'inmesh.dev/load-balance', 'DestinationRule', ['warning IST0108']],
    ['PEAK_EWMA', 'inmesh.dev/load-balancer', 'WorkloadEntry', ['warning IST0107']],
    ['anything', 'example.com/load-balancer', 'DestinationRule', []],
  ])('judges annotation %s of %s on a %s', (value, name, kind, expected) => {
    const text = resource(
      kind,
      { host: 'reviews', address: '10.0.0.1', ...(kind === 'WorkloadEntry' ? { host: undefined } : { address: undefined }) },
      { annotations: { [name]: value } },
    );
    expect(problemsOf(text).map(({ severity, code }) => `${severity} ${code}`)).toEqual(expected);
  });
});
