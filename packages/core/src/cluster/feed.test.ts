import type { PeerRule } from '@inmesh/policy';
import { beforeEach, expect, test } from 'vitest';
import { staticResolver } from '../endpoint/static.ts';
import { LeaseBook } from '../lease.ts';
import type { HealthChecks } from '../ports/health.ts';
import type { Resolution, Resolver, ServiceRef } from '../ports/resolver.ts';
import { fakeClock, testEndpoint, testService, testSpec } from '../testing/index.ts';
import { EndpointFeed, leaseFeed } from './feed.ts';

let watches: { ref: ServiceRef; say: (resolution: Resolution) => void; closed: boolean }[];
let scripted: Resolver;

beforeEach(() => {
  watches = [];
  scripted = {
    name: 'scripted',
    handles: ({ service }) => service.resolution === 'dns',
    watch: (ref, say) => {
      const watch = { ref, say, closed: false };
      watches.push(watch);
      return { close: () => void (watch.closed = true) };
    },
  };
});

const dns = testService({ resolution: 'dns' });
const tools = (...resolvers: Resolver[]) => ({ resolvers, clock: fakeClock(), random: () => 0 });
const bound = (...addresses: string[]): Resolution => ({ state: 'bound', endpoints: addresses.map((address) => testEndpoint(address)) });

test('starts at the first subscriber, once, and passes on every complete list', () => {
  const feed = new EndpointFeed(dns, 80, tools(staticResolver, scripted));
  expect(watches).toHaveLength(0);
  const heard: number[] = [];
  feed.subscribe(() => heard.push(1));
  const second = feed.subscribe(() => heard.push(2));
  expect(watches).toHaveLength(1);
  expect(watches[0]!.ref.port).toEqual({ number: 80, name: 'http', protocol: 'HTTP' });
  expect([feed.resolution.state, feed.endpoints]).toEqual(['pending', undefined]);
  watches[0]!.say(bound('10.0.0.1:80'));
  second.close();
  watches[0]!.say(bound('10.0.0.2:80'));
  expect(heard).toEqual([1, 2, 1]);
  expect(feed.endpoints!.map(({ address }) => address)).toEqual(['10.0.0.2:80']);
});

test('a failed look-up keeps the last list; absent drops it', () => {
  const feed = new EndpointFeed(dns, 80, tools(scripted));
  feed.subscribe(() => {});
  watches[0]!.say({ state: 'failed', reason: 'SERVFAIL' });
  expect(feed.endpoints).toBeUndefined();
  watches[0]!.say(bound('10.0.0.1:80'));
  watches[0]!.say({ state: 'failed', reason: 'SERVFAIL' });
  expect(feed.resolution).toEqual({ state: 'failed', reason: 'SERVFAIL' });
  expect(feed.endpoints).toHaveLength(1);
  watches[0]!.say({ state: 'absent' });
  expect(feed.endpoints).toBeUndefined();
});

test('nobody to ask is absent; a resolver that throws has failed', () => {
  const absent = new EndpointFeed(dns, 80, tools(staticResolver));
  absent.subscribe(() => {});
  expect(absent.resolution).toEqual({ state: 'absent' });
  const broken = new EndpointFeed(dns, 80, tools({ ...scripted, watch: () => { throw new Error('no such API'); } })); // prettier-ignore
  broken.subscribe(() => {});
  expect(broken.resolution).toEqual({ state: 'failed', reason: 'no such API' });
});

test('static endpoints come from the newest document, at once', () => {
  const feed = new EndpointFeed(testService({ endpoints: [testSpec('10.0.0.1')] }), 80, tools(staticResolver));
  let heard = 0;
  feed.subscribe(() => (heard += 1));
  feed.use(testService({ endpoints: [testSpec('10.0.0.1')] })); // says the same in new objects
  expect(heard).toBe(1);
  feed.use(testService({ endpoints: [testSpec('10.0.0.2')] }));
  expect(heard).toBe(2);
  expect(feed.endpoints!.map(({ address }) => address)).toEqual(['10.0.0.2:8080']);
});

test('a changed service is looked up anew while the old list serves, and the old watch is not heard any more', () => {
  const feed = new EndpointFeed(dns, 80, tools(staticResolver, scripted));
  feed.use(testService({ resolution: 'dns', addresses: ['1.2.3.4'] }));
  expect(watches).toHaveLength(0); // nothing has begun yet
  feed.subscribe(() => {});
  watches[0]!.say(bound('10.0.0.1:80'));
  feed.use(testService({ resolution: 'dns', addresses: ['5.6.7.8'] }));
  expect(watches.map(({ closed }) => closed)).toEqual([true, false]);
  watches[1]!.say({ state: 'pending' });
  watches[0]!.say(bound('10.0.0.9:80'));
  expect(feed.resolution.state).toBe('bound');
  expect(feed.endpoints!.map(({ address }) => address)).toEqual(['10.0.0.1:80']);
});

test('a changed service is followed before the old one is left: what a resolver shares between both is not forgotten', () => {
  const order: string[] = [];
  const watch: Resolver['watch'] = ({ service }, say) => {
    order.push(`watch ${service.addresses.join()}`);
    say(bound('10.0.0.1:80'));
    return { close: () => void order.push(`close ${service.addresses.join()}`) };
  };
  const feed = new EndpointFeed(dns, 80, tools({ ...scripted, watch }));
  feed.subscribe(() => {});
  feed.use(testService({ resolution: 'dns', addresses: ['1.2.3.4'] }));
  feed.use(testService({ resolution: 'static' })); // nobody knows those
  expect(order).toEqual(['watch ', 'watch 1.2.3.4', 'close ', 'close 1.2.3.4']);
  feed.close();
  expect(order).toHaveLength(4);
});

test('closes with the last snapshot that names it, and is the same for all until then', () => {
  const book = new LeaseBook();
  const [first, second] = [book.scope(), book.scope()];
  const feed = leaseFeed(first.at('mesh'), dns, 80, tools(scripted));
  expect(leaseFeed(second.at('mesh'), dns, 80, tools(scripted))).toBe(feed);
  expect(leaseFeed(second.at('mesh'), dns, 81, tools(scripted))).not.toBe(feed);
  feed.subscribe(() => {});
  first.release();
  expect(watches[0]!.closed).toBe(false);
  second.release();
  expect(watches[0]!.closed).toBe(true);
  expect(book.size).toBe(0);
});

test('endpoints with a probe are judged by who asks them, for as long as the feed lives, whatever the policy says meanwhile', () => {
  const ill = new Set<string>();
  let follows = 0;
  let news = (): void => {};
  let answer = (_well: boolean): void => {};
  let asked: string[] = [];
  const health: HealthChecks = {
    follow: (onChange, { answered }) => {
      answer = answered!;
      follows += 1;
      news = onChange;
      return {
        judge: (endpoints) => {
          asked = endpoints.map(({ address }) => address);
          return endpoints.map((one) => (ill.has(one.address) ? { ...one, health: 'unhealthy' } : one));
        },
        close: () => (asked = ['closed']),
      };
    },
  };
  const probe = {
    initialDelayMs: 0,
    timeoutMs: 1,
    periodMs: 1,
    successThreshold: 1,
    failureThreshold: 1,
    ask: { kind: 'tcp', port: 1 },
  } as const;
  const feed = new EndpointFeed(dns, 80, { ...tools(scripted), health });
  const heard: string[] = [];
  feed.subscribe(() => heard.push(feed.endpoints?.map(({ health: how }) => how).join() ?? 'nobody'));
  watches[0]!.say(bound('10.0.0.9:80'));
  expect([follows, feed.probes]).toEqual([0, undefined]);
  const probed = ['10.0.0.1:80', '10.0.0.2:80'].map((address) => testEndpoint(address, { probe }));
  watches[0]!.say({ state: 'bound', endpoints: probed });
  ill.add('10.0.0.2:80');
  news();
  expect(heard).toEqual(['healthy', 'healthy,healthy', 'healthy,unhealthy']);
  for (const well of [true, false, true]) answer(well);
  expect(feed.probes).toEqual({ success: 2, failure: 1 });
  feed.use({ ...dns, subjectAltNames: ['x'] });
  expect(asked).toHaveLength(2);
  watches[1]!.say({ state: 'bound', endpoints: probed });
  expect([heard.at(-1), follows]).toEqual(['healthy,unhealthy', 1]);
  watches[1]!.say({ state: 'absent' });
  expect([heard.at(-1), asked]).toEqual(['nobody', []]);
  feed.close();
  expect(asked).toEqual(['closed']);
});

test('a rule against mutual TLS holds at once for whom the registry named before, and its end, too; nobody is asked again', () => {
  const feed = new EndpointFeed(dns, 80, tools(scripted));
  const heard: string[] = [];
  const off = (namespace: string): PeerRule => ({ namespace, labels: {}, mtls: { mode: 'DISABLE', ports: {}, resources: [] } });
  feed.obey([off('shop')]); // before there is anybody
  feed.subscribe(() => heard.push(feed.endpoints!.map(({ namespace, mtls }) => `${namespace} ${mtls}`).join()));
  watches[0]!.say({
    state: 'bound',
    endpoints: [
      testEndpoint('10.0.0.1:80', { mtls: true, namespace: 'shop' }),
      testEndpoint('10.0.0.2:80', { mtls: true, namespace: 'mail' }),
    ],
  });
  feed.obey([off('shop')]); // says the same in new objects
  feed.obey([off('mail')]);
  watches[0]!.say({ state: 'failed', reason: 'down' });
  feed.obey([]);
  expect(heard).toEqual([
    'shop false,mail true',
    'shop true,mail false',
    'shop true,mail false', // the registry failed
    'shop true,mail true',
  ]);
  expect(watches).toHaveLength(1);
});
