import { Metadata } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { echo, type EchoClient, echoClient, ended } from '../support/echo-grpc.ts';
import { meshOf, serviceEntry, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const HOST = 'ratings.example.com';

/** A fast server and one that takes a second, in turn, under a policy that names some methods idempotent. */
async function scene({ idempotent = ['/test.Echo/Say'], retries = '', delay = '40ms' } = {}) {
  const [fast, slow] = await Promise.all([echo('fast'), echo('slow')]);
  slow.delayMs = 1000;
  left.push(fast, slow);
  const mesh = await meshOf(
    `${serviceEntry(HOST, [slow.port, fast.port], { port: 9080, protocol: 'GRPC' })}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ratings, namespace: default }
spec: { host: ${HOST}, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }
---
apiVersion: inmesh.dev/v1
kind: HedgePolicy
metadata: { name: ratings, namespace: default }
spec: { host: ${HOST}, idempotent: ${JSON.stringify(idempotent)}, delay: ${delay} }
${retries}`,
    { identity: false },
  );
  left.push(mesh);
  const client = echoClient(`mesh:///${HOST}`, mesh.grpc.credentials(), mesh.grpc.options());
  left.push(client);
  return { fast, slow, mesh, client };
}

async function timed(client: EchoClient, text: string) {
  const from = performance.now();
  const answer = await client.say(text);
  return { ...answer, ms: performance.now() - from };
}

/** Nothing of a call is left behind. */
const rests = async (mesh: TestMesh): Promise<void> => {
  await expect.poll(() => mesh.status().snapshot.clusters.map(({ active, waiting, retries }) => active + waiting + retries)).toEqual([0]);
};

it('an idempotent call whose endpoint is slow is answered by another', async () => {
  const { client, mesh, slow } = await scene();
  const answers = [];
  for (let index = 0; index < 10; index += 1) answers.push(await timed(client, `${index}`));
  expect(answers.map(({ code, text }) => [code, text?.split(':')[0]])).toEqual(answers.map(() => [0, 'fast']));
  expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(800);
  expect(answers[0]).toMatchObject({ headers: { 'x-server': 'fast' }, trailers: { 'x-trailer': 'last' } });
  const hedged = mesh.events.filter(({ type }) => type === 'call.hedged');
  expect(hedged.length).toBe(slow.seen.length);
  expect(slow.seen.length).toBeGreaterThan(2);
  await rests(mesh);
});

it('a call that is not named is left to its endpoint, however slow', async () => {
  const { client, mesh } = await scene({ idempotent: ['/test.Echo/Other'] });
  const answers = [await timed(client, 'a'), await timed(client, 'b')];
  expect(answers.map(({ text }) => text).sort()).toEqual([expect.stringMatching(/^fast/), expect.stringMatching(/^slow/)]);
  expect(mesh.events.filter(({ type }) => type === 'call.hedged')).toEqual([]);
  await rests(mesh);
});

it('a stream of answers comes whole from whoever began first; one of requests goes once', async () => {
  const { client, mesh, fast, slow } = await scene({ idempotent: ['/test.Echo/*'] });
  for (let index = 0; index < 4; index += 1)
    expect(await ended(client.stub.Repeat({ text: 'x' }))).toMatchObject({ code: 0, texts: { length: 3 } });
  const chat = client.stub.Chat();
  const heard = ended(chat);
  chat.write({ text: 'hi' });
  await new Promise((resolve) => setTimeout(resolve, 120));
  chat.end();
  expect(await heard).toMatchObject({ code: 0, texts: [expect.stringMatching(/: hi$/)] });
  expect([...fast.seen, ...slow.seen].filter(({ path }) => path === 'Chat')).toHaveLength(1);
  await rests(mesh);
});

it('a caller who leaves, or whose time is up, takes both attempts with him', async () => {
  const { client, mesh, fast, slow } = await scene();
  fast.delayMs = 1000;
  const outcome = await new Promise<number | undefined>((resolve) => {
    const call = client.stub.Say({ text: 'x' }, new Metadata(), {}, (error) => resolve(error?.code));
    setTimeout(() => call.cancel(), 150);
  });
  expect(outcome).toBe(1);
  await rests(mesh);
  const late = await new Promise<number | undefined>((resolve) => {
    client.stub.Say({ text: 'x' }, new Metadata(), { deadline: Date.now() + 150 }, (error) => resolve(error?.code));
  });
  expect(late).toBe(4);
  await rests(mesh);
  expect([fast.seen.length, slow.seen.length]).toEqual([2, 2]);
});

it('an endpoint that fails at once is made up for at once, and the failure of all is the failure of the call', async () => {
  const { client, mesh, fast, slow } = await scene({ delay: '10s' });
  slow.delayMs = 0;
  slow.fail = { code: 14, times: 100 };
  for (let index = 0; index < 6; index += 1) expect((await timed(client, 'x')).text).toMatch(/^fast/);
  expect(slow.seen.length).toBeGreaterThan(1);
  fast.fail = { code: 14, times: 100 };
  expect(await client.say('x')).toMatchObject({ code: 14 });
  await rests(mesh);
});
