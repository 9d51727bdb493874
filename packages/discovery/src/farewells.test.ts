import { fakeClock, testEndpoint } from '@inmesh/core/testing';
import { expect, it } from 'vitest';
import { Farewells } from './farewells.ts';

function scene() {
  const clock = fakeClock();
  let over = 0;
  const farewells = new Farewells(clock, () => (over += 1), 30_000);
  const write = (...args: Parameters<Farewells['with']>) => farewells.with(...args).map(({ address, health }) => `${address} ${health}`);
  return { clock, farewells, write, over: () => over };
}

const [a, b] = [testEndpoint('10.0.0.1:80'), testEndpoint('10.0.0.2:80')];

it('keeps who vanishes without a word as draining, for a while', () => {
  const { clock, write, over } = scene();
  write([a, b]);
  expect(write([b])).toEqual(['10.0.0.2:80 healthy', '10.0.0.1:80 draining']);
  clock.advance(29_999);
  expect(write([b])).toHaveLength(2);
  expect(over()).toBe(0);
  clock.advance(1);
  expect(over()).toBe(1);
  expect(write([b])).toEqual(['10.0.0.2:80 healthy']);
  expect(clock.pending).toBe(0);
});

it('lets go at once of who was seen draining, or is known not to be ready', () => {
  const { write } = scene();
  write([testEndpoint('10.0.0.1:80', { health: 'draining' }), b]);
  expect(write([b])).toEqual(['10.0.0.2:80 healthy']);
  expect(write([], ({ address }) => address === '10.0.0.2:80')).toEqual([]);
});

it('takes back who returns', () => {
  const { clock, write } = scene();
  write([a, b]);
  write([b]);
  expect(write([a, b])).toEqual(['10.0.0.1:80 healthy', '10.0.0.2:80 healthy']);
  clock.advance(60_000);
  expect(write([a, b])).toHaveLength(2);
});

it('has no timer after its close', () => {
  const { clock, farewells, write } = scene();
  write([a]);
  write([]);
  farewells.close();
  expect(clock.pending).toBe(0);
});
