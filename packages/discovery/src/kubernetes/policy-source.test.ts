import { type FakeClock, fakeClock } from '@inmesh/core/testing';
import type { SourceUpdate } from '@inmesh/policy/source';
import { beforeEach, expect, it } from 'vitest';
import { type Api, ApiError } from './api.ts';
import { clusterPolicy } from './policy-source.ts';

let clock: FakeClock;
/** What the cluster serves: plural → kind. All in networking.istio.io/v1. */
let served: Map<string, string>;
let objects: Map<string, readonly string[]>;
let failing: Map<string, ApiError>;
let released: number;
beforeEach(() => {
  clock = fakeClock();
  served = new Map([['virtualservices', 'VirtualService']]);
  objects = new Map();
  failing = new Map();
  released = 0;
});

const api: Api = {
  get: (path) => {
    const [place = ''] = path.split('?');
    const plural = place.split('/').at(-1)!;
    const failure = failing.get(plural);
    if (failure !== undefined) return Promise.reject(failure);
    if (place === '/apis') {
      const versions = [{ version: 'v1alpha3' }, { version: 'v1' }];
      return Promise.resolve({
        groups: [
          { name: 'networking.istio.io', versions },
          { name: 'foreign.io', versions },
        ],
      });
    }
    if (/^\/apis\/[^/]+\/[^/]+$/.test(place)) {
      const resources = [...served].flatMap(([name, kind]) => [
        { name, kind, namespaced: true, verbs: ['list', 'watch'] },
        { name: `${name}/status`, kind, namespaced: true, verbs: ['get'] },
      ]);
      return Promise.resolve({ resources });
    }
    if (!served.has(plural)) return Promise.reject(new ApiError(404, 'answered 404'));
    const specs: Readonly<Record<string, (name: string) => object>> = {
      virtualservices: (name) => ({ hosts: [name], http: [{ directResponse: { status: 200 } }] }),
      destinationrules: (host) => ({ host }),
    };
    const items = (objects.get(plural) ?? []).map((name) => ({
      metadata: { name, namespace: 'shop', resourceVersion: '1' },
      spec: specs[plural]!(name),
    }));
    return Promise.resolve({ items, metadata: { resourceVersion: '1' } });
  },
  watch: (_path, { onOpen, signal }) => {
    onOpen?.();
    return new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new ApiError(0, 'aborted'))));
  },
};

function follow() {
  const told: string[] = [];
  const write = (update: SourceUpdate): string => (update.ok ? update.texts.map(({ file }) => file).join(', ') : `failed ${update.reason}`);
  const tools = { api, clock, random: () => 0.5, release: () => (released += 1) };
  const watch = clusterPolicy('cluster', ['shop'], () => tools).watch((update) => told.push(write(update)));
  return { told, watch };
}

it('is the kinds of ours that the cluster serves', async () => {
  objects.set('virtualservices', ['b', 'a']);
  const { told, watch } = follow();
  await clock.pass(0);
  expect(told).toEqual(['VirtualService shop/a, VirtualService shop/b']);
  watch.close();
  await clock.pass(0);
  expect([clock.pending, released]).toEqual([0, 1]);
});

it('takes in a kind that is installed later, and lets go of one that is gone, once that was said twice', async () => {
  objects.set('virtualservices', ['a']);
  objects.set('destinationrules', ['d']);
  const { told } = follow();
  await clock.pass(0);
  served.set('destinationrules', 'DestinationRule');
  await clock.pass(310_000);
  expect(told.at(-1)).toBe('DestinationRule shop/d, VirtualService shop/a');
  served.delete('virtualservices');
  await clock.pass(300_000);
  expect(told.findLast((text) => !text.startsWith('failed'))).toContain('VirtualService shop/a');
  await clock.pass(310_000);
  expect(told.at(-1)).toBe('DestinationRule shop/d');
});

it('does not begin with a part of the policy, but goes on without a kind that comes later and cannot be read', async () => {
  objects.set('virtualservices', ['a']);
  failing.set('virtualservices', new ApiError(500, 'answered 500'));
  const { told } = follow();
  await clock.pass(0);
  expect(told).toEqual(['failed virtualservices of namespace shop: the API server answered 500']);
  failing.clear();
  await clock.pass(1000);
  expect(told.at(-1)).toBe('VirtualService shop/a');
  served.set('sidecars', 'Sidecar');
  failing.set('sidecars', new ApiError(500, 'answered 500'));
  await clock.pass(310_000);
  expect(told.at(-1)).toContain('failed sidecars');
  expect(told.filter((text) => text === '')).toEqual([]);
});

it('says that the kinds cannot be had, and tries again', async () => {
  failing.set('apis', new ApiError(503, 'answered 503'));
  const { told } = follow();
  await clock.pass(0);
  expect(told).toEqual(['failed kinds of the cluster: the API server answered 503']);
  failing.clear();
  objects.set('virtualservices', ['a']);
  await clock.pass(1000);
  expect(told.at(-1)).toBe('VirtualService shop/a');
});
