import { describe, expect, it } from 'vitest';
import { MeshError } from '@inmesh/core';
import { ask, destinationRule, document, rules, run, short, WORLD } from './world.ts';

/** VirtualService fault (Envoy's fault filter) and mirrors (Envoy's request_mirror_policies). */

const to = 'route: [{ destination: { host: reviews, subset: v1 } }]';
const one = (rule: string, more = ''): string => document(WORLD, rules(`- { ${to}, ${rule} }`), more);
const ABORT = (percent: string, what = 'httpStatus: 418'): string =>
  `fault: { abort: { ${what}${percent === '' ? '' : `, percentage: { value: ${percent} }`} } }`;
const DELAY = (percent: string): string =>
  `fault: { delay: { fixedDelay: 5s${percent === '' ? '' : `, percentage: { value: ${percent} }`} } }`;

/** The share of calls that end with this status, of `calls`. */
async function shareOf(yaml: string, status: number, calls = 4000): Promise<number> {
  const { call } = await run(yaml);
  let hits = 0;
  for (let count = 0; count < calls; count += 1) if ((await call('http://reviews/', 6000)).status === status) hits += 1;
  return hits / calls;
}

describe('fault: abort', () => {
  it('answers with the status, the body of Envoy, flag FI; nothing is sent', async () => {
    const { call, transport } = await run(one(ABORT('100')));
    expect(await call('http://reviews/')).toMatchObject({ status: 418, body: 'fault filter abort', flags: 'FI' });
    expect(transport.attempts).toHaveLength(0);
  });

  it('grpcStatus: HTTP 200 and the status in the headers', async () => {
    const { call } = await run(one(ABORT('100', 'grpcStatus: UNAVAILABLE')));
    const ended = await call('http://reviews/');
    expect([ended.status, ended.grpcStatus, ended.header('grpc-status'), ended.flags]).toEqual([200, 14, '14', 'FI']);
  });

  it.each([
    ['an absent percentage is 0', '', 0],
    ['0', '0', 0],
    ['100', '100', 1],
    ['30', '30', 0.3],
  ])('%s', async (_, percent, share) => {
    expect(await shareOf(one(ABORT(percent)), 418)).toBeCloseTo(share, 1);
  });

  it('in steps of a ten-thousandth of a percent', () => {
    expect(ask(one(ABORT('0.0001')), '/').fault?.abort?.percent).toBe(0.0001);
  });

  it('is not retried by the retries of its route', async () => {
    const { call, transport } = await run(one(`${ABORT('100', 'httpStatus: 503')}, retries: { attempts: 3, retryOn: 5xx }`));
    expect(await call('http://reviews/')).toMatchObject({ status: 503, ms: 0, flags: 'FI' });
    expect(transport.attempts).toHaveLength(0);
  });
});

describe('fault: delay', () => {
  it('holds the call back, flag DI', async () => {
    const { call } = await run(one(DELAY('100')));
    expect(await call('http://reviews/')).toMatchObject({ status: 200, ms: 5000, flags: 'DI' });
  });

  it('is not cut by the timeout of its route', async () => {
    const { call } = await run(one(`${DELAY('100')}, timeout: 1s`));
    expect(await call('http://reviews/')).toMatchObject({ status: 200, ms: 5000 });
  });

  it('and the timeout begins behind it', async () => {
    const { call } = await run(one(`${DELAY('100')}, timeout: 1s`), () => {});
    expect(await call('http://reviews/')).toMatchObject({ status: 504, ms: 6000, flags: 'UT,DI' });
  });

  it('an absent percentage is 0', async () => {
    const { call } = await run(one(DELAY('')));
    expect(await call('http://reviews/')).toMatchObject({ status: 200, ms: 0, flags: '-' });
  });

  it('the deprecated whole percent', () => {
    expect(ask(one('fault: { delay: { fixedDelay: 1s, percent: 25 } }'), '/').fault?.delay).toEqual({ ms: 1000, percent: 25 });
  });
});

describe('fault: both', () => {
  it('first the delay, then the abort', async () => {
    const { call } = await run(
      one('fault: { delay: { fixedDelay: 5s, percentage: { value: 100 } }, abort: { httpStatus: 500, percentage: { value: 100 } } }'),
    );
    expect(await call('http://reviews/')).toMatchObject({ status: 500, ms: 5000, flags: 'DI,FI' });
  });

  it('are drawn apart', async () => {
    const { call } = await run(
      one('fault: { delay: { fixedDelay: 1s, percentage: { value: 50 } }, abort: { httpStatus: 500, percentage: { value: 50 } } }'),
    );
    const seen = new Map<string, number>();
    for (let count = 0; count < 1200; count += 1) {
      const { flags } = await call('http://reviews/', 2000);
      seen.set(flags, (seen.get(flags) ?? 0) + 1);
    }
    for (const flags of ['-', 'DI', 'FI', 'DI,FI']) expect((seen.get(flags) ?? 0) / 1200).toBeCloseTo(0.25, 1);
  });

  it('headers of the caller cannot ask for faults', async () => {
    const { call } = await run(one(ABORT('0')));
    expect(
      await call({ url: 'http://reviews/', headers: { 'x-envoy-fault-abort-request': '503', 'x-envoy-fault-delay-request': '9000' } }),
    ).toMatchObject({ status: 200, ms: 0 });
  });
});

describe('mirrors', () => {
  const mirrorsOf = (rule: string) => ask(one(rule), '/').mirrors.map(({ cluster, percent }) => [short(cluster), percent]);
  it.each<readonly [statement: string, rule: string, expected: readonly unknown[]]>([
    ['an absent percentage is 100', 'mirror: { host: ratings }', [['80||ratings', 100]]],
    ['mirrorPercentage', 'mirror: { host: ratings }, mirrorPercentage: { value: 12.5 }', [['80||ratings', 12.5]]],
    ['the deprecated mirrorPercent', 'mirror: { host: ratings }, mirrorPercent: 40', [['80||ratings', 40]]],
    [
      'mirrorPercentage before the deprecated one',
      'mirror: { host: ratings }, mirrorPercent: 40, mirrorPercentage: { value: 10 }',
      [['80||ratings', 10]],
    ],
    ['0: none', 'mirror: { host: ratings }, mirrorPercentage: { value: 0 }', []],
    [
      'mirrors',
      'mirrors: [{ destination: { host: ratings } }, { destination: { host: multi, port: { number: 81 } }, percentage: { value: 5 } }]',
      [
        ['80||ratings', 100],
        ['81||multi', 5],
      ],
    ],
    ['mirrors: 0', 'mirrors: [{ destination: { host: ratings }, percentage: { value: 0 } }]', []],
    ['to a subset', 'mirror: { host: reviews, subset: v3 }', [['80|v3|reviews', 100]]],
    ['to nobody: none', 'mirror: { host: nobody }', []],
  ])('%s', (_, rule, expected) => {
    expect(mirrorsOf(rule)).toEqual(expected);
  });

  it("copies are sent, and the answer is the original's", async () => {
    const { call, shadows, transport } = await run(one('mirror: { host: ratings }'));
    const ended = await call('http://reviews/');
    expect([ended.address, transport.addresses, shadows.addresses]).toEqual(['10.0.1.1:80', ['10.0.1.1:80'], ['10.0.2.1:80']]);
  });

  it('a share of them', async () => {
    const { call, shadows } = await run(one('mirror: { host: ratings }, mirrorPercentage: { value: 25 }'));
    for (let count = 0; count < 2000; count += 1) await call('http://reviews/', 0);
    expect(shadows.attempts.length / 2000).toBeCloseTo(0.25, 1);
  });

  it('header changes and rewrites apply to the copy as to the original', async () => {
    const { call, shadows } = await run(
      one(
        'mirror: { host: ratings }, headers: { request: { set: { x: "1" } } }, rewrite: { uri: /new, authority: other }, match: [{ uri: { exact: /old } }]',
      ),
    );
    await call('http://reviews/old');
    expect(shadows.latest.exchange.edits).toMatchObject({
      path: '/new',
      authority: 'other',
      request: [{ op: 'set', name: 'x', value: '1' }],
    });
  });

  it('a retry is not copied again', async () => {
    const { call, shadows, transport } = await run(one('mirror: { host: ratings }, retries: { attempts: 2, retryOn: 5xx }'), (attempt) =>
      attempt.reply(503),
    );
    await call('http://reviews/');
    expect([transport.attempts.length, shadows.attempts.length]).toEqual([3, 1]);
  });

  it("its failure is nobody's, but counts in the outlier detection of the mirror", async () => {
    const yaml = one(
      'mirror: { host: ratings }',
      destinationRule('dr', 'host: ratings\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 2, maxEjectionPercent: 100 } }'),
    );
    const { call, shadows, events } = await run(yaml, undefined, {}, (attempt) => attempt.fail(new MeshError('CONNECT_FAILED', 'refused')));
    for (let count = 0; count < 3; count += 1) expect(await call('http://reviews/')).toMatchObject({ status: 200, flags: '-' });
    expect(events.filter(({ type }) => type === 'endpoint.ejected')).toHaveLength(1);
    expect(shadows.attempts).toHaveLength(2);
  });

  it('no copy where the original has no cluster', async () => {
    const yaml = document(WORLD, rules('- { route: [{ destination: { host: nobody } }], mirror: { host: ratings } }'));
    const { call, shadows } = await run(yaml);
    expect(await call('http://reviews/')).toMatchObject({ status: 503, flags: 'NC' });
    expect(shadows.attempts).toHaveLength(0);
  });
});
