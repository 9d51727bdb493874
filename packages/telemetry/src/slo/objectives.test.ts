import type { InboundInfo, MeshEvent, RouteInfo } from '@inmesh/core';
import { type FakeClock, fakeClock, testCall, testEndedCall } from '@inmesh/core/testing';
import { DEFAULT_TELEMETRY, type Objective } from '@inmesh/policy';
import { beforeEach, describe, expect, it } from 'vitest';
import { textOf } from '../exposition.ts';
import { HOLD_MS, type Objectives, objectives, type ObjectiveStatus } from './objectives.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const REVIEWS = 'reviews.shop.svc.cluster.local';
const promise = (given: Partial<Objective> = {}): Objective => ({
  resource: 'ServiceLevelObjective shop/reviews',
  name: 'reviews',
  namespace: 'shop',
  service: REVIEWS,
  indicator: { kind: 'availability' },
  objective: 99,
  windowMs: 30 * DAY,
  enforcement: null,
  ...given,
});

const route: RouteInfo = {
  side: 'client', cluster: `outbound|80||${REVIEWS}`, service: REVIEWS, serviceName: 'reviews', serviceNamespace: 'shop', route: 'default',
  protocol: 'http', telemetry: DEFAULT_TELEMETRY.client,
}; // prettier-ignore
const port: InboundInfo = {
  side: 'server', cluster: 'inbound|80||', port: 80, service: REVIEWS, serviceName: 'reviews', serviceNamespace: 'shop', route: 'default',
  telemetry: DEFAULT_TELEMETRY.server,
}; // prettier-ignore

let clock: FakeClock;
let slo: Objectives;
let events: MeshEvent[];
let changes: number;

beforeEach(() => {
  clock = fakeClock({ now: 12_345 });
  events = [];
  changes = 0;
  slo = objectives({ clock, onEvent: (event) => events.push(event), onChange: () => (changes += 1) });
});

/** Calls, spread evenly over some time. */
function calls(
  good: number,
  bad: number,
  { over = 0, ms = 1, from = route }: { readonly over?: number; readonly ms?: number; readonly from?: RouteInfo } = {},
): void {
  const counted = slo.route(from);
  for (let call = 0; call < good + bad; call += 1) {
    counted.ended(testEndedCall({ call: testCall(), status: call < good ? 200 : 503, ms }));
    clock.advance(over / (good + bad));
  }
}

const only = (): ObjectiveStatus => {
  const [status, ...more] = slo.status();
  expect(more).toEqual([]);
  return status!;
};

describe('an objective', () => {
  it('is listed before there was a call, with its whole budget', () => {
    slo.use([promise()]);
    expect(only()).toMatchObject({ resource: 'ServiceLevelObjective shop/reviews', reporter: null, total: 0, budgetLeft: 1, state: 'ok' });
    expect(Object.keys(only().burn)).toEqual(['5m', '30m', '1h', '2h', '6h', '1d', '3d']);
  });

  it('knows how fast its budget burns, and what is left of it', () => {
    slo.use([promise()]);
    calls(1000, 5);
    clock.advance(45 * MINUTE);
    calls(995, 5);
    expect(only()).toMatchObject({ reporter: 'source', total: 2005, bad: 10, state: 'ok' });
    expect(only().burn['5m']).toBeCloseTo(0.5);
    expect(only().burn['1h']).toBeCloseTo((10 / 2005) * 100);
    expect(only().budgetLeft).toBeCloseTo(1 - (10 / 2005) * 100);
  });

  it('of latency is kept by good answers in time only', () => {
    slo.use([promise({ indicator: { kind: 'latency', thresholdMs: 250 } })]);
    calls(10, 0, { ms: 250 });
    calls(3, 0, { ms: 250.1 });
    calls(0, 2, { ms: 1 });
    expect(only()).toMatchObject({ total: 15, bad: 5 });
  });

  it('is counted by callers and by the service itself apart', () => {
    slo.use([promise()]);
    calls(2, 1);
    slo.inbound!(port).ended(testEndedCall({ call: testCall(), status: 500 }));
    expect(slo.status().map(({ reporter, total, bad }) => [reporter, total, bad])).toEqual([['source', 3, 1], ['destination', 1, 1]]); // prettier-ignore
  });

  it('is not touched by other services, by TCP, by what is no call, nor by who gives up', () => {
    slo.use([promise()]);
    calls(0, 9, { from: { ...route, service: 'ratings.shop.svc.cluster.local' } });
    calls(0, 9, { from: { ...route, protocol: 'tcp' } });
    const served = slo.inbound!(port);
    served.ended(testEndedCall({ call: undefined, status: 400 }));
    served.ended(testEndedCall({ call: testCall({ protocol: 'tcp' }), status: 0 }));
    slo.route(route).ended(testEndedCall({ call: testCall(), status: 200, grpcStatus: 1 }));
    slo.inbound!({ ...port, service: '' }).ended(testEndedCall({ call: testCall(), status: 500 }));
    expect(only()).toMatchObject({ reporter: null, total: 0 });
  });

  it('goes on over documents, in routes bound before it was known and after, and starts anew once it means something else', () => {
    const early = slo.route(route);
    slo.use([promise()]);
    early.ended(testEndedCall({ call: testCall(), status: 503 }));
    slo.use([promise({ enforcement: { when: 'page', actions: ['tightenRetries'] } })]);
    calls(1, 0);
    expect(only()).toMatchObject({ total: 2, bad: 1 });
    slo.use([]);
    expect(slo.status()).toEqual([]);
    slo.use([promise()]);
    expect(only()).toMatchObject({ total: 2, bad: 1 });
    slo.use([promise({ objective: 95 })]);
    expect(only()).toMatchObject({ reporter: null, total: 0 });
  });

  it('that no longer holds is forgotten once a hundred others came after it', () => {
    slo.use([promise()]);
    calls(1, 0);
    for (let other = 0; other <= 100; other += 1) slo.use([promise({ resource: `ServiceLevelObjective shop/${other}` })]);
    slo.use([promise()]);
    expect(only().total).toBe(0);
  });
});

describe('a budget that burns', () => {
  it('fast, over an hour and still, wakes somebody, and is told once', () => {
    slo.use([promise()]);
    calls(800, 0, { over: 10 * MINUTE });
    calls(0, 200);
    expect(only().state).toBe('page');
    slo.families();
    clock.advance(MINUTE);
    expect(events).toEqual([{ type: 'slo.burning', slo: 'shop/reviews', service: REVIEWS, reporter: 'source', severity: 'page' }]);
    expect(changes).toBe(1);
  });

  it('slowly, for a day, is for a ticket', () => {
    slo.use([promise()]);
    for (let hour = 0; hour < 24; hour += 1) calls(960, 40, { over: HOUR });
    expect(only().state).toBe('ticket');
    expect(events.map((event) => 'severity' in event && event.severity)).toEqual(['ticket']);
  });

  it('is no matter as long as a handful of calls failed', () => {
    slo.use([promise({ objective: 99.9 })]);
    calls(2, 1);
    expect(only().burn['1h']).toBeGreaterThan(300);
    expect(only().state).toBe('ok');
    calls(0, 3);
    expect(only().state).toBe('ok');
    calls(0, 1);
    expect(only().state).toBe('page');
  });

  it('is noticed without anybody looking, by a timer there is only while there are objectives', () => {
    expect(clock.pending).toBe(0);
    slo.use([promise()]);
    slo.use([promise()]);
    expect(clock.pending).toBe(1);
    calls(0, 10);
    clock.advance(10_000);
    expect(events).toHaveLength(1);
    slo.use([]);
    clock.advance(10_000);
    expect(clock.pending).toBe(0);
    slo.use([promise()]);
    slo.close();
    expect(clock.pending).toBe(0);
  });

  it('is over when no alert has held for five minutes; a moment of quiet is not enough', () => {
    slo.use([promise({ windowMs: HOUR })]);
    calls(0, 10);
    clock.advance(10_000);
    // Out of the window of five minutes: no alert holds.
    clock.advance(5 * MINUTE);
    expect([only().burn['5m'], only().state]).toEqual([0, 'page']);
    calls(0, 10);
    clock.advance(5 * MINUTE + HOLD_MS - 30_000);
    expect(only().state).toBe('page');
    clock.advance(60_000);
    expect(only().state).toBe('ok');
    expect(events.map(({ type }) => type)).toEqual(['slo.burning', 'slo.recovered']);
    expect(changes).toBe(2);
  });

  it('calms down step by step, as its windows pass', () => {
    slo.use([promise()]);
    calls(0, 10);
    slo.status();
    clock.advance(34 * MINUTE);
    expect(only().state).toBe('page');
    clock.advance(2 * MINUTE);
    expect(only().state).toBe('ticket');
    clock.advance(7 * HOUR);
    expect(only().state).toBe('ok');
  });

  it('is enforced as long as it burns as fast as the resource says, for callers', () => {
    const eager = promise({ enforcement: { when: 'ticket', actions: ['freezeWeights'] } });
    const patient = promise({
      resource: 'ServiceLevelObjective shop/b',
      name: 'b',
      enforcement: { when: 'page', actions: ['tightenRetries'] },
    });
    slo.use([eager, patient]);
    expect(slo.enforced()).toEqual([]);
    for (let hour = 0; hour < 24; hour += 1) calls(960, 40, { over: HOUR });
    expect(slo.status().map(({ state, enforcing }) => [state, enforcing])).toEqual([['ticket', ['freezeWeights']], ['ticket', []]]); // prettier-ignore
    expect(slo.enforced()).toEqual([eager]);
    calls(0, 1000, { over: 5 * MINUTE });
    slo.status();
    expect(slo.enforced()).toEqual([eager, patient]);
  });

  it('on the side of the service is told, and changes nothing for its own calls', () => {
    slo.use([promise({ enforcement: { when: 'page', actions: ['tightenRetries'] } })]);
    const served = slo.inbound!(port);
    for (let call = 0; call < 10; call += 1) served.ended(testEndedCall({ call: testCall(), status: 500 }));
    expect(only()).toMatchObject({ reporter: 'destination', state: 'page', enforcing: [] });
    expect([events.length, changes, slo.enforced()]).toEqual([1, 0, []]);
  });
});

describe('metrics of objectives', () => {
  it('say how fast the budget burns, and what is left', () => {
    expect(textOf(slo.families())).toBe('');
    slo.use([promise({ windowMs: HOUR, objective: 90 })]);
    calls(18, 2);
    const labels = `slo="shop/reviews",service="${REVIEWS}"`;
    expect(textOf(slo.families()).split('\n').filter((line) => !line.startsWith('#'))).toEqual([
      `inmesh_slo_objective_ratio{${labels}} 0.9`,
      `inmesh_slo_window_seconds{${labels}} 3600`,
      ...['5m', '30m', '1h'].map((window) => expect.stringMatching(new RegExp(`^inmesh_slo_burn_rate\\{${labels},reporter="source",window="${window}"\\} (1|1\\.0{9}\\d+|0\\.9{9}\\d+)$`)) as unknown),
      expect.stringMatching(/^inmesh_slo_budget_left_ratio\{[^}]*reporter="source"\} -?[\d.]+(e-\d+)?$/),
      `inmesh_slo_good_total{${labels},reporter="source"} 18`,
      `inmesh_slo_events_total{${labels},reporter="source"} 20`,
      '',
    ]); // prettier-ignore
  });
});
