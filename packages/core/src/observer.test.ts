import { DEFAULT_TELEMETRY } from '@inmesh/policy';
import { expect, test } from 'vitest';
import { type EndedCall, joinObservers, type Observer } from './observer.ts';
import { testEndedCall } from './testing/ended-call.ts';

const telemetry = DEFAULT_TELEMETRY.client;
const info = {
  side: 'client',
  cluster: '',
  service: '',
  serviceName: '',
  serviceNamespace: '',
  route: '',
  protocol: 'http',
  telemetry,
} as const;

function counting(): { readonly observer: Observer; readonly heard: string[] } {
  const heard: string[] = [];
  return {
    heard,
    observer: { route: () => ({ ended: ({ status }) => void heard.push(`ended ${status}`) }), event: ({ type }) => void heard.push(type) },
  };
}

const broken = (): never => {
  throw new Error('a bug of the observer');
};

test('observers of inbound calls that throw cost the others nothing', () => {
  const heard: string[] = [];
  const port: Observer = {
    ...counting().observer,
    inbound: ({ port: at }) => ({ ended: ({ status }: EndedCall) => void heard.push(`${at} ${status}`) }),
  };
  const broke: Observer = { ...counting().observer, inbound: broken };
  const brokeLater: Observer = { ...counting().observer, inbound: () => ({ ended: broken }) };
  const at = { ...info, side: 'server', port: 8080 } as const;
  for (const observers of [[port], [port, broke, brokeLater, port], [broke], [brokeLater], [counting().observer]])
    joinObservers(observers).inbound!(at).ended(testEndedCall());
  expect(heard).toEqual(['8080 200', '8080 200', '8080 200']);
});

test('observers that throw cost the others nothing, nor the call', () => {
  const [first, last] = [counting(), counting()];
  const joined = joinObservers([
    first.observer,
    { route: broken, event: broken },
    { route: () => ({ ended: broken }), event: broken },
    last.observer,
  ]);
  joined.route(info).ended(testEndedCall());
  joined.event({ type: 'cluster.panic', cluster: 'c', active: true });
  for (const { heard } of [first, last]) expect(heard).toEqual(['ended 200', 'cluster.panic']);
  expect(() =>
    joinObservers([{ route: broken, event: broken }])
      .route(info)
      .ended(testEndedCall()),
  ).not.toThrow();
});

test('messages are told to those who count them', () => {
  const heard: string[] = [];
  const counts = (name: string): Observer => ({
    route: () => ({ ended: () => {}, messages: (_, requests, responses) => void heard.push(`${name} ${requests} ${responses}`) }),
    event: () => {},
  });
  const breaks: Observer = { route: () => ({ ended: () => {}, messages: broken }), event: () => {} };
  joinObservers([counts('one'), counting().observer, breaks, counts('two')]).route(info).messages!(testEndedCall(), 1, 2);
  expect(heard).toEqual(['one 1 2', 'two 1 2']);
});
