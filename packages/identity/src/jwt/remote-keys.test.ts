import type { MeshEvent } from '@inmesh/core';
import { type FakeClock, fakeClock } from '@inmesh/core/testing';
import { describe, expect, it } from 'vitest';
import { jwk, jwks, KEYS } from '../testing/tokens.ts';
import { type KeySet, parseKeys } from './keys.ts';
import { RemoteKeys } from './remote-keys.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

const keySet = (...keys: readonly object[]): KeySet => parseKeys(Buffer.from(jwks(...keys)), 'url') as KeySet;
const FIRST = keySet(jwk(KEYS.rsa, { kid: 'k1' }));
const SECOND_SET = keySet(jwk(KEYS.otherRsa, { kid: 'k2' }));

interface Scene {
  readonly clock: FakeClock;
  readonly keys: RemoteKeys;
  /** Moments of fetches, and what each was given as its limit. */
  readonly fetches: number[];
  readonly limits: number[];
  readonly events: MeshEvent[];
  /** What the next fetches bring; a function is asked. */
  answer: KeySet | string | (() => Promise<KeySet | string>);
  readonly holder: { readonly timeoutMs: number; readonly onEvent: (event: MeshEvent) => void };
}

function scene(answer: Scene['answer'] = FIRST, random = 0.5): Scene {
  const clock = fakeClock();
  const events: MeshEvent[] = [];
  const load = (limit: number): Promise<KeySet | string> => {
    made.fetches.push(clock.now());
    made.limits.push(limit);
    return typeof made.answer === 'function' ? made.answer() : Promise.resolve(made.answer);
  };
  const keys = new RemoteKeys('http://issuer/keys', load, { clock, random: () => random });
  const holder = { timeoutMs: 5000, onEvent: (event: MeshEvent) => void events.push(event) };
  const made: Scene = { clock, keys, fetches: [], limits: [], events, answer, holder };
  return made;
}

describe('keys of an issuer', () => {
  it('are fetched once somebody needs them, and every twenty minutes from then on', async () => {
    const { clock, keys, fetches, limits, holder } = scene();
    await clock.pass(MINUTE);
    expect(fetches).toEqual([]);
    keys.hold(holder);
    await clock.pass(60 * MINUTE);
    expect(keys.current).toBe(FIRST);
    expect(fetches).toEqual([1, 21, 41, 61].map((minute) => minute * MINUTE));
    expect(limits[0]).toBe(5000);
  });

  it('are not asked for by a whole fleet at one moment', async () => {
    for (const [random, minutes] of [[0, 18], [1, 22]] as const) {
      const { clock, keys, fetches, holder } = scene(FIRST, random);
      keys.hold(holder);
      await clock.pass(25 * MINUTE);
      expect(fetches).toEqual([0, minutes * MINUTE]);
    }
  }); // prettier-ignore

  it('stay what they were while their issuer fails, asked again after 1, 2, 4 … 60 minutes', async () => {
    const made = scene();
    const { clock, keys, fetches, holder } = made;
    keys.hold(holder);
    await clock.pass(MINUTE);
    made.answer = 'it answered 500';
    await clock.pass(30 * DAY);
    expect(keys.current).toBe(FIRST);
    const pauses = fetches.map((at, index) => (at - (fetches[index - 1] ?? 0)) / MINUTE);
    expect(pauses.slice(0, 10)).toEqual([0, 20, 1, 2, 4, 8, 16, 32, 60, 60]);
    made.answer = SECOND_SET;
    await clock.pass(60 * MINUTE);
    expect(keys.current).toBe(SECOND_SET);
    const recovered = fetches.at(-1)!;
    made.answer = 'it answered 500';
    await clock.pass(42 * MINUTE);
    expect(
      fetches
        .filter((at) => at > recovered)
        .map((at) => (at - recovered) / MINUTE)
        .slice(0, 2),
    ).toEqual([20, 21]);
  });

  it('are asked for again within seconds as long as there are none', async () => {
    const { clock, keys, fetches, holder } = scene('it cannot be reached');
    keys.hold(holder);
    await clock.pass(10 * MINUTE);
    expect(fetches.map((at) => at / SECOND)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 67, 187, 427]);
    expect(keys.current).toBeUndefined();
  });

  it('tell when they change, when they fail, and that they are back', async () => {
    const made = scene();
    const { clock, keys, events, holder } = made;
    keys.hold(holder);
    await clock.pass(50 * MINUTE);
    expect(events).toEqual([{ type: 'keys.changed', source: 'http://issuer/keys', total: 1 }]);
    made.answer = 'it answered 500';
    await clock.pass(10 * MINUTE);
    made.answer = FIRST;
    await clock.pass(10 * MINUTE);
    made.answer = SECOND_SET;
    await clock.pass(20 * MINUTE);
    expect(events.map(({ type }) => type)).toEqual(['keys.changed', 'keys.failed', 'keys.changed', 'keys.changed']);
    expect(events[1]).toEqual({ type: 'keys.failed', source: 'http://issuer/keys', reason: 'it answered 500' });
  });

  it('outlive a listener that throws', async () => {
    const { clock, keys, holder } = scene();
    keys.hold({ ...holder, onEvent: () => { throw new Error('bad listener'); } }); // prettier-ignore
    await clock.pass(MINUTE);
    expect(keys.current).toBe(FIRST);
  });
});

describe('who needs keys', () => {
  it('holds them: a new policy before the old one goes fetches nothing', async () => {
    const { clock, keys, fetches, holder } = scene();
    keys.hold(holder);
    await clock.pass(MINUTE);
    const next = { ...holder };
    keys.hold(next);
    keys.release(holder);
    keys.release(holder);
    await clock.pass(MINUTE);
    expect(fetches).toEqual([0]);
    await clock.pass(19 * MINUTE);
    expect(fetches).toHaveLength(2);
  });

  it('lets them rest: nothing is fetched, no timer is left, and after seven days they may be forgotten', async () => {
    const { clock, keys, fetches, holder } = scene();
    keys.hold(holder);
    await clock.pass(MINUTE);
    keys.release(holder);
    expect(clock.pending).toBe(0);
    await clock.pass(7 * DAY - 1);
    expect([keys.stale, keys.current, fetches.length]).toEqual([false, FIRST, 1]);
    await clock.pass(1);
    expect(keys.stale).toBe(true);
  });

  it('finds the last good ones again, and newer ones soon', async () => {
    const made = scene();
    const { clock, keys, fetches, holder } = made;
    keys.hold(holder);
    await clock.pass(MINUTE);
    keys.release(holder);
    await clock.pass(MINUTE);
    keys.hold(holder);
    await clock.pass(0);
    expect(fetches).toHaveLength(1);
    keys.release(holder);
    await clock.pass(DAY);
    made.answer = SECOND_SET;
    keys.hold(holder);
    expect(keys.current).toBe(FIRST);
    await clock.pass(0);
    expect([fetches.length, keys.current]).toEqual([2, SECOND_SET]);
  });

  it('a fetch that ends when nobody needs it any more starts no new one', async () => {
    const { clock, keys, fetches, holder } = scene();
    keys.hold(holder);
    keys.release(holder);
    await clock.pass(DAY);
    expect([fetches.length, clock.pending]).toEqual([1, 0]);
  });
});

describe('a token whose key is not there', () => {
  it('waits for the fetch in flight, all of them for the same one', async () => {
    let arrive: (keys: KeySet) => void = () => {};
    const made = scene(() => new Promise((resolve) => (arrive = resolve)));
    const { clock, keys, fetches, holder } = made;
    keys.hold(holder);
    const waiting = Promise.all([keys.renewed(5000), keys.renewed(5000), keys.renewed(5000)]);
    await clock.pass(100);
    arrive(FIRST);
    expect(await waiting).toEqual([FIRST, FIRST, FIRST]);
    expect(fetches).toHaveLength(1);
  });

  it('waits no longer than its rule allows', async () => {
    const { clock, keys, holder } = scene(() => new Promise(() => {}));
    keys.hold(holder);
    let told: unknown = 'waiting';
    void keys.renewed(10).then((result) => (told = result));
    await clock.pass(9);
    expect(told).toBe('waiting');
    await clock.pass(1);
    expect(told).toBeUndefined();
  });

  it('has its issuer asked, once in thirty seconds however many there are', async () => {
    const made = scene();
    const { clock, keys, fetches, holder } = made;
    keys.hold(holder);
    await clock.pass(MINUTE);
    made.answer = SECOND_SET;
    for (let second = 0; second < 60; second += 1) {
      const all = await Promise.all(Array.from({ length: 50 }, () => keys.renewed(5000)));
      expect(all.every((one) => one === SECOND_SET)).toBe(true);
      await clock.pass(SECOND);
    }
    expect(fetches.map((at) => at / SECOND)).toEqual([0, 60, 90]);
  });

  it('is told at once what there is while the issuer was asked just now', async () => {
    const { clock, keys, fetches, holder } = scene('it answered 500');
    keys.hold(holder);
    await clock.pass(10 * SECOND);
    const before = fetches.length;
    expect(await keys.renewed(5000)).toBeUndefined();
    expect(fetches).toHaveLength(before);
  });
});
