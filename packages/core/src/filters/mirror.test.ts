import { describe, expect, it } from 'vitest';
import type { Exchange, Transport } from '../exchange.ts';
import { Deadlines } from '../deadlines.ts';
import { flagBit, MeshError } from '../errors.ts';
import type { Handler } from '../handler.ts';
import { Life } from '../life.ts';
import type { RouteObserver } from '../observer.ts';
import { fakeClock, type ScriptedTransport, scriptedTransport, seededRandom, testExchange, testRuntime } from '../testing/index.ts';
import { mirror, type Mirrored } from './mirror.ts';

const answer = { status: 200, grpcStatus: 0, headers: [], body: '', message: '' } as const;

/** A mirror cluster that notes the copies it gets. */
function target(behave: Handler = (exchange, transport) => Promise.resolve(transport.answer(exchange, answer))) {
  const copies: Exchange[] = [];
  const handler: Handler = (exchange, transport) => {
    copies.push(exchange);
    return behave(exchange, transport);
  };
  return { copies, handler };
}

interface Scene {
  readonly mirrors: readonly Pick<Mirrored, 'percent' | 'handler'>[];
  readonly timeoutMs?: number;
}

function scene({ mirrors, timeoutMs }: Scene, random: () => number = seededRandom(1), copyable = true) {
  const clock = fakeClock();
  const scripted: ScriptedTransport = scriptedTransport();
  const lives: Life[] = [];
  const counted: number[] = [];
  const observer: RouteObserver = { ended: ({ status }) => void counted.push(status) };
  const transport: Transport<string> = {
    attempt: (exchange, placement) => scripted.attempt(exchange, placement),
    answer: (exchange, local) => scripted.answer(exchange, local),
    shadow: (exchange) => {
      if (!copyable) return undefined;
      const life = new Life(clock.now(), new Deadlines(clock));
      lives.push(life);
      const through: Transport<unknown> = {
        attempt: (copied, placement) => scripted.attempt(copied, placement),
        answer: (copied, local) => ({
          ...scripted.answer(copied, local),
          discard: () => life.end(local.status, local.grpcStatus, clock.now()),
        }),
      };
      return { exchange: { ...exchange, life }, transport: through };
    },
  };
  const next: Handler = (exchange, wire) => Promise.resolve(wire.answer(exchange, { ...answer, status: 201 }));
  const handler = mirror.outbound!(
    { mirrors: mirrors.map((one) => ({ ...one, observer })), timeoutMs: timeoutMs ?? null },
    testRuntime({ clock, random }),
  )(next);
  return { clock, lives, counted, run: () => handler(testExchange(), transport) };
}

describe('a mirror', () => {
  it('gets a copy with a life of its own, while the caller gets the answer', async () => {
    const { copies, handler } = target();
    const { run, lives, counted, clock } = scene({ mirrors: [{ percent: 100, handler }] });
    expect((await run()).status).toBe(201);
    expect(copies).toHaveLength(1);
    expect(copies[0]!.life).toBe(lives[0]);
    await clock.pass(0);
    expect(lives[0]!.ended).toBe(true);
    expect(counted).toEqual([200]);
  });

  it('gets its share', async () => {
    const { copies, handler } = target();
    const { run } = scene({ mirrors: [{ percent: 25, handler }] });
    for (let call = 0; call < 4000; call += 1) await run();
    expect(copies.length).toBeGreaterThan(900);
    expect(copies.length).toBeLessThan(1100);
  });

  it('of 0 percent gets nothing', async () => {
    const { copies, handler } = target();
    await scene({ mirrors: [{ percent: 0, handler }] }, () => 0).run();
    expect(copies).toHaveLength(0);
  });

  it('is drawn apart from other mirrors', async () => {
    const [one, other] = [target(), target()];
    const draws = [0.9, 0.1];
    await scene({ mirrors: [{ percent: 50, handler: one.handler }, { percent: 50, handler: other.handler }] }, () => draws.shift()!).run(); // prettier-ignore
    expect([one.copies.length, other.copies.length]).toEqual([0, 1]);
  });

  it.each<[string, Handler]>([
    ['refuses', () => Promise.reject(new MeshError('NO_ENDPOINT', 'none'))],
    [
      'refuses at once',
      () => {
        throw new MeshError('NO_ENDPOINT', 'none');
      },
    ],
    [
      'breaks',
      () => {
        throw new TypeError('a bug');
      },
    ],
    ['never answers', () => new Promise(() => {})],
  ])('that %s is not noticed', async (_, behave) => {
    // prettier-ignore
    const { handler } = target(behave);
    const { run, clock } = scene({ mirrors: [{ percent: 100, handler }] });
    expect((await run()).status).toBe(201);
    await clock.pass(0);
  });

  it('has its failure noted where copies are counted', async () => {
    const { handler } = target(() => Promise.reject(new MeshError('NO_ENDPOINT', 'none')));
    const { run, lives, counted, clock } = scene({ mirrors: [{ percent: 100, handler }] });
    await run();
    await clock.pass(0);
    expect(lives[0]).toMatchObject({ ended: true, flags: flagBit.UH });
    expect(counted).toEqual([503]);
  });

  it('lets its answer go unread', async () => {
    let discarded = 0;
    const { handler } = target((exchange, transport) =>
      Promise.resolve({ ...transport.answer(exchange, answer), discard: () => void (discarded += 1) }),
    );
    const { run, clock } = scene({ mirrors: [{ percent: 100, handler }] });
    await run();
    await clock.pass(0);
    expect(discarded).toBe(1);
  });

  it('has as long as the call has', async () => {
    const { handler } = target(() => new Promise(() => {}));
    const { run, lives } = scene({ mirrors: [{ percent: 100, handler }], timeoutMs: 700 });
    await run();
    expect(lives[0]!.deadline).toBe(700);
  });

  it('goes without what cannot be sent twice', async () => {
    const { copies, handler } = target();
    expect((await scene({ mirrors: [{ percent: 100, handler }] }, seededRandom(1), false).run()).status).toBe(201);
    expect(copies).toHaveLength(0);
  });
});
