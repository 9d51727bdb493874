import { collectDefaultMetrics, register } from 'prom-client';
import { expect, it } from 'vitest';
import { textOf } from './exposition.ts';
import { runtimeMetrics } from './runtime.ts';

it('measures once in a process, however many ask', async () => {
  expect(await runtimeMetrics()).toBe(await runtimeMetrics());
});

it('shows garbage collections as the histogram they are', async () => {
  const runtime = await runtimeMetrics();
  const collections = async () => {
    Array.from({ length: 1e6 }, () => ({}));
    return (await runtime.families()).find(({ name }) => name === 'nodejs_gc_duration_seconds')!;
  };
  await expect.poll(async () => (await collections()).samples.length).toBeGreaterThan(0);
  const family = await collections();
  const [sample] = family.samples;
  if (sample === undefined || 'value' in sample) return expect.unreachable();
  expect(sample.bounds).toEqual([0.001, 0.01, 0.1, 1, 2, 5]);
  expect(sample.labels.record).toEqual({ kind: expect.stringMatching(/^(?:major|minor|incremental|weakcb)$/) });
  const count = Array.from(sample.counts).reduce((sum, one) => sum + one);
  expect(count).toBeGreaterThan(0);
  expect(sample.sum).toBeGreaterThan(0);
  expect(textOf([family])).toContain(`nodejs_gc_duration_seconds_bucket{${sample.labels.text},le="+Inf"} ${count}\n`);
});

it('leaves a program’s own use of prom-client alone, whoever comes first', async () => {
  await runtimeMetrics();
  expect(register.getMetricsAsArray()).toEqual([]);
  collectDefaultMetrics();
  expect(await register.metrics()).toContain('nodejs_version_info');
  register.clear();
});
