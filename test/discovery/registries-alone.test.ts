import { memorySource } from '@inmesh/policy/source';
import { createMesh } from 'inmesh';
import { afterEach, expect, it, vi } from 'vitest';
import { serviceEntry } from '../support/mesh.ts';
import { endpointAt, testRegistry } from '../support/test-registry.ts';
import { say, upstream } from '../support/upstream.ts';

afterEach(() => vi.unstubAllEnvs());

const HOST = 'reviews.shop.internal';

it('registries are enough: without a policy every service they know is called as Istio’s defaults have it', async () => {
  await using one = await upstream(say('one'));
  const services = memorySource(serviceEntry(HOST, []), 'catalog');
  const registry = { ...testRegistry('platform', HOST), services };
  registry.say(endpointAt(one.port));
  const mesh = await createMesh({ registries: [registry], identity: false });
  expect(await (await mesh.fetch(`http://${HOST}/`)).text()).toBe('one');
  expect(mesh.explain({ url: `http://${HOST}/` })).toMatchObject({ resource: null, retries: { attempts: 2 } });
  expect(mesh.status()).toMatchObject({ source: { name: 'no policy' }, registries: [{ name: 'platform', trouble: '' }] });
  await mesh.close();
});

it('with neither there is nothing to go by, and it says what to do', async () => {
  vi.stubEnv('INMESH_POLICY', '');
  vi.stubEnv('INMESH_REGISTRIES', '');
  await expect(createMesh()).rejects.toThrow('createMesh needs a policy, or registries to follow');
  await expect(createMesh({ registries: [] })).rejects.toMatchObject({ code: 'MISUSE' });
});
