import { fakeClock } from '@inmesh/core/testing';
import type { SourceUpdate } from '@inmesh/policy/source';
import { expect, it } from 'vitest';
import { Feed } from './feed.ts';

function scene() {
  const clock = fakeClock();
  const state: { texts: string[] | undefined; troubles: string[] } = { texts: undefined, troubles: [] };
  const told: string[] = [];
  const write = (update: SourceUpdate): string => (update.ok ? update.texts.map(({ text }) => text).join(' ') : `failed ${update.reason}`);
  const feed = new Feed(
    () => ({ texts: state.texts?.map((text) => ({ file: text, text })), troubles: state.troubles }),
    (update) => told.push(write(update)),
    clock,
  );
  return { clock, state, told, feed };
}

it('tells nothing before all is known, and then at once', () => {
  const { clock, state, told, feed } = scene();
  feed.touch();
  clock.advance(0);
  expect(told).toEqual([]);
  state.texts = ['a'];
  feed.touch();
  clock.advance(0);
  expect(told).toEqual(['a']);
});

it('waits for 100 ms of quiet, but not longer than 10 s, and tells nothing twice', () => {
  const { clock, state, told, feed } = scene();
  state.texts = ['a'];
  feed.touch();
  clock.advance(0);
  state.texts = ['b'];
  feed.touch();
  clock.advance(99);
  feed.touch();
  clock.advance(99);
  expect(told).toEqual(['a']);
  clock.advance(1);
  expect(told).toEqual(['a', 'b']);
  state.texts = ['c'];
  for (let at = 0; at < 10_000; at += 50) {
    feed.touch();
    expect(told).toEqual(['a', 'b']);
    clock.advance(50);
  }
  expect(told).toEqual(['a', 'b', 'c']);
  feed.touch();
  clock.advance(200);
  expect(told).toEqual(['a', 'b', 'c']);
});

it('tells trouble once, new contents meanwhile, and the contents again when it is over', () => {
  const { clock, state, told, feed } = scene();
  const touch = () => {
    feed.touch();
    clock.advance(100);
  };
  state.texts = ['a'];
  touch();
  state.troubles = ['x is left out'];
  touch();
  touch();
  state.texts = ['b'];
  touch();
  expect(told).toEqual(['a', 'failed x is left out', 'b', 'failed x is left out']);
  state.troubles = [];
  touch();
  expect(told.slice(4)).toEqual(['b']);
  feed.touch();
  feed.close();
  expect(clock.pending).toBe(0);
});
