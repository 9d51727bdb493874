import { expect, it } from 'vitest';
import { joinSources } from './join.ts';
import { memorySource } from './memory.ts';
import type { SourceUpdate } from './source.ts';

/** A policy and two registries, joined; nobody has spoken yet. Time passes by `pass`. */
function scene() {
  const sources = ['policy', 'kubernetes', 'consul'].map((name) => memorySource(undefined, name));
  const timers = new Set<() => void>();
  const pace = {
    random: () => 0,
    after: (_ms: number, callback: () => void) => {
      timers.add(callback);
      return { cancel: () => timers.delete(callback) };
    },
  };
  const told: string[] = [];
  const write = (update: SourceUpdate) => (update.ok ? update.texts.map(({ text }) => text).join(' ') : `failed ${update.reason}`);
  const [policy, ...others] = sources;
  const watch = joinSources(policy!, others, { pace }).watch((update) => told.push(write(update)));
  return {
    policy: policy!,
    kubernetes: sources[1]!,
    consul: sources[2]!,
    told,
    watch,
    timers,
    pass: () => timers.forEach((fire) => fire()),
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it('is the document of all, once all have spoken, and again when one changes', async () => {
  const { policy, kubernetes, consul, told, timers } = scene();
  await settled();
  policy.set('a');
  consul.set('c');
  expect(told).toEqual([]);
  kubernetes.set('b');
  kubernetes.set('b2');
  expect(told).toEqual(['a b c', 'a b2 c']);
  expect(timers.size).toBe(0);
});

it('lets what registries say give way to the policy', async () => {
  const sources = ['policy', 'kubernetes'].map((name) => memorySource(name, name));
  const yielding: (readonly [string, boolean | undefined])[] = [];
  joinSources(sources[0]!, [sources[1]!]).watch((update) => {
    if (update.ok) yielding.push(...update.texts.map(({ text, yields }) => [text, yields] as const));
  });
  await settled();
  expect(yielding).toEqual([
    ['policy', undefined],
    ['kubernetes', true],
  ]);
});

it('begins without a registry that is silent, or fails, for too long, and takes it in when it speaks', async () => {
  const { policy, kubernetes, consul, told, pass } = scene();
  await settled();
  policy.set('a');
  kubernetes.fail('403');
  expect(told).toEqual([]);
  pass();
  expect(told).toEqual(['a', 'failed 403']);
  kubernetes.set('b');
  consul.set('c');
  expect(told.slice(2)).toEqual(['a b', 'a b c']);
});

it('is nothing without the policy, whose failure is told at once', async () => {
  const { policy, kubernetes, consul, told, pass } = scene();
  await settled();
  kubernetes.set('b');
  policy.fail('404');
  consul.set('c');
  pass();
  expect(told).toEqual(['failed 404']);
  policy.set('a');
  expect(told.slice(1)).toEqual(['a b c']);
});

it('keeps what a failing one said, tells each failure once, and the document again when all is well', async () => {
  const { policy, kubernetes, consul, told } = scene();
  await settled();
  policy.set('a');
  kubernetes.set('b');
  consul.set('c');
  consul.fail('no leader');
  consul.fail('no leader');
  kubernetes.set('b2');
  kubernetes.fail('403');
  consul.set('c');
  kubernetes.set('b2');
  expect(told).toEqual(['a b c', 'failed no leader', 'a b2 c', 'failed no leader', 'failed 403; no leader', 'failed 403', 'a b2 c']);
});

it('says nothing after its end', async () => {
  const { policy, kubernetes, consul, told, watch, timers } = scene();
  await settled();
  policy.set('a');
  watch.close();
  kubernetes.set('b');
  consul.set('c');
  expect([told, timers.size]).toEqual([[], 0]);
});

it('of a policy alone is the policy', () => {
  const policy = memorySource('a');
  expect(joinSources(policy, [])).toBe(policy);
});
