import type { Endpoint } from '@inmesh/core';
import { type FakeClock, fakeClock, seededRandom, testEndpoint } from '@inmesh/core/testing';
import type { Probe } from '@inmesh/policy';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Ask } from './ask.ts';
import { healthChecks, type HealthChecksOptions } from './checks.ts';

const probe = (fields: Partial<Probe> = {}): Probe => ({
  initialDelayMs: 0,
  timeoutMs: 1000,
  periodMs: 10_000,
  successThreshold: 1,
  failureThreshold: 3,
  ask: { kind: 'tcp', port: 7000 },
  ...fields,
});

let clock: FakeClock;
/** What hosts answer: well, ill, or nothing at all. */
let answers: Record<string, 'well' | 'ill' | 'silent'>;
let asked: string[];
let underWay: number;
let most: number;
beforeEach(() => {
  clock = fakeClock();
  answers = {};
  asked = [];
  underWay = most = 0;
});

const ask: Ask = (_, to) => {
  const host = 'host' in to ? to.host : to.path;
  asked.push('host' in to ? `${to.host}:${to.port}` : to.path);
  underWay += 1;
  most = Math.max(most, underWay);
  const over = <T>(value: T): T => {
    underWay -= 1;
    return value;
  };
  const answer = answers[host] ?? 'well';
  // One that is silent does not even notice that nobody waits any more.
  if (answer === 'silent') return new Promise(() => {});
  return Promise.resolve().then(() => {
    over(0);
    if (answer === 'ill') throw new Error('ill');
  });
};

const checker = (options: HealthChecksOptions = {}) => healthChecks({ asks: { http: ask, tcp: ask, grpc: ask }, ...options });
const member = (host: string, given: Probe = probe(), fields: Partial<Endpoint> = {}): Endpoint => ({
  ...testEndpoint(`${host}:80`),
  probe: given,
  ...fields,
});

/** A cluster's feed: judges its list anew whenever it is told to. */
function follow(endpoints: readonly Endpoint[], checks = checker(), random: () => number = () => 0.5) {
  let list = endpoints;
  let changes = 0;
  const heard: boolean[] = [];
  const watch = checks.follow(() => (changes += 1), { clock, random, answered: (well) => void heard.push(well) });
  const health = (): string => watch.judge(list).map(({ host, health: how }) => `${host} ${how}`).join(', '); // prettier-ignore
  health();
  return {
    health,
    changes: () => changes,
    heard,
    become: (next: readonly Endpoint[]) => {
      list = next;
      health();
    },
    close: () => watch.close(),
  };
}

describe('health checks', () => {
  it('believe an endpoint to be well until failures in a row reach the threshold, and ill until successes do', async () => {
    answers = { a: 'ill' };
    const { health, changes } = follow([member('a', probe({ successThreshold: 2 })), member('b')]);
    await clock.pass(24_999);
    expect([health(), changes()]).toEqual(['a healthy, b healthy', 0]);
    await clock.pass(10_000);
    expect([health(), changes()]).toEqual(['a unhealthy, b healthy', 1]);
    answers = {};
    await clock.pass(10_000);
    expect(health()).toBe('a unhealthy, b healthy');
    await clock.pass(10_000);
    expect([health(), changes()]).toEqual(['a healthy, b healthy', 2]);
  });

  it('tell of every answer, also of those that change nothing', async () => {
    answers = { a: 'ill' };
    const { heard, close } = follow([member('a'), member('b')]);
    await clock.pass(16_000);
    expect([heard.filter((well) => well).length, heard.filter((well) => !well).length]).toEqual([2, 2]);
    close();
    await clock.pass(60_000);
    expect(heard).toHaveLength(4);
  });

  it('count in a row: one success in between begins anew', async () => {
    answers = { a: 'ill' };
    const { health } = follow([member('a')]);
    await clock.pass(16_000);
    answers = {};
    await clock.pass(10_000);
    answers = { a: 'ill' };
    await clock.pass(20_000);
    expect(health()).toBe('a healthy');
    await clock.pass(10_000);
    expect(health()).toBe('a unhealthy');
  });

  it('take silence for a failure once the timeout has passed', async () => {
    answers = { a: 'silent' };
    const { health } = follow([member('a', probe({ failureThreshold: 1, timeoutMs: 2000 }))]);
    await clock.pass(6999);
    expect(health()).toBe('a healthy');
    await clock.pass(1);
    expect(health()).toBe('a unhealthy');
  });

  it('begin after the initial delay, spread over a period, and keep the spread', async () => {
    const random = seededRandom(7);
    const endpoints = Array.from({ length: 100 }, (_, index) => member(`h${index}`, probe({ initialDelayMs: 60_000 })));
    follow(endpoints, checker({ concurrency: 1000 }), random);
    await clock.pass(60_000);
    expect(asked).toEqual([]);
    for (let period = 0; period < 3; period += 1) {
      const counts: number[] = [];
      for (let second = 0; second < 10; second += 1) {
        const before = asked.length;
        await clock.pass(1000);
        counts.push(asked.length - before);
      }
      expect(Math.max(...counts)).toBeLessThan(25);
      expect(Math.min(...counts)).toBeGreaterThan(1);
    }
  });

  it('ask so many at a time and no more; who does not answer gives his turn back', async () => {
    for (let index = 0; index < 10; index += 1) answers[`h${index}`] = 'silent';
    follow(
      Array.from({ length: 40 }, (_, index) => member(`h${index}`)),
      checker({ concurrency: 4 }),
    );
    await clock.pass(5000);
    expect(asked).toHaveLength(4);
    await clock.pass(3000);
    expect(asked).toHaveLength(40);
    expect(most - 10).toBeLessThanOrEqual(4);
  });

  it('ask one address of several services once, and as long as one of them wants to know', async () => {
    answers = { a: 'ill' };
    const checks = checker();
    const first = follow([member('a')], checks);
    const second = follow([member('a', probe(), { labels: { version: 'v2' } })], checks);
    await clock.pass(25_500);
    expect(asked).toEqual(['a:7000', 'a:7000', 'a:7000']);
    expect([first.health(), second.health(), first.changes(), second.changes()]).toEqual(['a unhealthy', 'a unhealthy', 1, 1]);
    first.close();
    await clock.pass(10_000);
    expect(asked).toHaveLength(4);
    second.close();
    expect(clock.pending).toBe(0);
    await clock.pass(60_000);
    expect(asked).toHaveLength(4);
  });

  it('follow the list: what left is asked no more, what stayed is not forgotten', async () => {
    answers = { a: 'ill' };
    const { health, become, close } = follow([member('a'), member('b')]);
    await clock.pass(25_500);
    become([member('a', probe(), { weight: 5 }), member('c')]);
    expect(health()).toBe('a unhealthy, c healthy');
    const before = asked.length;
    await clock.pass(10_000);
    expect(asked.slice(before).toSorted()).toEqual(['a:7000', 'c:7000']);
    close();
    expect(clock.pending).toBe(0);
  });

  it('leave alone what has no probe, and what its registry speaks against', async () => {
    answers = { a: 'ill', b: 'ill' };
    const { health } = follow([testEndpoint('a:80'), member('b', probe(), { health: 'draining' })]);
    await clock.pass(60_000);
    expect(health()).toBe('a healthy, b draining');
  });

  it('dial the port of the probe, else that of the endpoint, or the socket of one that has no port', async () => {
    const grpc = probe({ ask: { kind: 'grpc', port: null, service: '' } });
    const socket = member('/run/app.sock', probe(), { port: 0, address: 'unix:///run/app.sock' });
    follow([member('a'), member('b', grpc), socket]);
    await clock.pass(6000);
    expect(asked.toSorted()).toEqual(['/run/app.sock', 'a:7000', 'b:80']);
  });

  it('forget a question that was under way when nobody wanted to know any more', async () => {
    answers = { a: 'silent' };
    const { close } = follow([member('a')]);
    await clock.pass(5000);
    expect(asked).toEqual(['a:7000']);
    close();
    await clock.pass(0);
    expect(clock.pending).toBe(0);
  });
});
