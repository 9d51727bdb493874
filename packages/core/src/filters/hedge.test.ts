import type { Hedging, RetryPolicy } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Transport } from '../exchange.ts';
import { Deadlines } from '../deadlines.ts';
import { flagBit, MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import { Life } from '../life.ts';
import { type MeshEvent, silentRoute } from '../observer.ts';
import type { Placement } from '../placement.ts';
import { fakeClock, scriptedTransport, testClusterPolicy, testEndpoint, testExchange, testRuntime } from '../testing/index.ts';
import { UpstreamStats } from '../upstream-stats.ts';
import { hedge, type Hedges } from './hedge.ts';

const RETRIES: RetryPolicy = {
  attempts: 2,
  retryOn: ['unavailable', 'connect-failure'],
  statusCodes: [],
  perTryTimeoutMs: null,
  backoff: { baseMs: 25, maxMs: 250 },
  ignorePreviousHosts: true,
  remoteLocalities: false,
};

const UNAVAILABLE = { grpcStatus: 14 };
const OK = { grpcStatus: 0 };
const refused = new MeshError('CONNECT_FAILED', 'connection refused', { phase: 'unsent' });

interface Scene extends Partial<Hedging> {
  readonly path?: string;
  readonly retries?: Hedges['retries'];
  /** How many further attempts the cluster allows at once. */
  readonly room?: number;
  /** Is the request wholly in hand? undefined: this transport cannot hedge at all. */
  readonly whole?: boolean | undefined;
}

/** Hedging of `/shop.Ratings/Get` after 50 ms, over a cluster that gives attempt n the endpoint `10.0.0.n:80`. */
function scene({ path = '/shop.Ratings/Get', retries = RETRIES, room = Infinity, ...rest }: Scene = {}) {
  const { whole = true, ...policy } = rest;
  const clock = fakeClock();
  const events: MeshEvent[] = [];
  const stats = new UpstreamStats();
  const scripted = scriptedTransport();
  const busy = { now: 0, taken: 0 };
  const cluster = {
    name: 'outbound|80||ratings',
    stats,
    tryRetry: () => {
      if (busy.now >= room) return false;
      busy.now += 1;
      busy.taken += 1;
      return true;
    },
    endRetry: () => void (busy.now -= 1),
  };
  let placed = 0;
  const ends: (MeshError | undefined)[] = [];
  const bottom: Handler = (exchange, wire) => {
    const endpoint = testEndpoint(`10.0.0.${placed++}:80`);
    exchange.life.endpoint = endpoint;
    const ended = (error: MeshError | undefined): void => void ends.push(error);
    const placement: Placement = { endpoint, policy: testClusterPolicy(), wires: new Map(), stats, responded: () => {}, ended };
    return wire.attempt(exchange, placement);
  };
  const runtime = testRuntime({ clock, observer: { route: () => silentRoute, event: (event) => void events.push(event) } });
  const hedging = { resource: 'HedgePolicy shop/ratings', paths: [{ kind: 'exact', value: '/shop.Ratings/Get' }], delayMs: 50, maxAttempts: 2, ...policy } as const; // prettier-ignore
  const handler = hedge.outbound!({ hedging: [hedging], retries, cluster }, runtime)(bottom);
  const life = new Life(clock.now(), new Deadlines(clock));
  const main: Transport<string> = { attempt: (exchange, placement) => scripted.attempt(exchange, placement), answer: (exchange, local) => scripted.answer(exchange, local) }; // prettier-ignore
  const transport = 'whole' in rest && rest.whole === undefined ? main : { ...main, again: () => (whole ? scripted : undefined) };
  const exchange = testExchange({ life, call: { url: `http://ratings${path}`, protocol: 'grpc' } });
  const outcome = handler(exchange, transport);
  outcome.catch(() => {});
  return { clock, scripted, life, events, busy, outcome, ends, stats };
}

describe('a call that may be carried out twice', () => {
  it('goes once where it is answered in time', async () => {
    const { outcome, scripted, clock, busy } = scene();
    await clock.pass(49);
    scripted.latest.reply(200, OK);
    expect((await outcome).value).toBe('answer of 10.0.0.0:80');
    await clock.pass(1000);
    expect([scripted.attempts.length, busy.taken, clock.pending]).toEqual([1, 0, 0]);
  });

  it('goes to another endpoint when the first is slow; the first answer wins and the other attempt is given up', async () => {
    const { outcome, scripted, clock, busy, events, life, ends } = scene();
    await clock.pass(50);
    const [first, second] = scripted.attempts;
    expect(second!.exchange).toMatchObject({ attempt: 1, tried: [{ address: '10.0.0.0:80' }] });
    expect(events).toEqual([{ type: 'call.hedged', cluster: 'outbound|80||ratings', attempt: 1, reason: 'slow' }]);
    second!.reply(200, OK);
    expect((await outcome).value).toBe('answer of 10.0.0.1:80');
    await clock.pass(0);
    expect([first!.over, ends.map((error) => error?.code)]).toEqual([true, [undefined, 'CANCELLED']]);
    expect([busy.now, clock.pending]).toEqual([0, 0]);
    life.end(200, 0, clock.now());
    expect(life.endpoint?.address).toBe('10.0.0.1:80');
  });

  it('takes the slow answer if that comes first after all', async () => {
    const { outcome, scripted, clock } = scene();
    await clock.pass(60);
    scripted.attempts[0]!.reply(200, OK);
    expect((await outcome).value).toBe('answer of 10.0.0.0:80');
    await clock.pass(0);
    expect(scripted.open).toHaveLength(0);
  });

  it('is sent again at once after an answer or a failure that a retry would be made of', async () => {
    for (const fail of [
      (at: number, s: ReturnType<typeof scene>) => s.scripted.attempts[at]!.reply(200, UNAVAILABLE),
      (at: number, s: ReturnType<typeof scene>) => s.scripted.attempts[at]!.fail(refused),
    ]) {
      // prettier-ignore
      const s = scene();
      fail(0, s);
      await s.clock.pass(0);
      expect(s.events).toMatchObject([{ type: 'call.hedged', reason: 'failed' }]);
      s.scripted.attempts[1]!.reply(200, OK);
      expect((await s.outcome).value).toBe('answer of 10.0.0.1:80');
    }
  });

  it('ends with the last failure when all attempts fail, whose answer is held for a retry above; the others are dropped', async () => {
    const { outcome, scripted, clock } = scene();
    await clock.pass(50);
    scripted.attempts[0]!.reply(200, UNAVAILABLE);
    await clock.pass(0);
    scripted.attempts[1]!.reply(200, UNAVAILABLE);
    expect(await outcome).toMatchObject({ grpcStatus: 14, value: 'answer of 10.0.0.1:80' });
    expect(scripted.discarded).toBe(1);
  });

  it('does not fail by one attempt while another may succeed, whatever went wrong', async () => {
    const { outcome, scripted, clock } = scene({ retries: null });
    await clock.pass(50);
    scripted.attempts[1]!.fail(new MeshError('OVERFLOW', 'no room'));
    await clock.pass(500);
    scripted.attempts[0]!.reply(200, OK);
    expect((await outcome).value).toBe('answer of 10.0.0.0:80');
  });

  it('drops an answer that comes in the same moment as the first', async () => {
    const { outcome, scripted, clock } = scene();
    await clock.pass(50);
    scripted.attempts[1]!.respond(200);
    scripted.attempts[0]!.respond(200);
    expect((await outcome).value).toBe('answer of 10.0.0.1:80');
    await clock.pass(0);
    expect([scripted.discarded, scripted.open.length]).toEqual([1, 1]);
  });

  it('ends with what an endpoint said rather than with why the mesh asked no other', async () => {
    const { outcome, scripted, clock } = scene();
    scripted.latest.reply(200, UNAVAILABLE);
    await clock.pass(0);
    scripted.latest.fail(new MeshError('OVERFLOW', 'no room'));
    expect(await outcome).toMatchObject({ grpcStatus: 14, value: 'answer of 10.0.0.0:80' });
  });

  it('ends at once with a failure that no retry is made of, and with an answer that is one', async () => {
    const failed = scene();
    failed.scripted.latest.fail(new MeshError('RESET', 'reset'));
    await expect(failed.outcome).rejects.toMatchObject({ code: 'RESET' });
    expect(failed.clock.pending).toBe(0);
    const answered = scene();
    answered.scripted.latest.reply(200, { grpcStatus: 3 });
    expect((await answered.outcome).grpcStatus).toBe(3);
    expect(answered.scripted.attempts).toHaveLength(1);
  });

  it('has so many attempts and no more, each with the same delay', async () => {
    const { scripted, clock, busy } = scene({ maxAttempts: 3, delayMs: 20 });
    const at = [0, 20, 40, 1000];
    const seen: number[] = [];
    for (const [index, moment] of at.entries()) {
      await clock.pass(moment - (at[index - 1] ?? 0));
      seen.push(scripted.attempts.length);
    }
    expect([seen, busy.now]).toEqual([[1, 2, 3, 3], 2]);
  });

  it('counts further attempts as retries of the cluster, and goes without where there is no room for one', async () => {
    const { outcome, scripted, clock, events } = scene({ room: 0 });
    await clock.pass(200);
    expect(scripted.attempts).toHaveLength(1);
    expect(events).toEqual([{ type: 'call.overflow', cluster: 'outbound|80||ratings', limit: 'retries' }]);
    scripted.latest.reply(200, OK);
    expect((await outcome).value).toBe('answer of 10.0.0.0:80');
  });

  it('heeds a server that says when, or whether, to come again', async () => {
    const later = scene();
    later.scripted.latest.reply(200, { ...UNAVAILABLE, headers: { 'grpc-retry-pushback-ms': '300' } });
    await later.clock.pass(299);
    expect(later.scripted.attempts).toHaveLength(1);
    await later.clock.pass(1);
    later.scripted.latest.reply(200, OK);
    expect((await later.outcome).value).toBe('answer of 10.0.0.1:80');
    const never = scene();
    never.scripted.latest.reply(200, { ...UNAVAILABLE, headers: { 'grpc-retry-pushback-ms': '-1' } });
    expect((await never.outcome).grpcStatus).toBe(14);
    expect(never.scripted.attempts).toHaveLength(1);
  });

  it('is over for all its attempts when its caller leaves or its time is up, before an answer and after', async () => {
    const gone = new MeshError('CANCELLED', 'the caller went away');
    const during = scene();
    await during.clock.pass(50);
    during.life.cancel(gone);
    await expect(during.outcome).rejects.toBe(gone);
    expect([during.scripted.open.length, during.busy.now, during.clock.pending]).toEqual([0, 0, 0]);

    const waiting = scene();
    waiting.scripted.latest.reply(200, { ...UNAVAILABLE, headers: { 'grpc-retry-pushback-ms': '300' } });
    await waiting.clock.pass(100);
    waiting.life.cancel(gone);
    await expect(waiting.outcome).rejects.toBe(gone);
    expect([waiting.scripted.discarded, waiting.clock.pending]).toEqual([1, 0]);

    const streaming = scene();
    await streaming.clock.pass(50);
    streaming.scripted.latest.respond(200);
    await streaming.outcome;
    expect(streaming.scripted.open).toHaveLength(1);
    streaming.life.cancel(gone);
    expect(streaming.scripted.open).toHaveLength(0);
  });

  it('counts what the attempt that won counts, to the end', async () => {
    const { outcome, scripted, clock, life } = scene();
    const seen: unknown[] = [];
    life.observer = { ended: ({ endpoint, flags, responseBytes }) => void seen.push(endpoint?.address, flags, responseBytes) };
    await clock.pass(50);
    const { exchange } = scripted.latest;
    scripted.attempts[0]!.exchange.life.responseBytes += 1000;
    scripted.latest.respond(200);
    await outcome;
    exchange.life.responseBytes += 7;
    exchange.life.flag('UC');
    life.end(200, 14, clock.now());
    expect(seen).toEqual(['10.0.0.1:80', flagBit.UC, 7]);
  });
});

describe('a call goes as it is', () => {
  it.each<[string, Scene]>([
    ['if its path is not named', { path: '/shop.Ratings/Set' }],
    ['over a transport that cannot send it twice at once', { whole: undefined }],
    ['while its request is not wholly in hand', { whole: false }],
  ])('%s', async (_name, given) => {
    const { outcome, scripted, clock } = scene(given);
    await clock.pass(1000);
    expect(scripted.attempts).toHaveLength(1);
    scripted.latest.reply(200, OK);
    expect((await outcome).value).toBe('answer of 10.0.0.0:80');
  });

  it('and not if a prefix covers it', async () => {
    const { scripted, clock } = scene({ path: '/shop.Ratings/List', paths: [{ kind: 'prefix', value: '/shop.Ratings/' }] });
    await clock.pass(50);
    expect(scripted.attempts).toHaveLength(2);
  });
});

it('whatever comes in whatever order: one outcome, every attempt over, every reply handed over or dropped, nothing held', async () => {
  const step = fc.record({
    wait: fc.nat(60),
    which: fc.nat(4),
    what: fc.constantFrom('ok', 'unavailable', 'invalid', 'refused', 'reset', 'pushback', 'leave' as const),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.integer({ min: 2, max: 5 }), fc.nat(3), async (steps, maxAttempts, room) => {
      const { outcome, scripted, clock, life, busy } = scene({ maxAttempts, room });
      let settled = 0;
      const count = (): void => void (settled += 1);
      outcome.then(count, count);
      for (const { wait, which, what } of steps) {
        await clock.pass(wait);
        const attempt = scripted.open[which % Math.max(1, scripted.open.length)];
        if (what === 'leave') life.cancel(new MeshError('CANCELLED', 'left'));
        else if (what === 'ok') attempt?.reply(200, OK);
        else if (what === 'invalid') attempt?.reply(200, { grpcStatus: 3 });
        else if (what === 'unavailable') attempt?.reply(200, UNAVAILABLE);
        else if (what === 'pushback') attempt?.reply(200, { ...UNAVAILABLE, headers: { 'grpc-retry-pushback-ms': '40' } });
        else attempt?.fail(what === 'refused' ? refused : new MeshError('RESET', 'reset'));
      }
      for (let left = scripted.open.length; left > 0; left = scripted.open.length) {
        scripted.open[0]!.reply(200, OK);
        await clock.pass(100);
      }
      await clock.pass(1000);
      for (const attempt of scripted.open) attempt.reply(200, OK);
      await clock.pass(1000);
      expect(settled).toBe(1);
      expect([scripted.open.length, busy.now, clock.pending]).toEqual([0, 0, 0]);
      expect(scripted.attempts.length).toBeLessThanOrEqual(maxAttempts);
    }),
    { numRuns: 400 },
  );
});
