import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from './nearest.ts';
import * as v from 'valibot';
import {
  duration,
  isDnsName,
  isIp,
  isIpOrCidr,
  isWildcardHost,
  labelKeyFault,
  longDuration,
  parseDuration,
  regexFault,
} from './scalars.ts';

describe('durations', () => {
  it.each([
    ['1h2m3.5s', 3_723_500],
    ['100ms', 100],
    ['.5s', 500],
    ['1.5h', 5_400_000],
    ['0', 0],
    ['0s', 0],
    ['250us', 0.25],
    ['250µs', 0.25],
    ['1ns', 0.000001],
    ['-1s', -1000],
    ['0.1s0.2s', 300],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '5', 's', '1 s', '1d', '1s ', '1e3s', '--1s', '1.2.3s', '1S', 'infinity', '1'.repeat(70) + 's'])('%j is none', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );

  it.each([
    ['30d', 2_592_000_000],
    ['4w', 2_419_200_000],
    ['1w1d1h1m1s', 694_861_000],
    ['1.5d', 129_600_000],
    ['500ms', 500],
  ])('%s is %d ms where days and weeks are units', (text, ms) => {
    expect(v.parse(longDuration, text)).toBe(ms);
  });

  it.each(['1D', '1 d', 'd', '-1d', '1y', '1mo'])('%j is none there either', (text) => expect(v.is(longDuration, text)).toBe(false));

  it('of Istio know no days', () => expect(v.is(duration, '1d')).toBe(false));

  it('adds up whatever its parts', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.nat(1000), (h, s, ms) => {
        expect(parseDuration(`${h}h${s}s${ms}ms`)).toBe(h * 3_600_000 + s * 1000 + ms);
      }),
    );
  });
});

describe('addresses and names', () => {
  it.each(['10.0.0.1', '255.255.255.255', '::', '::1', 'fd00::1', '1:2:3:4:5:6:7:8', '::ffff:10.0.0.1'])('%s is an address', (text) =>
    expect(isIp(text)).toBe(true),
  );
  it.each([
    '10.0.0',
    '10.0.0.256',
    '10.0.0.1.',
    '1.2.3.4.5',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    'g::1',
    '1:2:3:4:5:6:7',
    'a.b',
    '',
  ])('%s is none', (text) => expect(isIp(text)).toBe(false));
  it.each([
    ['10.0.0.0/8', true],
    ['::/0', true],
    ['10.0.0.0/33', false],
    ['fd00::/129', false],
    ['10.0.0.0/', false],
    ['a/8', false],
  ])('%s as a range: %s', (text, expected) => expect(isIpOrCidr(text)).toBe(expected));
  it.each([
    ['reviews', true],
    ['*.example.com', true],
    ['*', true],
    ['my_service.a', true],
    ['a.b.', true],
    ['a..b', false],
    ['*a.b', false],
    ['a.*.b', false],
    ['-a', false],
    ['', false],
    ['x'.repeat(64), false],
  ])('%s as a host: %s', (text, expected) => expect(isWildcardHost(text)).toBe(expected));
  it('knows DNS names and label names', () => {
    expect([isDnsName('a.b-c'), isDnsName('A'), isDnsName('a_b'), isDnsName('x'.repeat(63)), isDnsName(`${'x.'.repeat(127)}x`)]).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
    expect([labelKeyFault('app.kubernetes.io/name'), labelKeyFault('a_b.C-d')]).toEqual([undefined, undefined]);
    expect(
      [labelKeyFault(''), labelKeyFault('/a'), labelKeyFault('A/b'), labelKeyFault('a/b/c')].every((fault) => fault !== undefined),
    ).toBe(true);
  });
});

describe('regular expressions', () => {
  it.each(['a+', '(?i)abc', '\\pL+', '[[:alpha:]]', '(?P<n>a)', '^/v[0-9]+$'])('%s is RE2', (text) =>
    expect(regexFault(text)).toBeUndefined(),
  );
  it.each(['(?=a)', '(?!a)', '(?<=a)', '(?<!a)', '(a)\\1', '(', '[z-a]', '*', 'a{2000}', 'a++'])('%s is not', (text) =>
    expect(regexFault(text)).toMatch(/RE2/),
  );
  it('says what is wrong and what to do', () =>
    expect(regexFault('x(?=a)')).toMatch(/^"x\(\?=a\)" is not an RE2 expression: .*\n.*look-ahead/));
});

describe('nearest', () => {
  const words = ['route', 'redirect', 'rewrite', 'retries', 'timeout', 'perTryTimeout', 'port', 'http'];
  it.each([
    ['rout', 'route'],
    ['routes', 'route'],
    ['redirct', 'redirect'],
    ['timeuot', 'timeout'],
    ['per_try_timeout', 'perTryTimeout'],
    ['HTTP', 'http'],
    ['retires', 'retries'],
    ['completelyElse', undefined],
    ['x', undefined],
    ['', undefined],
  ])('%s → %s', (input, expected) => expect(nearest(input, words)).toBe(expected));
});
