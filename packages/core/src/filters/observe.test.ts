import { expect, it } from 'vitest';
import type { RouteObserver } from '../observer.ts';
import { scriptedTransport, testExchange, testRuntime } from '../testing/index.ts';
import { observe } from './observe.ts';

it('has the call counted under its route before anything below can refuse it', () => {
  const observer: RouteObserver = { ended: () => {} };
  const exchange = testExchange();
  const handler = observe.outbound!(
    { observer },
    testRuntime(),
  )(() => {
    throw new Error('refused below');
  });
  expect(() => handler(exchange, scriptedTransport())).toThrow('refused below');
  expect(exchange.life.observer).toBe(observer);
});
