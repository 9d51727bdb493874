import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Mesh } from 'inmesh';
import { KubeShop, pod, service, slice, Traffic } from '../support/kube-shop.ts';
import { kubectl, kubectlHere } from '../support/kubectl.ts';

const here = kubectlHere();
if (here !== true && process.env['CI'] === 'true') throw new Error(here);

const URL = 'http://reviews/';

// Flagger and Argo Rollouts do to these resources what is done here by hand.
describe.skipIf(here !== true)(`a canary driven from outside${here === true ? '' : ` (skipped: ${here})`}`, () => {
  let shop: KubeShop;
  let mesh: Mesh;
  const run = (...args: string[]) => kubectl(shop.kubeconfig, args);
  const share = async (of: string, calls = 200): Promise<number> => {
    let count = 0;
    for (let call = 0; call < calls; call += 1) if ((await mesh.request(URL)).text() === of) count += 1;
    return Math.round((100 * count) / calls);
  };

  beforeEach(async () => {
    shop = await KubeShop.open();
    const [stable, canary] = [await shop.pod('stable'), await shop.pod('canary')];
    shop.apply(
      service('reviews'),
      slice('reviews-1', 'reviews', stable, [{ pod: 'reviews-1' }]),
      slice('reviews-2', 'reviews', canary, [{ pod: 'reviews-2' }]),
      pod('reviews-1', { app: 'reviews', 'pod-template-hash': 'aaa' }),
      pod('reviews-2', { app: 'reviews', 'pod-template-hash': 'bbb' }),
    );
    await kubectl(
      shop.kubeconfig,
      ['apply', '-f', '-'],
      `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: stable, labels: { pod-template-hash: aaa } }, { name: canary, labels: { pod-template-hash: bbb } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
  - route:
    - { destination: { host: reviews, subset: stable }, weight: 100 }
    - { destination: { host: reviews, subset: canary }, weight: 0 }
`,
    );
    mesh = await shop.mesh();
  });
  afterEach(() => shop[Symbol.asyncDispose]());

  it('shifts weights, promotes, and rolls back, while no call fails', async () => {
    expect(await share('canary')).toBe(0);
    const traffic = new Traffic(mesh, URL);
    const weigh = (canary: number) =>
      run(
        'patch', 'virtualservice', 'reviews', '--type=json', '-p',
        JSON.stringify([
          { op: 'replace', path: '/spec/http/0/route/0/weight', value: 100 - canary },
          { op: 'replace', path: '/spec/http/0/route/1/weight', value: canary },
        ]),
      ); // prettier-ignore
    await weigh(50);
    await expect.poll(() => share('canary', 40)).toBeGreaterThan(10);
    expect(await share('canary')).toBeLessThan(75);
    await weigh(100);
    await expect.poll(() => share('canary', 40)).toBe(100);
    // Argo Rollouts moves the labels of the subsets when a version is stable.
    await run('patch', 'destinationrule', 'reviews', '--type=json', '-p', '[{"op":"replace","path":"/spec/subsets/0/labels/pod-template-hash","value":"bbb"}]'); // prettier-ignore
    await weigh(0);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(await share('canary', 40)).toBe(100);
    await run('patch', 'destinationrule', 'reviews', '--type=json', '-p', '[{"op":"replace","path":"/spec/subsets/0/labels/pod-template-hash","value":"aaa"}]'); // prettier-ignore
    await expect.poll(() => share('stable', 40)).toBe(100);
    expect((await traffic.stop()).failures).toEqual([]);
  });

  it('scales out and in, as endpoints are patched and deleted', async () => {
    const traffic = new Traffic(mesh, URL);
    await run('delete', 'virtualservice', 'reviews');
    await expect.poll(() => share('canary', 20)).toBeGreaterThan(0);
    await run('patch', 'endpointslice', 'reviews-2', '--type=json', '-p', '[{"op":"replace","path":"/endpoints/0/conditions","value":{"ready":false,"serving":true,"terminating":true}}]'); // prettier-ignore
    await expect.poll(() => share('stable', 20)).toBe(100);
    await run('delete', 'endpointslice', 'reviews-2');
    expect(await share('stable', 20)).toBe(100);
    expect((await traffic.stop()).failures).toEqual([]);
  });
});
