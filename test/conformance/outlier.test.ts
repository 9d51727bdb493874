import { type Code, MeshError } from '@inmesh/core';
import { describe, expect, it } from 'vitest';
import { cluster, destinationRule, document, kube, meshConfig, modelOf, run, type Running } from './world.ts';

/** DestinationRule outlierDetection as Envoy's source/common/upstream/outlier_detection_impl.cc carries it out. */

const url = 'http://x/';
const NO_RETRIES = 'defaultHttpRetryPolicy: { attempts: 0 }';
/** Answer of every attempt on the first endpoint: a status, or a failure. The others are well. */
type Bad = number | Code;

/** The service x of `size` endpoints, of which the first plays `script`, one entry per attempt, then 200. */
async function detecting(
  outlier: string,
  script: readonly Bad[],
  { size = 2, mesh = '', more = '' }: { size?: number; mesh?: string; more?: string } = {},
): Promise<Running & { readonly bad: () => number }> {
  const left = [...script];
  let bad = 0;
  const yaml = document(
    kube('x', { versions: Array.from({ length: size }, () => 'v1'), net: 5 }),
    destinationRule(
      'x',
      `host: x\ntrafficPolicy: { outlierDetection: ${outlier}, loadBalancer: { simple: ROUND_ROBIN }${more === '' ? '' : `, ${more}`} }`,
    ),
    meshConfig(`${NO_RETRIES}\n${mesh}`),
  );
  const running = await run(yaml, (attempt) => {
    if (attempt.address !== '10.0.5.1:80') return attempt.reply(200);
    bad += 1;
    const next = left.shift() ?? 200;
    if (typeof next === 'number') attempt.reply(next);
    else attempt.fail(new MeshError(next, next));
  });
  return { ...running, bad: () => bad };
}

const times = <Item>(count: number, item: Item): readonly Item[] => Array.from({ length: count }, () => item);
const ejected = ({ events }: Running): readonly string[] =>
  events.flatMap((event) => (event.type === 'endpoint.ejected' ? [event.address] : []));
/** Attempts on the first endpoint until it is ejected; undefined if it is not within 60 calls. */
async function until(running: Running & { readonly bad: () => number }): Promise<number | undefined> {
  for (let count = 0; count < 60; count += 1) {
    await running.call(url, 0);
    if (ejected(running).length > 0) return running.bad();
  }
  return undefined;
}

describe('when an endpoint is ejected', () => {
  it.each<readonly [statement: string, outlier: string, script: readonly Bad[], after: number | undefined]>([
    ['after five 5xx by default', '{ interval: 10s }', times(9, 500), 5],
    ['an empty block is the default', '{}', times(9, 500), 5],
    ['consecutive5xxErrors', '{ consecutive5xxErrors: 2 }', times(9, 500), 2],
    ['0 switches it off', '{ consecutive5xxErrors: 0 }', times(30, 500), undefined],
    ['any success starts anew', '{ consecutive5xxErrors: 3 }', [500, 500, 200, 500, 500, 200, 500, 500, 500], 9],
    ['a 4xx is a success', '{ consecutive5xxErrors: 3 }', [500, 500, 404, 500, 500, 500], 6],
    ['consecutiveGatewayErrors: 502, 503, 504', '{ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3 }', [502, 503, 504], 3],
    ['off by default', '{ consecutive5xxErrors: 0 }', times(30, 503), undefined],
    ['500 is no gateway error', '{ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3 }', times(30, 500), undefined],
    [
      'a 5xx that is none starts the gateway count anew',
      '{ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3 }',
      [503, 503, 500, 503, 503, 503],
      6,
    ],
    ['but not the count of 5xx', '{ consecutive5xxErrors: 4, consecutiveGatewayErrors: 3 }', [503, 503, 500, 503], 4],
    ['5xx detection is on beside gateway errors', '{ consecutiveGatewayErrors: 20 }', times(9, 500), 5],

    ['failures on the way count as 5xx: connect', '{ consecutive5xxErrors: 3 }', times(9, 'CONNECT_FAILED'), 3],
    ['reset', '{ consecutive5xxErrors: 3 }', times(9, 'RESET'), 3],
    ['timeout', '{ consecutive5xxErrors: 3 }', times(9, 'ATTEMPT_TIMEOUT'), 3],
    [
      'a connect failure is a gateway error: 503',
      '{ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3 }',
      times(9, 'CONNECT_FAILED'),
      3,
    ],
    ['a timeout is a gateway error: 504', '{ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3 }', times(9, 'ATTEMPT_TIMEOUT'), 3],

    ['with split they are counted apart, five by default', '{ splitExternalLocalOriginErrors: true }', times(9, 'CONNECT_FAILED'), 5],
    [
      'consecutiveLocalOriginFailures',
      '{ splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2 }',
      times(9, 'CONNECT_FAILED'),
      2,
    ],
    [
      'with split 5xx do not count as failures on the way',
      '{ splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, consecutive5xxErrors: 0 }',
      times(30, 500),
      undefined,
    ],
    [
      'with split failures on the way do not count as 5xx',
      '{ splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 20, consecutive5xxErrors: 2 }',
      times(9, 'CONNECT_FAILED'),
      undefined,
    ],
    [
      'with split an answer, even a bad one, starts the count on the way anew',
      '{ splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, consecutive5xxErrors: 0 }',
      ['RESET', 500, 'RESET', 500, 'RESET', 'RESET'],
      6,
    ],

    ['listed codes replace 5xx', '{ consecutive5xxErrors: 2, outlierDetectionHttpErrorCodes: [404, 429] }', [404, 429], 2],
    ['and only they count', '{ consecutive5xxErrors: 2, outlierDetectionHttpErrorCodes: [404] }', times(30, 500), undefined],
  ])('%s', async (_, outlier, script, after) => {
    expect(await until(await detecting(outlier, script))).toBe(after);
  });

  it('without a block nothing is ever ejected', async () => {
    const { call, events } = await run(document(kube('x', { versions: ['v1', 'v1'], net: 5 }), meshConfig(NO_RETRIES)), (attempt) =>
      attempt.reply(500),
    );
    for (let count = 0; count < 50; count += 1) await call(url, 0);
    expect(events.filter(({ type }) => type === 'endpoint.ejected')).toHaveLength(0);
  });

  it('at once, not at the sweep: the very next call goes elsewhere', async () => {
    const running = await detecting('{ consecutive5xxErrors: 1, interval: 300s }', times(9, 500));
    for (let count = 0; count < 20; count += 1) await running.call(url, 0);
    expect(running.bad()).toBe(1);
  });

  it('the local refusals of a limit teach nothing', async () => {
    const running = await detecting('{ consecutive5xxErrors: 1 }', [], { more: 'connectionPool: { http: { http2MaxRequests: 1 } }' });
    const held = await run(
      document(
        kube('x', { net: 5 }),
        destinationRule(
          'x',
          'host: x\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 1 }, connectionPool: { http: { http2MaxRequests: 1 } } }',
        ),
      ),
      () => {},
    );
    held.begin(url);
    for (let count = 0; count < 5; count += 1) expect((await held.call(url)).flags).toBe('UO');
    expect([ejected(held), ejected(running)]).toEqual([[], []]);
  });

  it('a gRPC failure in the headers counts as the status it stands for', async () => {
    const running = await run(
      document(
        kube('x', { versions: ['v1', 'v1'], net: 5 }),
        destinationRule(
          'x',
          'host: x\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 2 }, loadBalancer: { simple: ROUND_ROBIN } }',
        ),
        meshConfig(NO_RETRIES),
      ),
      (attempt) => (attempt.address === '10.0.5.1:80' ? attempt.reply(200, { grpcStatus: 14 }) : attempt.reply(200, { grpcStatus: 0 })),
    );
    for (let count = 0; count < 10; count += 1) await running.call({ url, protocol: 'grpc' }, 0);
    expect(ejected(running)).toEqual(['10.0.5.1:80']);
  });
});

describe('how long', () => {
  /** Seconds until the ejected endpoint is called again. */
  async function away(outlier: string, rounds = 1): Promise<readonly number[]> {
    const script: Bad[] = [];
    for (let round = 0; round < rounds; round += 1) script.push(500);
    const running = await detecting(outlier, script);
    const lengths: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      while (ejected(running).length <= round) await running.call(url, 0);
      const began = running.clock.now();
      const before = running.bad();
      while (running.bad() === before) {
        await running.clock.pass(1000);
        await running.call(url, 0);
        await running.call(url, 0);
        if (running.clock.now() - began > 1_000_000) throw new Error('it never came back');
      }
      lengths.push((running.clock.now() - began) / 1000);
    }
    return lengths;
  }

  it.each<readonly [statement: string, outlier: string, seconds: number]>([
    ['30 s by default', '{ consecutive5xxErrors: 1 }', 30],
    ['baseEjectionTime', '{ consecutive5xxErrors: 1, baseEjectionTime: 60s }', 60],
    ['rounded up to the sweep', '{ consecutive5xxErrors: 1, baseEjectionTime: 25s, interval: 10s }', 30],
    ['interval', '{ consecutive5xxErrors: 1, baseEjectionTime: 25s, interval: 25s }', 25],
  ])('%s', async (_, outlier, seconds) => {
    expect(await away(outlier)).toEqual([seconds]);
  });

  it('the next time in short order takes as many times as long', async () => {
    // Sweeps are rare, so that good standing in between does not lower the multiplier.
    expect(await away('{ consecutive5xxErrors: 1, baseEjectionTime: 30s, interval: 30s }', 3)).toEqual([30, 60, 90]);
  });

  it('at most 300 s', async () => {
    expect((await away('{ consecutive5xxErrors: 1, baseEjectionTime: 100s, interval: 100s }', 5)).slice(2)).toEqual([300, 300, 300]);
  });

  it('or the base if that is longer', async () => {
    expect(await away('{ consecutive5xxErrors: 1, baseEjectionTime: 400s, interval: 100s }', 2)).toEqual([400, 400]);
  });

  it('sweeps in good standing lower the multiplier by one each', async () => {
    const running = await detecting('{ consecutive5xxErrors: 1, baseEjectionTime: 30s, interval: 10s }', [500, 200, 500]);
    while (ejected(running).length < 1) await running.call(url, 0);
    await running.clock.pass(30_000);
    // Back at the sweep; the sweep after it finds nothing amiss.
    await running.clock.pass(10_000);
    while (ejected(running).length < 2) await running.call(url, 0);
    const lengths = running.events.flatMap((event) => (event.type === 'endpoint.ejected' ? [event.ms] : []));
    expect(lengths).toEqual([30_000, 30_000]);
  });

  it('there is no half-open probe: it keeps receiving nothing', async () => {
    const running = await detecting('{ consecutive5xxErrors: 1 }', times(99, 500));
    while (ejected(running).length < 1) await running.call(url, 0);
    const before = running.bad();
    for (let count = 0; count < 100; count += 1) {
      await running.clock.pass(250);
      await running.call(url, 0);
    }
    expect(running.bad()).toBe(before);
  });
});

describe('how many', () => {
  /** Endpoints ejected when all answer 500. */
  async function gone(size: number, outlier: string, mesh = ''): Promise<number> {
    const yaml = document(
      kube('x', { versions: times(size, 'v1'), net: 5 }),
      destinationRule(
        'x',
        `host: x\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 1, ${outlier} }, loadBalancer: { simple: ROUND_ROBIN } }`,
      ),
      meshConfig(`${NO_RETRIES}\n${mesh}`),
    );
    const running = await run(yaml, (attempt) => attempt.reply(500));
    for (let count = 0; count < size * 3; count += 1) await running.call(url, 0);
    return ejected(running).length;
  }
  const STRICT = 'alwaysEjectOne: false';

  it.each<readonly [statement: string, size: number, outlier: string, mesh: string, expected: number]>([
    ['(ejected + 1) / hosts ≤ maxEjectionPercent, 10 by default', 20, '', STRICT, 2],
    ['of ten, one', 10, '', STRICT, 1],
    ['of fewer than ten, none', 9, '', STRICT, 0],
    ['but here one of at least two may always go', 9, '', '', 1],
    ['of two as well', 2, '', '', 1],
    ['the only one never', 1, '', '', 0],
    ['no more than one that way', 5, '', '', 1],
    ['maxEjectionPercent 50', 4, 'maxEjectionPercent: 50', STRICT, 2],
    ['rounded down', 5, 'maxEjectionPercent: 50', STRICT, 2],
    ['maxEjectionPercent 100', 3, 'maxEjectionPercent: 100', STRICT, 3],
    ['even the only one', 1, 'maxEjectionPercent: 100', STRICT, 1],
  ])('%s', async (_, size, outlier, mesh, expected) => {
    expect(await gone(size, outlier, mesh)).toBe(expected);
  });

  it('all ejected, and panic off: 503 UH', async () => {
    const yaml = document(
      kube('x', { versions: ['v1', 'v1'], net: 5 }),
      destinationRule('x', 'host: x\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 1, maxEjectionPercent: 100 } }'),
      meshConfig(NO_RETRIES),
    );
    const { call, events } = await run(yaml, (attempt) => attempt.reply(500));
    for (let count = 0; count < 20; count += 1) await call(url, 0);
    expect(events.filter(({ type }) => type === 'endpoint.ejected')).toHaveLength(2);
    expect(await call(url)).toMatchObject({ status: 503, flags: 'UH' });
  });

  it('below minHealthPercent all are called again', async () => {
    const yaml = document(
      kube('x', { versions: ['v1', 'v1'], net: 5 }),
      destinationRule(
        'x',
        'host: x\ntrafficPolicy: { outlierDetection: { consecutive5xxErrors: 1, maxEjectionPercent: 100, minHealthPercent: 60 } }',
      ),
      meshConfig(NO_RETRIES),
    );
    const { call } = await run(yaml, (attempt) => attempt.reply(500));
    for (let count = 0; count < 20; count += 1) expect(await call(url, 0)).toMatchObject({ status: 500, flags: '-' });
  });
});

describe('defaults and zeros', () => {
  const outlier = (fields: string) =>
    cluster(modelOf(document(kube('x'), destinationRule('x', `host: x\ntrafficPolicy: { outlierDetection: ${fields} }`))), '80||x').outlier;

  it('5 / off / 10 s / 30 s / 10 %', () => {
    expect(outlier('{}')).toEqual({
      consecutive5xx: 5,
      consecutiveGateway: 0,
      splitLocalOrigin: false,
      consecutiveLocalOrigin: 5,
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionPercent: 10,
      alwaysEjectOne: true,
      statusCodes: null,
    });
  });

  it('maxEjectionPercent 0 cannot be told from unset', () => {
    expect(outlier('{ maxEjectionPercent: 0 }')?.maxEjectionPercent).toBe(10);
  });

  it('the deprecated consecutiveErrors has no effect', () => {
    expect(outlier('{ consecutiveErrors: 1 }')).toEqual(outlier('{}'));
  });
});
