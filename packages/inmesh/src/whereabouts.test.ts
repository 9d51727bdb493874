import { type FakeClock, fakeClock } from '@inmesh/core/testing';
import type { Registry, Whereabouts } from '@inmesh/discovery';
import { beforeEach, expect, test } from 'vitest';
import { findWorkload } from './whereabouts.ts';

const EU = { region: 'eu', zone: 'a', subzone: '' };
const US = { region: 'us', zone: '', subzone: '' };
const HOSTNAME = 'laptop';

let clock: FakeClock;
let asked: number;
beforeEach(() => {
  clock = fakeClock();
  asked = 0;
});

const registry = (about: () => Promise<Whereabouts>): Pick<Registry, 'about'> => ({
  about: () => {
    asked += 1;
    return about();
  },
});
const says = (from: string, said: Omit<Whereabouts, 'from'>) => registry(() => Promise.resolve({ from, ...said }));
const find = (registries: readonly Pick<Registry, 'about'>[], env: Record<string, string> = {}, given = {}) =>
  findWorkload(given, registries, { around: { env, read: () => undefined, hostname: () => HOSTNAME }, clock });

test('what nobody else says of the place a registry says, field by field the first that knows it', async () => {
  const first = says('A', { node: '', locality: { region: '', zone: '', subzone: '' }, network: 'net-a' });
  const { workload, facts } = await find([
    {},
    first,
    says('B', { node: 'node-b', locality: EU, network: 'net-b' }),
    says('C', { node: 'c' }),
  ]);
  expect(workload).toMatchObject({ name: HOSTNAME, node: 'node-b', locality: EU, network: 'net-a' });
  expect(facts).toMatchObject({
    node: { value: 'node-b', from: 'B' },
    locality: { value: 'eu/a', from: 'B' },
    network: { value: 'net-a', from: 'A' },
  });
  expect(clock.pending).toBe(0);
});

test('it never overrules what the program or the environment says', async () => {
  const all = says('A', { node: 'a', locality: EU, network: 'a' });
  const { workload, facts } = await find([all], { INMESH_NODE: 'mine' }, { locality: US });
  expect(workload).toMatchObject({ node: 'mine', locality: US, network: 'a' });
  expect(facts).toMatchObject({ node: { from: 'INMESH_NODE' }, locality: { from: 'createMesh({ workload })' } });
  asked = 0;
  await find([all], { INMESH_NODE: 'mine', INMESH_NETWORK: 'mine', INMESH_LOCALITY: 'eu' });
  expect(asked).toBe(0);
});

test('one that fails, or is silent for a second, is as if it had not been asked', async () => {
  const refusing = registry(() => Promise.reject(new Error('answered 403')));
  const throwing = registry(() => {
    throw new Error('broken');
  });
  expect((await find([refusing, throwing])).facts['node']).toEqual({ value: '', from: 'nobody' });
  let done = false;
  const found = find([registry(() => new Promise(() => {})), says('B', { node: 'b' })]).then((self) => {
    done = true;
    return self;
  });
  await clock.pass(999);
  expect(done).toBe(false);
  await clock.pass(1);
  expect((await found).facts['node']).toEqual({ value: 'b', from: 'B' });
});
