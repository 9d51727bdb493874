import { expect, it } from 'vitest';
import { parseExposition } from './exposition.ts';
import { Rates } from './rates.ts';

const polled = (value: number, other = 0) => parseExposition(`istio_requests_total{a="1"} ${value}\n${other > 0 ? `istio_requests_total{a="2"} ${other}\n` : ''}`); // prettier-ignore
const valuesOf = (rates: Rates, windowMs: number) => rates.perSecond(windowMs).map(({ labels, value }) => [labels['a'], value]);

it('says nothing before the second poll', () => {
  const rates = new Rates(60_000);
  expect(rates.perSecond(10_000)).toEqual([]);
  rates.add(0, polled(1000));
  expect(rates.perSecond(10_000)).toEqual([]);
});

it('is what came in the window, per second', () => {
  const rates = new Rates(60_000);
  for (const [at, value] of [[0, 0], [2000, 100], [4000, 110], [6000, 120]] as const) rates.add(at, polled(value)); // prettier-ignore
  expect(valuesOf(rates, 4000)).toEqual([['1', 5]]);
  expect(valuesOf(rates, 60_000)).toEqual([['1', 20]]);
});

it('uses the latest two polls where the window is shorter than they are apart', () => {
  const rates = new Rates(60_000);
  rates.add(0, polled(0));
  rates.add(2000, polled(10));
  expect(valuesOf(rates, 500)).toEqual([['1', 5]]);
});

it('counts a series that began in between from nothing, and a process that began anew from its new beginning', () => {
  const rates = new Rates(60_000);
  rates.add(0, polled(500));
  rates.add(1000, polled(40, 7));
  expect(valuesOf(rates, 10_000)).toEqual([['1', 40], ['2', 7]]); // prettier-ignore
});

it('forgets polls older than it was told to keep', () => {
  const rates = new Rates(3000);
  for (const [at, value] of [[0, 0], [2000, 1000], [4000, 1010]] as const) rates.add(at, polled(value)); // prettier-ignore
  expect(valuesOf(rates, 60_000)).toEqual([['1', 5]]);
});
