import { type Code, MeshError } from '@inmesh/core';
import type { ScriptedAttempt } from '@inmesh/core/testing';
import { describe, expect, it } from 'vitest';
import { ask, cluster, destinationRule, document, kube, meshConfig, modelOf, resource, rules, run, type Running, WORLD } from './world.ts';

/**
 * VirtualService timeout and retries: the policy pilot/pkg/networking/core/route/retry/retry.go makes, and what Envoy's
 * router (retry_state_impl.cc, router.cc, backoff_strategy.cc) does with it.
 */

const to = 'route: [{ destination: { host: reviews } }]';
const one = (rule: string, more = ''): string => document(WORLD, rules(`- { ${to}${rule === '' ? '' : `, ${rule}`} }`), more);
const policy = (rule: string, more = '') => ask(one(rule, more), '/').retries;

const DEFAULT_WORDS = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'];
const fails = (code: Code, phase?: 'unsent' | 'unanswered') => (attempt: ScriptedAttempt) =>
  attempt.fail(new MeshError(code, code, phase === undefined ? {} : { phase }));
const replies = (status: number, options?: Parameters<ScriptedAttempt['reply']>[1]) => (attempt: ScriptedAttempt) =>
  attempt.reply(status, options);

describe('the policy of a route', () => {
  it.each<readonly [statement: string, rule: string, more: string, expected: object | null]>([
    [
      'by default two retries of what was not processed, no status codes',
      '',
      '',
      { attempts: 2, retryOn: DEFAULT_WORDS, perTryTimeoutMs: null, backoffMs: { base: 25, max: 250 }, budget: null },
    ],
    ['a block without retryOn keeps the default list', 'retries: { attempts: 5 }', '', { attempts: 5, retryOn: DEFAULT_WORDS }],
    ['retryOn replaces it', 'retries: { attempts: 1, retryOn: "5xx,reset" }', '', { attempts: 1, retryOn: ['5xx', 'reset'] }],
    [
      'numbers bring the word for status codes along',
      'retries: { attempts: 1, retryOn: "reset,503,429" }',
      '',
      { retryOn: ['reset', 'retriable-status-codes', '503', '429'] },
    ],
    ['attempts 0 is no policy at all', 'retries: { attempts: 0 }', '', null],
    ['perTryTimeout', 'retries: { attempts: 1, perTryTimeout: 100ms }', '', { perTryTimeoutMs: 100 }],
    [
      'one that is not below the timeout is ignored',
      'timeout: 1s, retries: { attempts: 1, perTryTimeout: 1s }',
      '',
      { perTryTimeoutMs: null },
    ],
    [
      'backoff sets the base; the maximum is ten times that',
      'retries: { attempts: 1, backoff: 100ms }',
      '',
      { backoffMs: { base: 100, max: 1000 } },
    ],
    [
      'the mesh may have another default',
      '',
      meshConfig('defaultHttpRetryPolicy: { attempts: 7, retryOn: 5xx }'),
      { attempts: 7, retryOn: ['5xx'] },
    ],
    ['or none', '', meshConfig('defaultHttpRetryPolicy: { attempts: 0 }'), null],
    [
      "the route's beats it",
      'retries: { attempts: 1, retryOn: reset }',
      meshConfig('defaultHttpRetryPolicy: { attempts: 7, retryOn: 5xx }'),
      { attempts: 1, retryOn: ['reset'] },
    ],
  ])('%s', (_, rule, more, expected) => {
    const found = policy(rule, more);
    if (expected === null) expect(found).toBeNull();
    else expect(found).toMatchObject(expected);
  });

  it('the default holds where there is no VirtualService as well', () => {
    expect(ask(WORLD, 'http://ratings/').retries).toMatchObject({ attempts: 2, retryOn: DEFAULT_WORDS });
    expect(
      ask(document(WORLD, meshConfig('defaultHttpRetryPolicy: { attempts: 7, retryOn: 5xx }')), 'http://ratings/').retries,
    ).toMatchObject({ attempts: 7 });
  });

  it.each([
    ['off by default', '', null],
    ['a timeout', 'timeout: 1.5s', 1500],
    ['0s is off', 'timeout: 0s', null],
  ])('timeout: %s', (_, rule, expected) => {
    expect(ask(one(rule), '/').timeoutMs).toBe(expected);
  });

  it('previous hosts are avoided, save for a single destination by consistent hash', () => {
    const HASH = destinationRule('dr', 'host: ratings\ntrafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x } } }');
    const avoids = (http: string, more = '', host = 'reviews') =>
      modelOf(document(WORLD, http === '' ? '' : rules(http), more)).hosts.find(
        ({ service, port }) => service === `${host}.default.svc.cluster.local` && port === 80,
      )?.routes[0]?.retries?.ignorePreviousHosts;
    expect(avoids(`- { ${to} }`)).toBe(true);
    expect(avoids(`- { ${to}, retries: { attempts: 1, retryIgnorePreviousHosts: false } }`)).toBe(false);
    expect(avoids('- { route: [{ destination: { host: ratings } }] }', HASH)).toBe(false);
    expect(
      avoids('- { route: [{ destination: { host: ratings } }], retries: { attempts: 1, retryIgnorePreviousHosts: true } }', HASH),
    ).toBe(true);
    expect(
      avoids('- { route: [{ destination: { host: ratings }, weight: 1 }, { destination: { host: reviews }, weight: 1 }] }', HASH),
    ).toBe(true);
    expect(avoids('', HASH, 'ratings')).toBe(true);
  });

  it('retryRemoteLocalities', () => {
    const remote = (rule: string) =>
      modelOf(one(rule)).hosts.find(({ name }) => name.startsWith('reviews'))?.routes[0]?.retries?.remoteLocalities;
    expect([remote('retries: { attempts: 1 }'), remote('retries: { attempts: 1, retryRemoteLocalities: true }')]).toEqual([false, true]);
  });
});

describe('which outcomes a word retries', () => {
  /** Attempts made under `retryOn` with one retry: 2 if the first outcome is retried. */
  async function attempts(retryOn: string, play: (attempt: ScriptedAttempt) => void): Promise<number> {
    const { call, transport } = await run(one(`retries: { attempts: 1, retryOn: "${retryOn}" }`), play);
    await call('http://reviews/');
    return transport.attempts.length;
  }

  it.each<readonly [word: string, outcome: string, play: (attempt: ScriptedAttempt) => void, retried: boolean]>([
    ['5xx', '500', replies(500), true],
    ['5xx', '599', replies(599), true],
    ['5xx', '503', replies(503), true],
    ['5xx', '499', replies(499), false],
    ['5xx', 'a reset', fails('RESET'), true],
    ['5xx', 'a connect failure', fails('CONNECT_FAILED', 'unsent'), true],
    ['5xx', 'a refused stream', fails('REFUSED'), true],
    ['gateway-error', '502', replies(502), true],
    ['gateway-error', '503', replies(503), true],
    ['gateway-error', '504', replies(504), true],
    ['gateway-error', '500', replies(500), false],
    ['gateway-error', 'a reset', fails('RESET'), true],
    ['reset', 'a reset', fails('RESET'), true],
    ['reset', 'a stream reset', fails('STREAM_RESET'), true],
    ['reset', 'a connect failure, which is one too', fails('CONNECT_FAILED', 'unsent'), true],
    ['reset', '503', replies(503), false],
    ['reset-before-request', 'a reset before a byte was sent', fails('RESET', 'unsent'), true],
    ['reset-before-request', 'a reset after', fails('RESET', 'unanswered'), false],
    ['connect-failure', 'a connect failure', fails('CONNECT_FAILED', 'unsent'), true],
    ['connect-failure', 'a reset', fails('RESET'), false],
    ['refused-stream', 'a refused stream', fails('REFUSED'), true],
    ['refused-stream', 'another stream reset', fails('STREAM_RESET'), false],
    ['retriable-4xx', '409', replies(409), true],
    ['retriable-4xx', '404', replies(404), false],
    ['retriable-4xx', '429', replies(429), false],
    ['retriable-status-codes', '503, which is not listed', replies(503), false],
    ['retriable-status-codes,503', '503, listed', replies(503), true],
    ['418', '418, a number alone', replies(418), true],
    ['418', '417', replies(417), false],
    ['retriable-headers', '503: Istio cannot set matchers', replies(503), false],
    ['5xx', '503 with x-envoy-ratelimited', replies(503, { headers: { 'x-envoy-ratelimited': 'true' } }), false],
    ['envoy-ratelimited', '429 with x-envoy-ratelimited', replies(429, { headers: { 'x-envoy-ratelimited': 'true' } }), true],
    ['envoy-ratelimited', '429 without', replies(429), false],
    ['cancelled', 'grpc-status 1', replies(200, { grpcStatus: 1 }), true],
    ['deadline-exceeded', 'grpc-status 4', replies(200, { grpcStatus: 4 }), true],
    ['internal', 'grpc-status 13', replies(200, { grpcStatus: 13 }), true],
    ['resource-exhausted', 'grpc-status 8', replies(200, { grpcStatus: 8 }), true],
    ['unavailable', 'grpc-status 14', replies(200, { grpcStatus: 14 }), true],
    ['unavailable', 'grpc-status 13', replies(200, { grpcStatus: 13 }), false],
    ['unavailable', '503 of HTTP', replies(503), false],
    ['5xx', '200', replies(200), false],
  ])('%s: %s', async (word, _, play, retried) => {
    expect(await attempts(word, play)).toBe(retried ? 2 : 1);
  });

  it.each<readonly [outcome: string, play: (attempt: ScriptedAttempt) => void, retried: boolean]>([
    ['503, since Istio 1.24 not', replies(503), false],
    ['a connect failure', fails('CONNECT_FAILED', 'unsent'), true],
    ['a refused stream', fails('REFUSED'), true],
    ['a reset: it may have been processed', fails('RESET'), false],
    ['grpc-status UNAVAILABLE', replies(200, { grpcStatus: 14 }), true],
    ['grpc-status CANCELLED', replies(200, { grpcStatus: 1 }), true],
  ])('the default: %s', async (_, play, retried) => {
    const { call, transport } = await run(one(''), play);
    await call({ url: 'http://reviews/', method: 'POST' });
    expect(transport.attempts.length).toBe(retried ? 3 : 1);
  });

  it('a body that cannot be sent twice is not retried', async () => {
    const { call, transport } = await run(one('retries: { attempts: 2, retryOn: 5xx }'), replies(503));
    expect((await call({ url: 'http://reviews/', replayable: false })).status).toBe(503);
    expect(transport.attempts).toHaveLength(1);
  });

  it('nothing is retried after the headers', async () => {
    const { begin, clock, transport } = await run(one('retries: { attempts: 2, retryOn: "5xx,reset" }'), (attempt) => attempt.respond(200));
    const { ended } = begin('http://reviews/');
    await clock.pass(0);
    transport.latest.end(new MeshError('RESET', 'cut'));
    await clock.pass(1000);
    expect([(await ended).status, transport.attempts.length]).toEqual([200, 1]);
  });

  it('overflow is not retried', async () => {
    const limit = destinationRule('dr', 'host: ratings\ntrafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } }');
    const { begin, call, events, transport } = await run(
      document(
        WORLD,
        limit,
        rules('- { route: [{ destination: { host: ratings } }], retries: { attempts: 3, retryOn: "5xx,reset,connect-failure" } }'),
      ),
      () => {},
    );
    begin('http://reviews/');
    expect(await call('http://reviews/')).toMatchObject({ status: 503, flags: 'UO' });
    expect([transport.attempts.length, events.filter(({ type }) => type === 'call.retried').length]).toEqual([1, 0]);
  });
});

describe('how retries go', () => {
  it('attempts are beyond the first; then what came last is the answer, flag URX', async () => {
    const { call, transport } = await run(one('retries: { attempts: 3, retryOn: 5xx }'), replies(503));
    const { status, flags } = await call('http://reviews/');
    expect([status, flags, transport.attempts.length]).toEqual([503, 'URX', 4]);
  });

  it('an error that came last is answered as itself, with URX', async () => {
    const { call } = await run(one('retries: { attempts: 1, retryOn: connect-failure }'), fails('CONNECT_FAILED', 'unsent'));
    expect(await call('http://reviews/')).toMatchObject({ status: 503, flags: 'UF,URX' });
  });

  it('what succeeds later is the answer', async () => {
    let count = 0;
    const { call, transport } = await run(one('retries: { attempts: 3, retryOn: 5xx }'), (attempt) =>
      attempt.reply((count += 1) < 3 ? 503 : 200),
    );
    expect((await call('http://reviews/')).status).toBe(200);
    // The answers in between are dropped, not handed over.
    expect([transport.attempts.length, transport.discarded]).toEqual([3, 2]);
  });

  it('endpoints that were tried are avoided', async () => {
    const { call, transport } = await run(one('retries: { attempts: 2, retryOn: 5xx }'), replies(503));
    for (let count = 0; count < 30; count += 1) {
      const before = transport.addresses.length;
      await call('http://reviews/');
      expect(new Set(transport.addresses.slice(before)).size).toBe(3);
    }
  });

  /** Random numbers just below 1: every pause is as long as it can be. */
  const longest = (): number => 1 - 1e-9;

  it.each<readonly [statement: string, rule: string, pauses: readonly number[]]>([
    ['base 25 ms: 25, 50, 100, 200, then 250', 'retries: { attempts: 6, retryOn: 5xx }', [25, 50, 100, 200, 250, 250]],
    ['base 100 ms, at most ten times that', 'retries: { attempts: 6, retryOn: 5xx, backoff: 100ms }', [100, 200, 400, 800, 1000, 1000]],
  ])('pauses: %s', async (_, rule, pauses) => {
    const at: number[] = [];
    const { call, clock } = await run(
      one(rule),
      (attempt) => {
        at.push(clock.now());
        attempt.reply(503);
      },
      { random: longest },
    );
    await call('http://reviews/');
    const waited = at.slice(1).map((moment, index) => Math.round(moment - (at[index] ?? 0)));
    expect(waited).toEqual(pauses);
  });

  it('pauses are drawn from the whole range: none at all is possible', async () => {
    const { call } = await run(one('retries: { attempts: 5, retryOn: 5xx }'), replies(503), { random: () => 0 });
    expect((await call('http://reviews/')).ms).toBe(0);
  });

  it.each<readonly [statement: string, pool: string]>([
    ['maxRetries', 'connectionPool: { http: { maxRetries: 1 } }'],
    ['retryBudget', 'retryBudget: { percent: 1, minRetryConcurrency: 1 }'],
  ])('over %s the original answer is returned', async (_, pool) => {
    const yaml = document(
      WORLD,
      destinationRule('dr', `host: ratings\ntrafficPolicy: { ${pool} }`),
      rules('- { route: [{ destination: { host: ratings } }], retries: { attempts: 1, retryOn: 5xx, backoff: 10s } }'),
    );
    const { begin, call, clock, transport } = await run(yaml, replies(503));
    begin('http://reviews/');
    await clock.pass(0);
    const second = await call('http://reviews/');
    expect([second.status, second.ms, second.flags, transport.attempts.length]).toEqual([503, 0, 'UO', 2]);
  });

  it('a retryBudget stands in place of maxRetries', () => {
    const policyOf = cluster(
      modelOf(
        document(
          WORLD,
          destinationRule(
            'dr',
            'host: ratings\ntrafficPolicy: { retryBudget: { percent: 50, minRetryConcurrency: 2, budgetInterval: 1s } }',
          ),
        ),
      ),
      '80||ratings',
    );
    expect(policyOf.retryBudget).toEqual({ percent: 50, minConcurrency: 2, intervalMs: 1000 });
  });

  it('a retryBudget allows a share of the active calls', async () => {
    const yaml = document(
      WORLD,
      destinationRule('dr', 'host: ratings\ntrafficPolicy: { retryBudget: { percent: 20, minRetryConcurrency: 1 } }'),
      rules('- { route: [{ destination: { host: ratings } }], retries: { attempts: 1, retryOn: 5xx, backoff: 10s } }'),
    );
    const { begin, clock, transport, events } = await run(yaml, () => {});
    for (let count = 0; count < 40; count += 1) begin('http://reviews/');
    await clock.pass(0);
    // Retries wait in their pauses. Of 40 active calls, one fewer with each, a fifth may retry: the seventh would need 35.
    for (const attempt of [...transport.attempts].slice(0, 10)) {
      attempt.reply(503);
      await clock.pass(0);
    }
    expect(events.filter(({ type }) => type === 'call.retried')).toHaveLength(6);
  });
});

describe('timeouts', () => {
  const ending = async (rule: string, play: (attempt: ScriptedAttempt, running: Running) => void = () => {}) => {
    const holder: { running?: Running } = {};
    const running = await run(one(rule), (attempt) => play(attempt, holder.running!));
    holder.running = running;
    return { ...(await running.call('http://reviews/')), attempts: running.transport.attempts.length };
  };

  it('a call that takes too long: 504, flag UT, the words of Envoy', async () => {
    const ended = await ending('timeout: 1s');
    expect(ended).toMatchObject({ status: 504, flags: 'UT', ms: 1000, attempts: 1 });
    expect(ended.body).toMatch(/^upstream request timeout/);
  });

  it('covers all tries and the pauses between them', async () => {
    const ended = await ending('timeout: 1s, retries: { attempts: 100, retryOn: 5xx, backoff: 100ms }', (attempt, { clock }) => {
      clock.after(50, () => {
        if (!attempt.over) attempt.reply(503);
      });
    });
    expect(ended).toMatchObject({ status: 504, flags: 'UT', ms: 1000 });
    expect(ended.attempts).toBeGreaterThan(1);
  });

  it('a per-try timeout bounds each try; under 5xx it is retried', async () => {
    const ended = await ending('retries: { attempts: 2, perTryTimeout: 100ms, retryOn: 5xx, backoff: 1ms }');
    expect(ended).toMatchObject({ status: 504, flags: 'UT,URX', attempts: 3 });
  });

  it.each(['5xx', 'gateway-error', 'reset'])('a per-try timeout is retried under %s', async (word) => {
    expect((await ending(`retries: { attempts: 1, perTryTimeout: 100ms, retryOn: ${word} }`)).attempts).toBe(2);
  });

  it.each([
    '',
    ', retryOn: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"',
    ', retryOn: deadline-exceeded',
    ', retryOn: "504"',
    ', retryOn: reset-before-request',
  ])("with Istio's defaults and other words it is final%s", async (words) => {
    expect(await ending(`retries: { attempts: 3, perTryTimeout: 100ms${words} }`)).toMatchObject({
      status: 504,
      flags: 'UT',
      ms: 100,
      attempts: 1,
    });
  });

  it("the route's timeout itself is never retried", async () => {
    expect(await ending('timeout: 1s, retries: { attempts: 3, retryOn: "5xx,reset" }')).toMatchObject({ status: 504, attempts: 1 });
  });

  it('headers of the caller do not override the route', async () => {
    const { call, transport } = await run(one('retries: { attempts: 1, retryOn: 5xx }'), replies(503));
    await call({
      url: 'http://reviews/',
      headers: { 'x-envoy-max-retries': '9', 'x-envoy-retry-on': '5xx', 'x-envoy-upstream-rq-timeout-ms': '1' },
    });
    expect(transport.attempts).toHaveLength(2);
  });
});

describe('retries and priorities', () => {
  const zone = (name: string, count: number): string =>
    Array.from(
      { length: count },
      (_, index) => `{ address: 10.${name === 'a' ? 1 : 2}.0.${index + 1}, locality: eu/${name}, labels: { zone: ${name} } }`,
    ).join(', ');
  const yaml = (retries: string): string =>
    document(
      resource(
        'ServiceEntry',
        'far',
        `hosts: [far.example.com]\nresolution: STATIC\nlocation: MESH_INTERNAL\nports: [{ number: 80, name: http, protocol: HTTP }]\nendpoints: [${zone('a', 4)}, ${zone('b', 4)}]`,
      ),
      destinationRule('dr', 'host: far.example.com\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 0 } }'),
      `${'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: far }\nspec: { hosts: [far.example.com], http: [{ route: [{ destination: { host: far.example.com } }], retries: { attempts: 3, retryOn: 5xx, '}${retries} } }] }`,
    );
  const who = { locality: { region: 'eu', zone: 'a', subzone: '' } };
  const zones = async (retries: string): Promise<readonly string[]> => {
    const { call, transport } = await run(yaml(retries), replies(503), { who });
    await call('http://far.example.com/');
    return transport.addresses.map((address) => (address.startsWith('10.1.') ? 'a' : 'b'));
  };

  it('without retryRemoteLocalities retries stay in the first priority', async () => {
    expect(await zones('retryRemoteLocalities: false')).toEqual(['a', 'a', 'a', 'a']);
  });

  it('with it they move on after two that failed there', async () => {
    expect(await zones('retryRemoteLocalities: true')).toEqual(['a', 'a', 'b', 'b']);
  });
});

describe('TCP ports', () => {
  it('are not retried', () => {
    expect(ask(kube('db', { ports: ['tcp:5432'] }), 'http://db:5432/').retries).toBeNull();
  });
});
