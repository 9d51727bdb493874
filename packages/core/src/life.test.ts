import { describe, expect, it } from 'vitest';
import { Deadlines } from './deadlines.ts';
import { MeshError } from './errors.ts';
import { Life } from './life.ts';
import { fakeClock, testEndpoint } from './testing/index.ts';

function setting() {
  const clock = fakeClock({ now: 1000 });
  const deadlines = new Deadlines(clock);
  return { clock, deadlines, life: new Life(clock.now(), deadlines) };
}

const gone = new MeshError('CANCELLED', 'the caller went away');

describe('the life of a call', () => {
  it('is cancelled at its deadline, which can only come nearer', () => {
    const { clock, life } = setting();
    const told: (string | undefined)[] = [];
    life.work({ cancelled: (error) => told.push(error.code) });
    life.limit(2000);
    life.limit(1500);
    life.limit(3000);
    clock.advance(499);
    expect(told).toEqual([]);
    clock.advance(2);
    expect(told).toEqual(['DEADLINE_EXCEEDED']);
    expect(life.why?.message).toContain('500 ms');
  });

  it('has no deadline any more once it became a stream', () => {
    const { clock, deadlines, life } = setting();
    life.limit(1500);
    life.unlimit();
    clock.advance(10_000);
    expect([life.why, deadlines.size]).toEqual([undefined, 0]);
  });

  it('tells everyone at work, those who rest not, and latecomers at once', () => {
    const { life } = setting();
    const told: string[] = [];
    const worker = (name: string) => ({ cancelled: () => void told.push(name) });
    const [first, second, third] = [worker('first'), worker('second'), worker('third')];
    life.work(first);
    life.work(second);
    life.work(third);
    life.rest(second);
    life.cancel(gone);
    life.cancel(new MeshError('RESET', 'too late to matter'));
    life.work(worker('late'));
    expect([...told].sort()).toEqual(['first', 'late', 'third']);
    expect(life.why).toBe(gone);
  });

  it('makes a signal for code that wants one, also after the fact', () => {
    const { life } = setting();
    const early = life.signal();
    expect(early.aborted).toBe(false);
    life.cancel(gone);
    expect([early.aborted, early.reason]).toEqual([true, gone]);
    expect(life.signal()).toBe(early);
    const other = setting().life;
    other.cancel(gone);
    expect(other.signal().reason).toBe(gone);
  });

  it('is reported once, with what was learned on the way, and frees its deadline', () => {
    const { clock, deadlines, life } = setting();
    const reports: unknown[] = [];
    let left = 0;
    life.observer = {
      ended: ({ endpoint: of, status, grpcStatus, flags, ms, requestBytes, responseBytes }) =>
        void reports.push([of, status, grpcStatus, flags, ms, requestBytes, responseBytes]),
    };
    life.onEnd(() => (left += 1));
    const endpoint = testEndpoint('10.0.0.1:80');
    life.endpoint = endpoint;
    life.flag('URX');
    life.requestBytes = 7;
    life.responseBytes = 3;
    life.limit(9000);
    clock.advance(250);
    life.end(503, -1, clock.now());
    life.end(200, 0, clock.now());
    life.cancel(gone);
    expect(reports).toEqual([[endpoint, 503, -1, life.flags, 250, 7, 3]]);
    expect([left, deadlines.size, life.why]).toEqual([1, 0, undefined]);
  });

  it('tells its messages every 5 s while they come, and the last of them at its end', () => {
    const { clock, deadlines, life } = setting();
    const told: unknown[] = [];
    life.observer = {
      ended: ({ endpoint: of }) => void told.push(['ended', of?.address]),
      messages: ({ endpoint: of }, requests, responses) => void told.push([clock.now(), of?.address, requests, responses]),
    };
    life.endpoint = testEndpoint('10.0.0.1:80');
    life.countMessages(1, 0);
    clock.advance(3000);
    life.countMessages(0, 2);
    expect(told).toEqual([]);
    clock.advance(3000);
    expect(told.splice(0)).toEqual([[6000, '10.0.0.1:80', 1, 2]]);
    // Nothing came, so there is nothing to tell.
    clock.advance(60_000);
    expect([told, deadlines.size]).toEqual([[], 0]);
    life.countMessages(4, 0);
    life.endpoint = testEndpoint('10.0.0.2:80');
    life.end(200, 0, clock.now());
    life.countMessages(1, 1);
    clock.advance(60_000);
    expect(told).toEqual([
      [67_000, '10.0.0.2:80', 4, 0],
      ['ended', '10.0.0.2:80'],
    ]);
    expect(deadlines.size).toBe(0);
  });

  it('without messages tells of none', () => {
    const { clock, life } = setting();
    const told: unknown[] = [];
    life.observer = { ended: () => {}, messages: (...facts) => void told.push(facts) };
    life.end(200, -1, clock.now());
    expect(told).toEqual([]);
  });
});
