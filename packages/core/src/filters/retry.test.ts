import type { RetryPolicy } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '../deadlines.ts';
import { flagBit, MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import { Life } from '../life.ts';
import { type MeshEvent, silentRoute } from '../observer.ts';
import type { Placement } from '../placement.ts';
import {
  fakeClock,
  type ScriptedAttempt,
  scriptedTransport,
  testCall,
  testClusterPolicy,
  testEndpoint,
  testRuntime,
} from '../testing/index.ts';
import { UpstreamStats } from '../upstream-stats.ts';
import { retry } from './retry.ts';

const POLICY: RetryPolicy = {
  attempts: 2,
  retryOn: ['5xx', 'connect-failure'],
  statusCodes: [],
  perTryTimeoutMs: null,
  backoff: { baseMs: 25, maxMs: 250 },
  ignorePreviousHosts: true,
  remoteLocalities: false,
};

interface Scene extends Partial<RetryPolicy> {
  readonly timeoutMs?: number;
  readonly replayable?: boolean;
  /** How many retries the cluster allows at once. */
  readonly room?: number;
  readonly random?: () => number;
  readonly play?: (attempt: ScriptedAttempt) => void;
}

/** Retry over a cluster that gives attempt n the endpoint `10.0.0.n:80` of priority ⌊n/2⌋. */
function scene({ timeoutMs, replayable = true, room = Infinity, random = () => 0.5, play, ...policy }: Scene = {}) {
  const clock = fakeClock();
  const events: MeshEvent[] = [];
  const stats = new UpstreamStats();
  const transport = scriptedTransport(play);
  const busy = { now: 0, taken: 0 };
  const cluster = {
    name: 'outbound|80||reviews',
    stats,
    tryRetry: () => {
      if (busy.now >= room) return false;
      busy.now += 1;
      busy.taken += 1;
      return true;
    },
    endRetry: () => void (busy.now -= 1),
    priorityOf: ({ address }: { readonly address: string }) => Math.floor(Number(/\.(\d+):/.exec(address)![1]) / 2),
  };
  let placed = 0;
  const bottom: Handler = (exchange, wire) => {
    const endpoint = testEndpoint(`10.0.0.${placed++}:80`);
    exchange.life.endpoint = endpoint;
    const placement: Placement = { endpoint, policy: testClusterPolicy(), wires: new Map(), stats, responded: () => {}, ended: () => {} };
    return wire.attempt(exchange, placement);
  };
  const runtime = testRuntime({ clock, random, observer: { route: () => silentRoute, event: (event) => void events.push(event) } });
  const handler = retry.outbound!({ policy: { ...POLICY, ...policy }, timeoutMs: timeoutMs ?? null, cluster }, runtime)(bottom);
  const life = new Life(clock.now(), new Deadlines(clock));
  if (timeoutMs !== undefined) life.limit(timeoutMs);
  const call = testCall({ replayable });
  const exchange = {
    call,
    life,
    attempt: 0,
    tried: [],
    edits: { authority: undefined, path: undefined, request: [], response: [] },
    hashKey: undefined,
    attemptTimeoutMs: 0,
    avoidPriorities: [],
  };
  const outcome = handler(exchange, transport);
  outcome.catch(() => {});
  return { clock, transport, life, events, busy, outcome, exchange, stats };
}

const reset = new MeshError('RESET', 'connection reset');
const refused = new MeshError('CONNECT_FAILED', 'connection refused', { phase: 'unsent' });

describe('retry', () => {
  it('hands over an ordinary answer at once', async () => {
    const { outcome, transport, busy, clock } = scene({ play: (attempt) => attempt.reply(200) });
    expect(await outcome).toMatchObject({ status: 200, value: 'answer of 10.0.0.0:80' });
    expect(transport.attempts).toHaveLength(1);
    expect(busy.taken).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('tries a failed connection again, elsewhere, after a backoff', async () => {
    const { outcome, transport, clock, events, life, exchange } = scene();
    transport.latest.fail(refused);
    await clock.pass(12);
    expect(transport.attempts).toHaveLength(1);
    await clock.pass(0.5);
    expect(transport.attempts).toHaveLength(2);
    const second = transport.latest.exchange;
    expect(second).toMatchObject({ attempt: 1, tried: [{ address: '10.0.0.0:80' }] });
    expect(second).not.toBe(exchange);
    expect(second.life).toBe(life);
    expect(exchange.attempt).toBe(0);
    transport.latest.reply(200);
    expect(await outcome).toMatchObject({ status: 200, value: 'answer of 10.0.0.1:80' });
    expect(events).toEqual([{ type: 'call.retried', cluster: 'outbound|80||reviews', attempt: 1, reason: 'CONNECT_FAILED' }]);
    expect(life.flags).toBe(0);
  });

  it('drops the reply it will not hand over', async () => {
    const { outcome, transport, clock, events } = scene();
    transport.latest.respond(503);
    await clock.pass(13);
    expect(transport.discarded).toBe(1);
    expect(transport.attempts[0]!.over).toBe(true);
    transport.latest.reply(200);
    expect((await outcome).status).toBe(200);
    expect(transport.discarded).toBe(1);
    expect(events).toMatchObject([{ reason: 'status 503' }]);
  });

  it('waits longer before each retry', async () => {
    const made: number[] = [];
    const { clock, outcome } = scene({ attempts: 6, random: () => 1 - 2 ** -53, play: (attempt) => { made.push(clockNow()); attempt.fail(reset); } }); // prettier-ignore
    function clockNow(): number {
      return made.length === 0 ? 0 : Math.round(clock.now());
    }
    await clock.pass(2000);
    await expect(outcome).rejects.toBe(reset);
    expect(made.map((at, index) => (index === 0 ? 0 : at - made[index - 1]!)).slice(1)).toEqual([25, 50, 100, 200, 250, 250]);
  });

  it('gives back the last reply when the count is exhausted, with URX', async () => {
    const { outcome, transport, clock, life, busy } = scene({ attempts: 2 });
    for (const status of [500, 502, 503]) {
      transport.latest.respond(status);
      await clock.pass(250);
    }
    expect((await outcome).status).toBe(503);
    expect(transport.attempts).toHaveLength(3);
    expect(transport.discarded).toBe(2);
    expect(life.flags).toBe(flagBit.URX);
    expect(busy.now).toBe(0);
  });

  it('throws the last error when the count is exhausted', async () => {
    const { outcome, clock, life } = scene({ play: (attempt) => attempt.fail(reset) });
    await clock.pass(1000);
    await expect(outcome).rejects.toBe(reset);
    expect(life.flags).toBe(flagBit.URX);
  });

  it('does not call what it would not have repeated exhausted', async () => {
    const { outcome, clock, transport, life } = scene({ attempts: 1 });
    transport.latest.fail(reset);
    await clock.pass(250);
    transport.latest.reply(404);
    expect((await outcome).status).toBe(404);
    expect(life.flags).toBe(0);
  });

  it('repeats what was refused before a promise was made', async () => {
    let asked = 0;
    const runtime = testRuntime();
    const cluster = { name: 'c', stats: new UpstreamStats(), tryRetry: () => true, endRetry: () => {}, priorityOf: () => undefined };
    const handler = retry.outbound!(
      { policy: POLICY, timeoutMs: null, cluster },
      runtime,
    )((exchange, transport) => {
      asked += 1;
      if (asked === 1) throw refused;
      return Promise.resolve(transport.answer(exchange, { status: 200, grpcStatus: 0, headers: [], body: '', message: '' }));
    });
    const transport = scriptedTransport();
    const { exchange } = scene();
    const outcome = handler(exchange, transport);
    await (runtime.clock as ReturnType<typeof fakeClock>).pass(25);
    expect((await outcome).status).toBe(200);
    expect(asked).toBe(2);
  });

  it.each([new MeshError('OVERFLOW', 'full'), new MeshError('NO_ENDPOINT', 'none'), new TypeError('a bug')])(
    'lets pass at once what is nobody else’s to mend: %s',
    async (error) => {
      const cluster = {
        name: 'c',
        stats: new UpstreamStats(),
        tryRetry: () => expect.unreachable(),
        endRetry: () => {},
        priorityOf: () => undefined,
      };
      const made = retry.outbound!(
        { policy: { ...POLICY, retryOn: ['5xx', 'reset', 'gateway-error'] }, timeoutMs: null, cluster },
        testRuntime(),
      );
      const { exchange } = scene();
      await expect(made(() => Promise.reject(error))(exchange, scriptedTransport())).rejects.toBe(error);
      expect(() => made(() => { throw error; })(exchange, scriptedTransport())).toThrow(error); // prettier-ignore
    },
  );

  it('asks for the body only when a retry is due, and lets it be', async () => {
    const { outcome, transport, life, busy } = scene({ replayable: false });
    transport.latest.reply(503);
    expect((await outcome).status).toBe(503);
    expect(transport.attempts).toHaveLength(1);
    expect(transport.discarded).toBe(0);
    expect(busy.taken).toBe(0);
    expect(life.flags).toBe(0);
  });
});

describe('the endpoints of a retry', () => {
  it('are those not tried yet', async () => {
    const { transport, clock } = scene({ attempts: 3, play: (attempt) => attempt.fail(reset) });
    await clock.pass(1000);
    expect(transport.attempts.map(({ exchange }) => exchange.tried.length)).toEqual([0, 1, 2, 3]);
  });

  it('may be the same where the policy does not mind', async () => {
    const { transport, clock } = scene({ attempts: 2, ignorePreviousHosts: false, play: (attempt) => attempt.fail(reset) });
    await clock.pass(1000);
    expect(transport.attempts.map(({ exchange }) => exchange.tried)).toEqual([[], [], []]);
  });

  it('leave their priority after every second attempt under retryRemoteLocalities', async () => {
    const { transport, clock } = scene({ attempts: 4, remoteLocalities: true, play: (attempt) => attempt.fail(reset) });
    await clock.pass(1000);
    expect(transport.attempts.map(({ exchange }) => exchange.avoidPriorities)).toEqual([[], [], [0], [0], [0, 1]]);
  });

  it('stay in their priority otherwise', async () => {
    const { transport, clock } = scene({ attempts: 3, play: (attempt) => attempt.fail(reset) });
    await clock.pass(1000);
    expect(transport.attempts.every(({ exchange }) => exchange.avoidPriorities.length === 0)).toBe(true);
  });
});

describe('the budget of a cluster', () => {
  it('over which the original answer is given back', async () => {
    const { outcome, transport, events, life } = scene({ room: 0 });
    transport.latest.respond(503);
    expect((await outcome).status).toBe(503);
    expect(transport.discarded).toBe(0);
    expect(life.flags).toBe(flagBit.UO);
    expect(events).toEqual([{ type: 'call.overflow', cluster: 'outbound|80||reviews', limit: 'retries' }]);
  });

  it('over which the original error is thrown', async () => {
    const { outcome, transport } = scene({ room: 0 });
    transport.latest.fail(reset);
    await expect(outcome).rejects.toBe(reset);
  });

  it('is asked only after the count', async () => {
    const { clock, outcome, busy, life } = scene({ attempts: 1, room: 1, play: (attempt) => attempt.fail(reset) });
    await clock.pass(1000);
    await expect(outcome).rejects.toBe(reset);
    expect(busy).toEqual({ now: 0, taken: 1 });
    expect(life.flags).toBe(flagBit.URX);
  });

  it('is held from the decision until the retry is over', async () => {
    const { clock, transport, busy } = scene();
    transport.latest.fail(reset);
    await clock.pass(1);
    expect(busy.now).toBe(1);
    await clock.pass(30);
    expect(transport.attempts).toHaveLength(2);
    expect(busy.now).toBe(1);
    transport.latest.reply(200);
    await clock.pass(0);
    expect(busy.now).toBe(0);
  });
});

describe('the time of a call', () => {
  it('ends its backoff', async () => {
    const { clock, transport, outcome, busy } = scene({ timeoutMs: 5 });
    transport.latest.respond(503);
    await clock.pass(5);
    await expect(outcome).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(busy.now).toBe(0);
    await clock.pass(1000);
    expect(transport.attempts).toHaveLength(1);
  });

  it('is not stretched for a caller who went away', async () => {
    const { clock, transport, outcome, life, busy } = scene();
    transport.latest.fail(reset);
    await clock.pass(1);
    const gone = new MeshError('CANCELLED', 'the caller went away');
    life.cancel(gone);
    await expect(outcome).rejects.toBe(gone);
    expect(busy.now).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('that is over when an attempt ends leaves nothing to repeat', async () => {
    const { clock, transport, outcome, life, busy } = scene();
    const gone = new MeshError('CANCELLED', 'the caller went away');
    transport.latest.respond(503);
    life.cancel(gone);
    await expect(outcome).rejects.toBe(gone);
    await clock.pass(100);
    expect(transport.attempts).toHaveLength(1);
    expect(transport.discarded).toBe(1);
    expect(busy.taken).toBe(0);
  });

  it('is given to each try', async () => {
    const { clock, transport } = scene({ perTryTimeoutMs: 100, timeoutMs: 1000 });
    expect(transport.latest.exchange.attemptTimeoutMs).toBe(100);
    transport.latest.fail(new MeshError('ATTEMPT_TIMEOUT', 'too slow'));
    await clock.pass(25);
    expect(transport.attempts).toHaveLength(2);
    expect(transport.latest.exchange.attemptTimeoutMs).toBe(100);
  });

  it.each([1000, 2000])('makes a perTryTimeout of %i ms pointless', (perTryTimeoutMs) => {
    expect(scene({ perTryTimeoutMs, timeoutMs: 1000 }).transport.latest.exchange.attemptTimeoutMs).toBe(0);
  });
});

describe('Retry-After', () => {
  const limited =
    (status: number, after: string) =>
    (attempt: ScriptedAttempt): void =>
      attempt.respond(status, { headers: { 'retry-after': after } });
  const policy = { retryOn: ['5xx', 'retriable-status-codes'], statusCodes: [429] } as const;

  it.each([
    [503, '2', 2012.5],
    [429, '1', 1012.5],
    [429, '0', 12.5],
    [503, 'Wed, 01 Jan 2025 00:00:03 GMT', 3012.5],
    [503, 'Tue, 31 Dec 2024 00:00:00 GMT', 12.5],
    [503, 'soon', 12.5],
    [503, '-5', 12.5],
    [500, '2', 12.5],
  ])('on %i of %s makes the retry come after %d ms', async (status, after, ms) => {
    const { clock, transport } = scene({ ...policy, play: limited(status, after) });
    await clock.pass(ms - 0.1);
    expect(transport.attempts).toHaveLength(1);
    await clock.pass(0.1);
    expect(transport.attempts).toHaveLength(2);
  });

  it('beyond the deadline ends it: the caller gets the reply', async () => {
    const { outcome, transport, busy, life } = scene({ ...policy, timeoutMs: 1500, play: limited(503, '2') });
    expect((await outcome).status).toBe(503);
    expect(transport.discarded).toBe(0);
    expect(busy.taken).toBe(0);
    expect(life.flags).toBe(0);
  });

  it('is not waited for beyond five minutes', async () => {
    const { outcome } = scene({ ...policy, play: limited(503, '301') });
    expect((await outcome).status).toBe(503);
  });
});

it('never tries more often than allowed, never hands over a discarded reply, and gives back what it took', async () => {
  const step = fc.constantFrom<number | MeshError>(200, 404, 500, 503, refused, reset, new MeshError('OVERFLOW', 'full'));
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 12, maxLength: 12 }),
      fc.integer({ min: 1, max: 6 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      async (steps, attempts, draw) => {
        const script = [...steps];
        const { outcome, clock, transport, busy, life } = scene({
          attempts,
          random: () => draw,
          play: (attempt) => {
            const next = script.shift()!;
            if (typeof next === 'number') attempt.respond(next);
            else attempt.fail(next);
          },
        });
        await clock.pass(10_000);
        const reply = await outcome.catch(() => undefined);
        const failed = (one: number | MeshError): boolean => (typeof one === 'number' ? one >= 500 : one.code !== 'OVERFLOW');
        const firstGood = steps.findIndex((one) => !failed(one));
        const expected = Math.min(attempts + 1, firstGood < 0 ? Infinity : firstGood + 1);
        expect(transport.attempts).toHaveLength(expected);
        expect(transport.discarded).toBe(steps.slice(0, expected - 1).filter((one) => typeof one === 'number').length);
        const last = steps[expected - 1]!;
        if (typeof last === 'number') expect(reply?.status).toBe(last);
        else await expect(outcome).rejects.toBe(last);
        expect((life.flags & flagBit.URX) !== 0).toBe(failed(last));
        expect(busy.now).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

describe('what is counted of retries', () => {
  it('is each, its kind of pause, and whether what came of them is an answer nobody would repeat', async () => {
    const { clock, transport, outcome, stats } = scene({ attempts: 3, retryOn: ['5xx'] });
    transport.latest.respond(503);
    await clock.pass(1000);
    transport.latest.respond(503, { headers: { 'retry-after': '1' } });
    await clock.pass(5000);
    transport.latest.respond(200);
    await outcome;
    expect(stats).toMatchObject({ rqRetry: 2, rqRetrySuccess: 1, rqRetryLimitExceeded: 0, rqRetryOverflow: 0 });
    expect(stats).toMatchObject({ rqRetryBackoffExponential: 1, rqRetryBackoffRatelimited: 1 });
  });

  it('is also why there are no more', async () => {
    const spent = scene({ attempts: 1, play: (attempt) => attempt.fail(reset) });
    await spent.clock.pass(1000);
    expect(spent.stats).toMatchObject({ rqRetry: 1, rqRetrySuccess: 0, rqRetryLimitExceeded: 1, rqRetryOverflow: 0 });
    const full = scene({ room: 0, play: (attempt) => attempt.fail(reset) });
    await full.clock.pass(1000);
    expect(full.stats).toMatchObject({ rqRetry: 0, rqRetrySuccess: 0, rqRetryLimitExceeded: 0, rqRetryOverflow: 1 });
  });
});
