import { type FakeClock, fakeClock, seededRandom } from '@inmesh/core/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Api, ApiError, Unreadable, type WatchOptions } from './api.ts';
import { Informer } from './informer.ts';

/** What the server is asked; the test answers. */
interface Asked {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly answer: (items: readonly string[], version?: string, next?: string) => Promise<void>;
  readonly refuse: (error: Error) => Promise<void>;
  /** Of a watch. */
  readonly open: () => void;
  readonly send: (...events: readonly unknown[]) => void;
  readonly end: () => Promise<void>;
}

const object = (name: string, resourceVersion = '1') => ({ metadata: { name, namespace: 'shop', uid: name, resourceVersion } });
const event = (type: string, name: string, version: string) => ({ type, object: object(name, version) });
const gone = { type: 'ERROR', object: { kind: 'Status', code: 410, message: 'too old resource version' } };

let clock: FakeClock;
let asked: Asked[];
let random: () => number;
beforeEach(() => {
  clock = fakeClock();
  asked = [];
  random = () => 0.5;
});

const settle = () => clock.pass(0);

const api: Api = {
  get: (path) => ask<unknown>(path),
  watch: (path, options) => ask<void>(path, options),
};

function ask<T>(given: string, options?: WatchOptions): Promise<T> {
  const [path = '', query = ''] = given.split('?');
  return new Promise<T>((resolve, reject) => {
    options?.signal?.addEventListener('abort', () => reject(new ApiError(0, 'aborted')));
    asked.push({
      path,
      query: new URLSearchParams(query),
      answer: (items, version = '10', next = '') => {
        resolve({ items: items.map((name) => object(name)), metadata: { resourceVersion: version, continue: next } } as T);
        return settle();
      },
      refuse: (error) => {
        reject(error);
        return settle();
      },
      open: () => options!.onOpen!(),
      send: (...events) => {
        try {
          options!.onEvents(events);
        } catch (error) {
          reject(error as Error);
        }
      },
      end: () => {
        resolve(undefined as T);
        return settle();
      },
    });
  });
}

function follow() {
  let changes = 0;
  const informer: Informer<string> = new Informer(
    { what: 'pods of shop', path: '/pods', labelSelector: 'app=a' },
    { api, clock, random: () => random() },
    ({ metadata }) => metadata.name,
    () => (changes += 1),
  );
  informer.start();
  return { informer, names: () => [...informer.values()].sort(), changes: () => changes };
}

const last = () => asked.at(-1)!;

/** One that has listed `a` and watches. */
async function watching(...names: readonly string[]) {
  const followed = follow();
  await last().answer(names);
  last().open();
  return followed;
}

describe('an informer', () => {
  it('lists in pages, then watches from the version of the list', async () => {
    const { informer, names } = follow();
    expect(last().query.get('limit')).toBe('500');
    await last().answer(['a'], '10', 'token');
    expect(informer.ready).toBe(false);
    expect(last().query.get('continue')).toBe('token');
    await last().answer(['b'], '10');
    expect(names()).toEqual(['a', 'b']);
    expect(Object.fromEntries(last().query)).toMatchObject({
      watch: '1',
      resourceVersion: '10',
      allowWatchBookmarks: 'true',
      labelSelector: 'app=a',
    });
    const seconds = Number(last().query.get('timeoutSeconds'));
    expect(seconds).toBeGreaterThanOrEqual(300);
    expect(seconds).toBeLessThanOrEqual(600);
  });

  it('follows events, and goes on from the latest version it heard of, bookmarks included', async () => {
    const { names } = await watching('a');
    last().send(event('ADDED', 'b', '11'), event('DELETED', 'a', '12'));
    expect(names()).toEqual(['b']);
    last().send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: 'opaque-99' } } });
    await last().refuse(new ApiError(0, 'cut'));
    await clock.pass(500);
    expect(last().query.get('resourceVersion')).toBe('opaque-99');
    expect(names()).toEqual(['b']);
  });

  it('begins the next watch at once after one that ended at its time, and only after a while if it ended before', async () => {
    await watching('a');
    const seconds = Number(last().query.get('timeoutSeconds'));
    for (let at = 0; at < seconds; at += 60) {
      last().send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(100 + at) } } });
      await clock.pass(60_000);
    }
    let count = asked.length;
    await last().end();
    expect(asked.length).toBe(count + 1);
    last().open();
    count = asked.length;
    await last().end();
    expect(asked.length).toBe(count);
    await clock.pass(500);
    expect(asked.length).toBe(count + 1);
  });

  it('lists again what changed when its version is too old, keeping what it knows until then', async () => {
    const { informer, names } = await watching('a', 'b');
    last().send(gone);
    await settle();
    await clock.pass(500);
    expect(last().query.get('watch')).toBeNull();
    expect(names()).toEqual(['a', 'b']);
    expect(informer.trouble).toBe('');
    await last().answer(['b', 'c'], '20');
    expect(names()).toEqual(['b', 'c']);
  });

  it('asks for the whole list at once when its pages grew too old', async () => {
    follow();
    await last().answer(['a'], '10', 'token');
    await last().refuse(new ApiError(410, 'answered 410: the continue token is too old'));
    await clock.pass(500);
    expect(last().query.get('continue')).toBeNull();
    expect(last().query.get('limit')).toBeNull();
  });

  it('does not believe an empty list after a full one before it was said twice', async () => {
    const { informer, names } = await watching('a');
    last().send(gone);
    await settle();
    await clock.pass(500);
    await last().answer([], '20');
    expect(names()).toEqual(['a']);
    expect(informer.trouble).toContain('empty list');
    await clock.pass(1000);
    await last().answer([], '20');
    expect(names()).toEqual([]);
    expect(informer.trouble).toBe('');
  });

  it('believes an empty list that is the first', async () => {
    const { informer } = follow();
    await last().answer([]);
    expect(informer.ready).toBe(true);
  });

  it('tells trouble once it could not go on, and that it is over when the server answers', async () => {
    const { informer } = await watching('a');
    await last().refuse(new ApiError(0, 'the connection was cut'));
    expect(informer.trouble).toBe('');
    await clock.pass(500);
    await last().refuse(new ApiError(0, 'cannot be reached: ECONNREFUSED'));
    expect(informer.trouble).toBe('pods of shop: the API server cannot be reached: ECONNREFUSED');
    await clock.pass(1000);
    last().open();
    expect(informer.trouble).toBe('');
  });

  it('asks for everything anew when what comes cannot be read', async () => {
    const { informer, names } = await watching('a');
    last().send({ type: 'MODIFIED', object: { metadata: {} } });
    await settle();
    expect(informer.trouble).toContain('without a resourceVersion');
    await clock.pass(500);
    expect(last().query.get('watch')).toBeNull();
    await last().refuse(new Unreadable('answered what is not JSON'));
    expect(names()).toEqual(['a']);
  });

  it('takes a watch that says nothing for dead', async () => {
    await watching('a');
    const count = asked.length;
    await clock.pass(170_000);
    expect(asked.length).toBe(count + 1);
    expect(last().query.get('resourceVersion')).toBe('10');
  });

  it('goes without what is forbidden, asks again rarely, and keeps what it was once allowed to read', async () => {
    const { informer } = follow();
    await last().refuse(new ApiError(403, 'answered 403: pods is forbidden'));
    expect([informer.ready, informer.refused]).toEqual([true, true]);
    const count = asked.length;
    await clock.pass(120_000);
    expect(asked.length).toBe(count);
    await clock.pass(180_000);
    expect(asked.length).toBe(count + 1);
    await last().answer(['a']);
    expect([informer.refused, informer.trouble]).toEqual([false, '']);
    await last().refuse(new ApiError(403, 'answered 403: pods is forbidden'));
    expect([informer.refused, informer.size]).toEqual([false, 1]);
  });

  it('comes back when the server says, with a little chance on top', async () => {
    follow();
    await last().refuse(new ApiError(429, 'answered 429', { retryAfterMs: 8000 }));
    await clock.pass(9999);
    expect(asked.length).toBe(1);
    await clock.pass(1);
    expect(asked.length).toBe(2);
  });

  it('waits longer with every failure, up to half a minute', async () => {
    random = () => 0.999_999;
    follow();
    const waits: number[] = [];
    for (let failure = 0; failure < 8; failure += 1) {
      await last().refuse(new ApiError(0, 'cannot be reached'));
      const began = clock.now();
      const count = asked.length;
      while (asked.length === count) await clock.pass(100);
      waits.push(Math.round((clock.now() - began) / 1000));
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
  });

  it('is silent after its close, and leaves no timer', async () => {
    const { informer, changes } = await watching('a');
    const before = changes();
    const watch = last();
    informer.close();
    await settle();
    watch.send(event('ADDED', 'b', '11'));
    expect(clock.pending).toBe(0);
    expect(changes()).toBe(before);
  });

  it('spreads out: of 200 that are cut off at one moment, at most a few come back together', async () => {
    random = seededRandom(7);
    const informers = [...Array(200).keys()].map(() => follow());
    await Promise.all(asked.map(({ answer }) => answer(['a'])));
    const watches = asked.slice(200);
    for (const { open } of watches) open();
    const timeouts = new Set(watches.map(({ query }) => query.get('timeoutSeconds')));
    // Nor do they end together by themselves.
    expect(timeouts.size).toBeGreaterThan(100);
    await Promise.all(watches.map(({ end }) => end()));
    const perTenth: number[] = [];
    for (let tenth = 0; tenth < 10; tenth += 1) {
      const before = asked.length;
      await clock.pass(100);
      perTenth.push(asked.length - before);
    }
    expect(perTenth.reduce((sum, count) => sum + count)).toBe(200);
    expect(Math.max(...perTenth)).toBeLessThan(40);
    for (const { informer } of informers) informer.close();
  });
});
