import { fakeClock, type FakeClock } from '@inmesh/core/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { follow } from './blocking.ts';
import type { Answer, Since } from './client.ts';
import { Seats } from './seats.ts';

/** Half of every span that is drawn. */
const random = () => 0.5;

let clock: FakeClock;
let asked: { readonly at: number; readonly since: Since | undefined }[];
let told: string[];
/** The test plays Consul: answers the question that is open. */
let answer: (given: Partial<Answer> | Error) => Promise<void>;
beforeEach(() => {
  clock = fakeClock();
  asked = [];
  told = [];
});

function following({ seats = new Seats(1), waitMs = 60_000 } = {}) {
  let settle: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
  answer = async (given) => {
    const { resolve, reject } = settle!;
    settle = undefined;
    if (given instanceof Error) reject(given);
    else resolve({ body: 'x', index: 1, hash: undefined, leader: true, filtered: false, ...given });
    await clock.pass(0);
  };
  return follow<string>(
    {
      ask: (since) => {
        asked.push({ at: clock.now(), since });
        return new Promise((resolve, reject) => (settle = { resolve, reject }));
      },
      read: (body) => {
        if (typeof body !== 'string') throw new Error('answered with something else');
        return body;
      },
      onAnswer: (value, { doubtUntil }) => told.push(doubtUntil === 0 ? value : `${value}, in doubt until ${doubtUntil}`),
      onFailure: (reason) => told.push(`failed: ${reason}`),
    },
    { clock, random, seats, waitMs },
  );
}

const indices = () => asked.map(({ since }) => since?.index);

describe('a blocking query', () => {
  it('asks at once, then from the index of the last answer on, with a wait of some chance', async () => {
    const loop = following();
    await clock.pass(0);
    await answer({ index: 7, body: 'a' });
    await answer({ index: 9, body: 'b' });
    expect(asked.slice(0, 2).map(({ since }) => since)).toEqual([undefined, { index: 7, hash: undefined, waitMs: 60_000 }]);
    expect(told).toEqual(['a', 'b']);
    loop.close();
  });

  it('takes an index of 0 as 1, as one of 0 would not wait', async () => {
    const loop = following();
    await clock.pass(0);
    await answer({ index: 0 });
    expect(indices()).toEqual([undefined, 1]);
    loop.close();
  });

  it('starts over where the index goes backwards, and doubts what is missing for 10 s', async () => {
    const loop = following();
    await clock.pass(0);
    await answer({ index: 500, body: 'before' });
    await answer({ index: 3, body: 'restored' });
    await clock.pass(250);
    await answer({ index: 3, body: 'again' });
    await clock.pass(250);
    expect(indices()).toEqual([undefined, 500, undefined, 3]);
    expect(told).toEqual(['before', 'restored, in doubt until 10000', 'again, in doubt until 10000']);
    await clock.pass(10_000);
    await answer({ index: 4, body: 'sure' });
    expect(told.at(-1)).toBe('sure');
    loop.close();
  });

  it('goes by the hash where an answer has one and no index', async () => {
    const loop = following();
    await clock.pass(0);
    await answer({ index: undefined, hash: 'abc' });
    expect(asked[1]!.since).toEqual({ index: undefined, hash: 'abc', waitMs: 60_000 });
    loop.close();
  });

  it('asks twice at once and then four times a second, however fast Consul answers', async () => {
    const loop = following();
    await clock.pass(0);
    for (let index = 1; index <= 6; index += 1) {
      await answer({ index });
      await clock.pass(250);
    }
    expect(asked.map(({ at }) => at)).toEqual([0, 0, 250, 500, 750, 1000, 1250].slice(0, asked.length));
    expect(asked.length).toBeGreaterThan(5);
    loop.close();
  });

  it('backs off with full jitter after failures, forgets its place, and doubts the first answer after them', async () => {
    const loop = following();
    await clock.pass(0);
    await answer({ index: 5, body: 'good' });
    for (const wait of [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
      const from = clock.now();
      const questions = asked.length;
      await answer(new Error('cannot be reached'));
      await clock.pass(wait);
      expect(asked).toHaveLength(questions + 1);
      expect(asked.at(-1)!.at - from).toBe(wait);
    }
    const at = clock.now();
    await answer({ index: 5, body: 'back' });
    expect(asked.at(-2)!.since).toBeUndefined();
    expect(told.at(-1)).toBe(`back, in doubt until ${at + 10_000}`);
    loop.close();
  });

  it('takes an answer without a leader, and one that is no list, for failures', async () => {
    const loop = following();
    await clock.pass(0);
    await answer({ leader: false });
    await clock.pass(500);
    await answer({ body: 42 });
    expect(told).toEqual(['failed: it knows no leader, so what it answers may be old', 'failed: answered with something else']);
    loop.close();
  });

  it('without a seat asks every 5 s and does not wait', async () => {
    const seats = new Seats(1);
    const taken = seats.take();
    const loop = following({ seats });
    await clock.pass(0);
    await answer({ index: 5 });
    await answer({ index: 5 });
    await clock.pass(4999);
    expect(indices()).toEqual([undefined, undefined]);
    await clock.pass(1);
    expect(indices()).toEqual([undefined, undefined, undefined]);
    expect(taken).toBe(true);
    seats.leave();
    await answer({ index: 6 });
    await clock.pass(5000);
    expect(indices().at(-1)).toBe(6);
    loop.close();
  });

  it('closed, it leaves its seat and no timer, and hears no late answer', async () => {
    const seats = new Seats(1);
    const loop = following({ seats });
    await clock.pass(0);
    await answer({ index: 1 });
    loop.close();
    await answer({ index: 2, body: 'late' });
    expect(told).toEqual(['x']);
    expect(seats.take()).toBe(true);
    expect(clock.pending).toBe(0);
    const failing = following();
    await clock.pass(0);
    await answer(new Error('no'));
    failing.close();
    expect(clock.pending).toBe(0);
  });
});
