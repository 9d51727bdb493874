import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { EndpointState } from '../endpoint/state.ts';
import { MeshError, type Code } from '../errors.ts';
import { type MeshEvent, type Observer, silentObserver } from '../observer.ts';
import { type FakeClock, fakeClock, testOutlier, testState } from '../testing/index.ts';
import { judgeError, judgeReply } from '../verdict.ts';
import { UpstreamStats } from '../upstream-stats.ts';
import { httpCodeOf, OutlierDetection } from './outlier.ts';

let clock: FakeClock;
let events: MeshEvent[];
let observer: Observer;

beforeEach(() => {
  clock = fakeClock();
  events = [];
  observer = { ...silentObserver, event: (event) => void events.push(event) };
});

function detection(policy = testOutlier(), size = 10): { outlier: OutlierDetection; states: EndpointState[] } {
  const outlier = new OutlierDetection('reviews', clock, observer, new UpstreamStats(), () => {});
  const states = Array.from({ length: size }, (_, index) => testState(`10.0.0.${index}:80`));
  outlier.use(policy, observer);
  outlier.setMembers(states);
  return { outlier, states };
}

function answer(outlier: OutlierDetection, state: EndpointState, ...codes: number[]): void {
  for (const code of codes) outlier.learn(state, judgeReply(code, -1));
}

function fail(outlier: OutlierDetection, state: EndpointState, ...codes: Code[]): void {
  for (const code of codes) outlier.learn(state, judgeError(new MeshError(code, 'test')));
}

describe('consecutive 5xx', () => {
  test('ejects at the fifth in a row, at once', () => {
    const { outlier, states } = detection();
    answer(outlier, states[0]!, 500, 503, 599, 501);
    expect(states[0]!.ejected).toBe(false);
    answer(outlier, states[0]!, 500);
    expect(states[0]!.ejected).toBe(true);
    expect(events).toEqual([
      {
        type: 'endpoint.ejected',
        cluster: 'reviews',
        address: '10.0.0.0:80',
        reason: '5 bad answers in a row, the latest 500',
        ms: 30_000,
      },
    ]);
  });

  test('any success resets, 4xx too', () => {
    const { outlier, states } = detection();
    for (const good of [200, 404, 429]) {
      answer(outlier, states[0]!, 500, 500, 500, 500, good);
      expect(states[0]!.consecutive5xx).toBe(0);
    }
    answer(outlier, states[0]!, 500, 500, 500, 500);
    expect(states[0]!.ejected).toBe(false);
  });

  test('0 turns it off', () => {
    const { outlier, states } = detection(testOutlier({ consecutive5xx: 0 }));
    answer(outlier, states[0]!, ...Array.from({ length: 100 }, () => 500));
    expect(states[0]!.ejected).toBe(false);
  });

  test('outlierDetectionHttpErrorCodes replace 5xx', () => {
    const { outlier, states } = detection(testOutlier({ consecutive5xx: 2, statusCodes: [429, 503] }));
    answer(outlier, states[0]!, 500, 500, 500, 429, 500, 429);
    expect(states[0]!.ejected).toBe(false);
    answer(outlier, states[0]!, 503);
    expect(states[0]!.ejected).toBe(true);
  });

  test('local-origin failures are 5xx even where the codes of answers are listed', () => {
    const { outlier, states } = detection(testOutlier({ consecutive5xx: 2, statusCodes: [429] }));
    fail(outlier, states[0]!, 'CONNECT_FAILED', 'ATTEMPT_TIMEOUT');
    expect(states[0]!.ejected).toBe(true);
  });
});

describe('consecutive gateway errors', () => {
  const policy = testOutlier({ consecutive5xx: 5, consecutiveGateway: 3 });

  test('502, 503 and 504 count', () => {
    const { outlier, states } = detection(policy);
    answer(outlier, states[0]!, 502, 503, 504);
    expect(states[0]!.ejected).toBe(true);
    expect(events[0]).toMatchObject({ reason: '3 gateway errors in a row, the latest 504' });
  });

  test('another 5xx resets only the gateway counter', () => {
    const { outlier, states } = detection(policy);
    answer(outlier, states[0]!, 502, 502, 500, 502);
    expect(states[0]).toMatchObject({ ejected: false, consecutiveGateway: 1, consecutive5xx: 4 });
    answer(outlier, states[0]!, 502);
    expect(events[0]).toMatchObject({ reason: '5 bad answers in a row, the latest 502' });
  });

  test('the counter that did not trigger starts afresh after the return', () => {
    const { outlier, states } = detection(policy);
    answer(outlier, states[0]!, 503, 503, 503);
    expect(states[0]!.consecutive5xx).toBe(3);
    clock.advance(30_000);
    expect(states[0]).toMatchObject({ ejected: false, consecutive5xx: 0, since: 30_000 });
  });
});

describe('local-origin failures', () => {
  test.each<[Code, number, number]>([
    ['ATTEMPT_TIMEOUT', 1, 1],
    ['DEADLINE_EXCEEDED', 1, 1],
    ['CONNECT_FAILED', 1, 1],
    ['RESET', 1, 1],
    ['STREAM_RESET', 1, 1],
    ['REFUSED', 1, 1],
    ['PROTOCOL', 1, 0],
    ['CANCELLED', 0, 0],
    ['CLOSED', 0, 0],
    ['OVERFLOW', 0, 0],
  ])('without split %s counts %i as 5xx and %i as gateway error', (code, fives, gateways) => {
    const { outlier, states } = detection(testOutlier({ consecutiveGateway: 9 }));
    fail(outlier, states[0]!, code);
    expect(states[0]).toMatchObject({ consecutive5xx: fives, consecutiveGateway: gateways, consecutiveLocalOrigin: 0 });
  });

  test('with split they have their own counter, and codes of answers theirs', () => {
    const { outlier, states } = detection(testOutlier({ splitLocalOrigin: true, consecutiveLocalOrigin: 3 }));
    answer(outlier, states[0]!, 500, 500, 500, 500);
    fail(outlier, states[0]!, 'CONNECT_FAILED', 'ATTEMPT_TIMEOUT');
    expect(states[0]).toMatchObject({ ejected: false, consecutive5xx: 4, consecutiveLocalOrigin: 2 });
    fail(outlier, states[0]!, 'RESET');
    expect(events[0]).toMatchObject({ reason: '3 failures on the way in a row, the latest RESET' });
  });

  test('with split any answer shows that the way is fine', () => {
    const { outlier, states } = detection(testOutlier({ splitLocalOrigin: true, consecutiveLocalOrigin: 3 }));
    fail(outlier, states[0]!, 'CONNECT_FAILED', 'CONNECT_FAILED');
    answer(outlier, states[0]!, 500);
    fail(outlier, states[0]!, 'CONNECT_FAILED', 'CONNECT_FAILED');
    expect(states[0]).toMatchObject({ ejected: false, consecutive5xx: 1, consecutiveLocalOrigin: 2 });
  });
});

test('a gRPC answer counts as the HTTP code its status stands for', () => {
  const { outlier, states } = detection(testOutlier({ consecutive5xx: 2, consecutiveGateway: 0 }));
  outlier.learn(states[0]!, judgeReply(200, 14));
  outlier.learn(states[0]!, judgeReply(200, 0));
  outlier.learn(states[0]!, judgeReply(200, 14));
  outlier.learn(states[0]!, judgeReply(200, 5));
  expect(states[0]!.consecutive5xx).toBe(0);
  outlier.learn(states[0]!, judgeReply(200, 13));
  outlier.learn(states[0]!, judgeReply(200, 2));
  expect(states[0]!.ejected).toBe(true);
  expect([0, 1, 4, 7, 8, 12, 14, 16, 99].map((status) => httpCodeOf(200, status))).toEqual([200, 499, 504, 403, 429, 501, 503, 401, 500]);
  expect(httpCodeOf(302, -1)).toBe(302);
});

describe('the share that may be ejected', () => {
  const once = testOutlier({ consecutive5xx: 1 });

  test('10 % of ten is one', () => {
    const { outlier, states } = detection({ ...once, alwaysEjectOne: false });
    for (const state of states) answer(outlier, state, 500);
    expect(states.filter(({ ejected }) => ejected)).toHaveLength(1);
  });

  test('10 % of nine is none, as in Envoy, unless one may always go', () => {
    const strict = detection({ ...once, alwaysEjectOne: false }, 9);
    for (const state of strict.states) answer(strict.outlier, state, 500);
    expect(strict.outlier.ejected).toBe(0);
    const kind = detection(once, 9);
    for (const state of kind.states) answer(kind.outlier, state, 500);
    expect(kind.outlier.ejected).toBe(1);
  });

  test('the only endpoint stays, unless the policy allows 100 %', () => {
    const { outlier, states } = detection(once, 1);
    answer(outlier, states[0]!, 500, 500);
    expect(states[0]!.ejected).toBe(false);
    outlier.use({ ...once, maxEjectionPercent: 100 }, observer);
    answer(outlier, states[0]!, 500);
    expect(states[0]!.ejected).toBe(true);
  });

  test('one that could not be ejected must earn it again', () => {
    const { outlier, states } = detection(testOutlier({ alwaysEjectOne: false, consecutive5xx: 3 }), 5);
    answer(outlier, states[0]!, 500, 500, 500);
    expect(states[0]).toMatchObject({ ejected: false, consecutive5xx: 0 });
  });
});

describe('how long', () => {
  const once = testOutlier({ consecutive5xx: 1 });

  test('it returns at the sweep that finds its time over', () => {
    const { outlier, states } = detection({ ...once, baseEjectionMs: 25_000 });
    answer(outlier, states[0]!, 500);
    clock.advance(29_999);
    expect(states[0]!.ejected).toBe(true);
    clock.advance(1);
    expect(states[0]!.ejected).toBe(false);
    expect(events.at(-1)).toEqual({ type: 'endpoint.returned', cluster: 'reviews', address: '10.0.0.0:80' });
  });

  test('each ejection is longer, up to 300 s', () => {
    const { outlier, states } = detection(once);
    const lengths: number[] = [];
    for (let round = 0; round < 13; round += 1) {
      const from = clock.now();
      answer(outlier, states[0]!, 500);
      while (states[0]!.ejected) clock.advance(1000);
      lengths.push((clock.now() - from) / 1000);
    }
    expect(lengths).toEqual([30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300, 300]);
  });

  test('a base beyond 300 s is its own maximum', () => {
    const { outlier, states } = detection({ ...once, baseEjectionMs: 400_000 });
    for (let round = 0; round < 3; round += 1) {
      const from = clock.now();
      answer(outlier, states[0]!, 500);
      while (states[0]!.ejected) clock.advance(10_000);
      expect(clock.now() - from).toBe(400_000);
    }
  });

  test('each sweep in good standing takes one off the multiplier; then the timer rests', () => {
    const { outlier, states } = detection(once);
    for (let round = 0; round < 3; round += 1) {
      answer(outlier, states[0]!, 500);
      while (states[0]!.ejected) clock.advance(10_000);
    }
    expect(states[0]!.ejections).toBe(3);
    clock.advance(10_000);
    expect(states[0]!.ejections).toBe(2);
    clock.advance(20_000);
    expect(states[0]!.ejections).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test('no timer runs where nothing is ejected', () => {
    const { outlier, states } = detection();
    answer(outlier, states[0]!, 500, 200, 500);
    expect(clock.pending).toBe(0);
  });
});

describe('a policy change', () => {
  test('keeps counters, and a lower threshold holds at the next failure', () => {
    const { outlier, states } = detection(testOutlier({ consecutive5xx: 10 }));
    answer(outlier, states[0]!, 500, 500, 500, 500);
    outlier.use(testOutlier({ consecutive5xx: 3 }), observer);
    answer(outlier, states[0]!, 500);
    expect(states[0]!.ejected).toBe(true);
  });

  test('to no detection lets everyone back in and stops the timer', () => {
    const { outlier, states } = detection(testOutlier({ consecutive5xx: 1 }));
    answer(outlier, states[0]!, 500);
    outlier.use(null, observer);
    expect(states[0]).toMatchObject({ ejected: false, ejections: 0 });
    expect(clock.pending).toBe(0);
    answer(outlier, states[0]!, 500);
    expect(states[0]!.ejected).toBe(false);
  });

  test('to a shorter base and interval frees at the new sweep', () => {
    const { outlier, states } = detection(testOutlier({ consecutive5xx: 1, baseEjectionMs: 600_000, intervalMs: 60_000 }));
    answer(outlier, states[0]!, 500);
    clock.advance(5000);
    outlier.use(testOutlier({ consecutive5xx: 1, baseEjectionMs: 1000, intervalMs: 1000 }), observer);
    clock.advance(1000);
    expect(states[0]!.ejected).toBe(false);
  });
});

test('an endpoint that leaves takes its ejection with it', () => {
  const { outlier, states } = detection(testOutlier({ consecutive5xx: 1 }), 2);
  answer(outlier, states[0]!, 500);
  states[0]!.gone = true;
  outlier.setMembers([states[1]!]);
  expect(outlier.ejected).toBe(0);
  expect(events.map(({ type }) => type)).toEqual(['endpoint.ejected', 'endpoint.returned']);
  answer(outlier, states[0]!, 500);
  expect(states[0]!.ejected).toBe(false);
});

test('whatever happens: the cap holds, the last is never taken below 100 %, and every ejection ends', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('reply' as const), who: fc.nat(), code: fc.constantFrom(200, 500, 502, 503, 404) }),
    fc.record({
      kind: fc.constant('fail' as const),
      who: fc.nat(),
      code: fc.constantFrom<Code>('CONNECT_FAILED', 'RESET', 'CANCELLED', 'ATTEMPT_TIMEOUT'),
    }),
    fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 60_000 }) }),
    fc.record({ kind: fc.constant('leave' as const), who: fc.nat() }),
  );
  const policies = fc.record({
    consecutive5xx: fc.integer({ min: 0, max: 3 }),
    consecutiveGateway: fc.integer({ min: 0, max: 3 }),
    splitLocalOrigin: fc.boolean(),
    maxEjectionPercent: fc.integer({ min: 0, max: 100 }),
    alwaysEjectOne: fc.boolean(),
  });
  fc.assert(
    fc.property(policies, fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 200 }), (fields, size, steps) => {
      clock = fakeClock();
      const policy = testOutlier(fields);
      const { outlier, states } = detection(policy, size);
      let members = states;
      const ejected = (): number => members.filter((state) => state.ejected).length;
      for (const one of steps) {
        const before = ejected();
        if (one.kind === 'time') clock.advance(one.ms);
        else if (one.kind === 'leave') {
          if (members.length === 1) continue;
          members[one.who % members.length]!.gone = true;
          members = members.filter((state) => !state.gone);
          outlier.setMembers(members);
        } else if (one.kind === 'reply') answer(outlier, members[one.who % members.length]!, one.code);
        else fail(outlier, members[one.who % members.length]!, one.code);
        const after = ejected();
        expect(outlier.ejected).toBe(after);
        if (after > before) {
          const withinCap = after * 100 <= policy.maxEjectionPercent * members.length;
          expect(withinCap || (policy.alwaysEjectOne && after === 1 && members.length > 1)).toBe(true);
          if (policy.maxEjectionPercent < 100) expect(after).toBeLessThan(members.length);
        }
      }
      clock.advance(3_600_000);
      expect(ejected()).toBe(0);
      expect(clock.pending).toBe(0);
    }),
  );
});
