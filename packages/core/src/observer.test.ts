import { expect, test } from 'vitest';
import { joinObservers, type Observer } from './observer.ts';

const info = { cluster: '', service: '', serviceName: '', serviceNamespace: '', route: '', protocol: 'http' } as const;

function counting(): { readonly observer: Observer; readonly heard: string[] } {
  const heard: string[] = [];
  return {
    heard,
    observer: { route: () => ({ ended: (_, status) => void heard.push(`ended ${status}`) }), event: ({ type }) => void heard.push(type) },
  };
}

const broken = (): never => {
  throw new Error('a bug of the observer');
};

test('observers that throw cost the others nothing, nor the call', () => {
  const [first, last] = [counting(), counting()];
  const joined = joinObservers([
    first.observer,
    { route: broken, event: broken },
    { route: () => ({ ended: broken }), event: broken },
    last.observer,
  ]);
  joined.route(info).ended(undefined, 200, -1, 0, 1, 0, 0);
  joined.event({ type: 'cluster.panic', cluster: 'c', active: true });
  for (const { heard } of [first, last]) expect(heard).toEqual(['ended 200', 'cluster.panic']);
  expect(() =>
    joinObservers([{ route: broken, event: broken }])
      .route(info)
      .ended(undefined, 200, -1, 0, 1, 0, 0),
  ).not.toThrow();
});
