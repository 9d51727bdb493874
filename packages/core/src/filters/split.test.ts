import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Handler } from '../handler.ts';
import { type RouteObserver, silentRoute } from '../observer.ts';
import { scriptedTransport, seededRandom, testExchange, testRuntime } from '../testing/index.ts';
import { missing, split } from './split.ts';

const never: Handler = () => Promise.reject(new Error('nothing is below a split'));

function draw(weights: readonly number[], random: () => number, calls: number): { counts: number[]; observers: Set<RouteObserver> } {
  const counts = weights.map(() => 0);
  const observers = new Set<RouteObserver>();
  const ways = weights.map((weight, index) => {
    const observer: RouteObserver = { ended: () => {} };
    const handler: Handler = (exchange, transport) => {
      expect(exchange.life.observer).toBe(observer);
      observers.add(observer);
      counts[index]! += 1;
      return Promise.resolve(transport.answer(exchange, { status: 200, grpcStatus: 0, headers: [], body: '', message: '' }));
    };
    return { weight, handler, observer };
  });
  const handler = split.outbound!(ways, testRuntime({ random }))(never);
  for (let call = 0; call < calls; call += 1) void handler(testExchange(), scriptedTransport());
  return { counts, observers };
}

describe('a split', () => {
  it('sends each destination its share and has it counted there', () => {
    const { counts, observers } = draw([90, 9, 1], seededRandom(7), 20_000);
    expect(observers.size).toBe(3);
    expect(counts[0]! / 20_000).toBeCloseTo(0.9, 1);
    expect(counts[1]! / 20_000).toBeCloseTo(0.09, 1);
    expect(counts[2]!).toBeGreaterThan(120);
    expect(counts[2]!).toBeLessThan(280);
  });

  it('does not ask for weights that make 100', () => {
    const { counts } = draw([1, 3], seededRandom(7), 10_000);
    expect(counts[1]! / 10_000).toBeCloseTo(0.75, 1);
  });

  it('draws nothing for a single destination', () => {
    const { counts } = draw([1], () => expect.unreachable(), 3);
    expect(counts).toEqual([3]);
  });

  it('gives every part of the range to the destination whose part it is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 6 }),
        fc.double({ min: 0, max: 1 - 2 ** -53, noNaN: true }),
        (weights, drawn) => {
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          let end = 0;
          const expected = weights.findIndex((weight) => drawn * total < (end += weight));
          expect(draw(weights, () => drawn, 1).counts.indexOf(1)).toBe(expected);
        },
      ),
    );
  });

  it('begins a part where the one before ends', () => {
    expect(draw([1, 1], () => 0.5, 1).counts).toEqual([0, 1]);
    expect(draw([1, 3], () => 0.25 - 2 ** -53, 1).counts).toEqual([1, 0]);
  });

  it('refuses to be without destinations', () => {
    expect(() => split.outbound!([], testRuntime())).toThrow('no destination');
  });
});

describe('a missing destination', () => {
  const refused = (status: number): unknown => {
    const handler = missing({ cluster: 'outbound|80|v9|reviews', missing: { status, why: 'no DestinationRule defines subset v9' } });
    try {
      void split.outbound!([{ weight: 1, handler, observer: silentRoute }], testRuntime())(never)(testExchange(), scriptedTransport());
    } catch (error) {
      return error;
    }
    return undefined;
  };

  it('fails its share with NC and says why', () => {
    expect(refused(503)).toMatchObject({
      code: 'NO_CLUSTER',
      flag: 'NC',
      status: 503,
      message: 'outbound|80|v9|reviews does not exist: no DestinationRule defines subset v9',
    });
  });

  it('of an HTTPRoute is a 500', () => {
    expect(refused(500)).toMatchObject({ code: 'ROUTE_INVALID', flag: null, status: 500 });
  });
});
