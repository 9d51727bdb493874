import { type ClientOptions, Metadata, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { type Echo, echo, type EchoClient, echoClient, ended } from '../support/echo-grpc.ts';
import { meshOf, serviceEntry, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function servers(...names: string[]): Promise<Echo[]> {
  const made = await Promise.all(names.map((name) => echo(name)));
  left.push(...made);
  return made;
}

async function under(yaml: string): Promise<TestMesh> {
  const mesh = await meshOf(yaml, { identity: false });
  left.push(mesh);
  return mesh;
}

const entry = (endpoints: Parameters<typeof serviceEntry>[1]) =>
  serviceEntry('ratings.example.com', endpoints, { port: 9080, protocol: 'GRPC' });
const rules = (http: string, host = 'ratings.example.com') => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: default }
spec:
  hosts: [${host}]
  http:
${http}
`;

const clientOf = (mesh: TestMesh, target = 'mesh:///ratings.example.com', given: ClientOptions = {}): EchoClient => {
  const client = echoClient(target, mesh.grpc.credentials(), mesh.grpc.options(given));
  left.push(client);
  return client;
};

describe('a client of grpc-js', () => {
  it('calls a service of the mesh by its name alone: unary, with its metadata both ways', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(entry([one!.port])));
    expect(await client.say('hello', { 'x-user': 'ann' })).toMatchObject({
      code: 0,
      text: 'one: hello',
      headers: { 'x-server': 'one' },
      trailers: { 'x-trailer': 'last' },
    });
    expect(one!.seen).toMatchObject([{ path: 'Say', metadata: { 'x-user': 'ann' } }]);
  });

  it('streams to it, from it, and both ways', async () => {
    const [one] = await servers('one');
    const { stub } = clientOf(await under(entry([one!.port])));
    const gathered = await new Promise((resolve, reject) => {
      const stream = stub.Gather((error, answer) => (error === null ? resolve(answer) : reject(error)));
      for (const text of ['a', 'b', 'c']) stream.write({ text });
      stream.end();
    });
    expect(gathered).toEqual({ text: 'one: a,b,c' });
    expect(await ended(stub.Repeat({ text: 'x' }))).toEqual({ texts: ['one: x 0', 'one: x 1', 'one: x 2'], code: 0 });
    const chat = stub.Chat();
    const heard = ended(chat);
    chat.write({ text: 'hi' });
    await new Promise((resolve) => chat.once('data', resolve));
    chat.write({ text: 'bye' });
    chat.end();
    expect(await heard).toEqual({ texts: ['one: hi', 'one: bye'], code: 0 });
  });

  it('is balanced call by call', async () => {
    const [one, two] = await servers('one', 'two');
    const client = clientOf(await under(entry([one!.port, two!.port])));
    for (let index = 0; index < 40; index += 1) expect((await client.say('x')).code).toBe(0);
    expect(one!.seen.length).toBeGreaterThan(5);
    expect(two!.seen.length).toBeGreaterThan(5);
  });
});

describe('a VirtualService holds for a call', () => {
  const subset = (name: string, weight = 100) => `{ destination: { host: ratings.example.com, subset: ${name} }, weight: ${weight} }`;
  const versions = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ratings, namespace: default }
spec: { host: ratings.example.com, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
`;
  const two = (one: Echo, other: Echo) =>
    entry([
      { port: one.port, labels: { version: 'v1' } },
      { port: other.port, labels: { version: 'v2' } },
    ]);

  it('by its method and its metadata, which it changes', async () => {
    const [v1, v2] = await servers('v1', 'v2');
    const policy =
      two(v1!, v2!) +
      versions +
      rules(`
    - match: [{ uri: { exact: /test.Echo/Repeat } }]
      route: [${subset('v2')}]
    - match: [{ headers: { x-user: { exact: ann } } }]
      headers: { request: { set: { x-seen: by-mesh }, remove: [x-secret] }, response: { add: { x-route: canary } } }
      route: [${subset('v2')}]
    - route: [${subset('v1')}]`);
    const client = clientOf(await under(policy));
    expect(await client.say('x')).toMatchObject({ text: 'v1: x' });
    expect(await client.say('x', { 'x-user': 'ann', 'x-secret': '1' })).toMatchObject({ text: 'v2: x', headers: { 'x-route': 'canary' } });
    expect(v2!.seen[0]!.metadata).toMatchObject({ 'x-seen': 'by-mesh' });
    expect(v2!.seen[0]!.metadata).not.toHaveProperty('x-secret');
    expect((await ended(client.stub.Repeat({ text: 'x' }))).texts[0]).toBe('v2: x 0');
  });

  it('in its weights, and a policy that changes holds for the next call', async () => {
    const [v1, v2] = await servers('v1', 'v2');
    const split = (first: number) =>
      two(v1!, v2!) + versions + rules(`    - route: [${subset('v1', first)}, ${subset('v2', 100 - first)}]`);
    const mesh = await under(split(50));
    const client = clientOf(mesh);
    for (let index = 0; index < 60; index += 1) await client.say('x');
    expect(v1!.seen.length).toBeGreaterThan(10);
    expect(v2!.seen.length).toBeGreaterThan(10);
    mesh.set(split(0));
    v1!.seen.length = 0;
    for (let index = 0; index < 20; index += 1) expect((await client.say('x')).text).toBe('v2: x');
    expect(v1!.seen).toEqual([]);
  });

  it('in its faults, by grpcStatus and by httpStatus', async () => {
    const [one] = await servers('one');
    const abort = (what: string) =>
      entry([one!.port]) +
      rules(
        `    - fault: { abort: { percentage: { value: 100 }, ${what} } }\n      route: [{ destination: { host: ratings.example.com } }]`,
      );
    const mesh = await under(abort('grpcStatus: RESOURCE_EXHAUSTED'));
    const client = clientOf(mesh);
    expect(await client.say('x')).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    mesh.set(abort('httpStatus: 404'));
    expect(await client.say('x')).toMatchObject({ code: status.UNIMPLEMENTED });
    expect(one!.seen).toEqual([]);
    expect(mesh.metrics()).toMatch(
      /istio_requests_total\{[^}]*request_protocol="grpc"[^}]*grpc_response_status="8"[^}]*response_flags="FI"/,
    );
  });

  it('in its timeout, and the server learns how long its caller waits', async () => {
    const [one] = await servers('one');
    one!.delayMs = 500;
    const mesh = await under(
      entry([one!.port]) + rules('    - timeout: 100ms\n      route: [{ destination: { host: ratings.example.com } }]'),
    );
    const began = performance.now();
    expect(await clientOf(mesh).say('x')).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(performance.now() - began).toBeLessThan(450);
    expect(mesh.metrics()).toMatch(/grpc_response_status="4"[^}]*response_flags="UT"/);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  const retries = (attempts: number, on: string, more = '') =>
    rules(
      `    - retries: { attempts: ${attempts}, retryOn: "${on}" ${more}}\n      route: [{ destination: { host: ratings.example.com } }]`,
    );

  it('in its retries on gRPC conditions, until they are used up', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(entry([one!.port]) + retries(2, 'unavailable')));
    one!.fail = { code: status.UNAVAILABLE, times: 2 };
    expect(await client.say('x')).toMatchObject({ code: 0, text: 'one: x' });
    expect(one!.seen.length).toBe(3);
    one!.fail = { code: status.UNAVAILABLE, times: 3 };
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE, details: 'one fails' });
    one!.fail = { code: status.INTERNAL, times: 1 };
    expect(await client.say('x')).toMatchObject({ code: status.INTERNAL });
    expect(one!.seen.length).toBe(7);
  });

  it('whose stream is retried with all it had said', async () => {
    const [one] = await servers('one');
    const { stub } = clientOf(await under(entry([one!.port]) + retries(2, 'unavailable')));
    one!.fail = { code: status.UNAVAILABLE, times: 1 };
    const gathered = await new Promise((resolve, reject) => {
      const stream = stub.Gather((error, answer) => (error === null ? resolve(answer) : reject(error)));
      for (const text of ['a', 'b']) stream.write({ text });
      stream.end();
    });
    expect(gathered).toEqual({ text: 'one: a,b' });
    expect(one!.seen.map(({ text }) => text)).toEqual(['a,b', 'a,b']);
  });

  it('which a server may forbid to repeat, or put off', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(entry([one!.port]) + retries(2, 'unavailable')));
    const pushback = (text: string) => {
      const metadata = new Metadata();
      metadata.set('grpc-retry-pushback-ms', text);
      return metadata;
    };
    one!.fail = { code: status.UNAVAILABLE, times: 1, metadata: pushback('-1') };
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE });
    expect(one!.seen.length).toBe(1);
    one!.fail = { code: status.UNAVAILABLE, times: 1, metadata: pushback('150') };
    const began = performance.now();
    expect(await client.say('x')).toMatchObject({ code: 0 });
    expect(performance.now() - began).toBeGreaterThan(140);
  });

  it('that is mirrored, if it is unary', async () => {
    const [one, copy] = await servers('one', 'copy');
    const mirror = serviceEntry('shadow.example.com', [copy!.port], { port: 9080, protocol: 'GRPC' });
    const client = clientOf(
      await under(
        entry([one!.port]) +
          mirror +
          rules('    - mirror: { host: shadow.example.com }\n      route: [{ destination: { host: ratings.example.com } }]'),
      ),
    );
    expect(await client.say('x', { 'x-user': 'ann' })).toMatchObject({ text: 'one: x' });
    await expect.poll(() => copy!.seen).toMatchObject([{ path: 'Say', text: 'x', metadata: { 'x-user': 'ann' } }]);
  });

  it('that goes nowhere', async () => {
    const mesh = await under(
      entry([]) + rules('    - match: [{ uri: { prefix: /other } }]\n      route: [{ destination: { host: ratings.example.com } }]'),
    );
    expect(await clientOf(mesh).say('x')).toMatchObject({ code: status.UNIMPLEMENTED });
    mesh.set(entry([]));
    expect(await clientOf(mesh).say('x')).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'x-inmesh-flags': 'UH' } });
  });
});

describe('a DestinationRule holds for a call', () => {
  const rule = (traffic: string) => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ratings, namespace: default }
spec: { host: ratings.example.com, trafficPolicy: ${traffic} }
`;

  it('in its consistent hash on metadata', async () => {
    const [one, two, three] = await servers('one', 'two', 'three');
    const policy = entry([one!.port, two!.port, three!.port]) + rule('{ loadBalancer: { consistentHash: { httpHeaderName: x-user } } }');
    const client = clientOf(await under(policy));
    const names = new Set<string>();
    for (const user of ['ann', 'bob', 'cat', 'dan', 'eve', 'fay']) {
      const first = (await client.say('x', { 'x-user': user })).text;
      for (let index = 0; index < 5; index += 1) expect((await client.say('x', { 'x-user': user })).text).toBe(first);
      names.add(first);
    }
    expect(names.size).toBeGreaterThan(1);
  });

  it('in its outlier detection, which learns from the trailers', async () => {
    const [good, bad] = await servers('good', 'bad');
    bad!.fail = { code: status.UNAVAILABLE, times: 1000 };
    const mesh = await under(
      entry([good!.port, bad!.port]) +
        rule('{ outlierDetection: { consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 50 } }') +
        rules('    - retries: { attempts: 0 }\n      route: [{ destination: { host: ratings.example.com } }]'),
    );
    const client = clientOf(mesh);
    for (let index = 0; index < 60; index += 1) await client.say('x');
    expect(bad!.seen.length).toBe(3);
    expect(mesh.events.some(({ type }) => type === 'endpoint.ejected')).toBe(true);
  });

  it('in its limit of calls under way', async () => {
    const [one] = await servers('one');
    one!.delayMs = 100;
    const client = clientOf(await under(entry([one!.port]) + rule('{ connectionPool: { http: { http2MaxRequests: 2 } } }')));
    const codes = (await Promise.all(['a', 'b', 'c', 'd'].map((text) => client.say(text)))).map(({ code }) => code);
    expect(codes.filter((code) => code === 0).length).toBe(2);
    expect(codes.filter((code) => code === status.UNAVAILABLE).length).toBe(2);
  });
});

describe('endpoints', () => {
  it('that come and go do so for clients that run', async () => {
    const [one, two] = await servers('one', 'two');
    const mesh = await under(entry([one!.port]));
    const client = clientOf(mesh);
    expect((await client.say('x')).text).toBe('one: x');
    mesh.set(entry([two!.port]));
    expect((await client.say('x')).text).toBe('two: x');
  });

  it('that left finish what they have begun', async () => {
    const [one, two] = await servers('one', 'two');
    const mesh = await under(entry([one!.port]));
    const { stub } = clientOf(mesh);
    const chat = stub.Chat();
    const heard = ended(chat);
    chat.write({ text: 'a' });
    await new Promise((resolve) => chat.once('data', resolve));
    mesh.set(entry([two!.port]));
    chat.write({ text: 'b' });
    chat.end();
    expect(await heard).toEqual({ texts: ['one: a', 'one: b'], code: 0 });
  });

  it('that are dead cost no call: another is tried, and the dead one is called again when it is back', async () => {
    const [one, two] = await servers('one', 'two');
    const mesh = await under(entry([one!.port, two!.port]));
    const client = clientOf(mesh);
    const { port } = two!;
    two!.stop();
    for (let index = 0; index < 30; index += 1) expect(await client.say('x')).toMatchObject({ code: 0, text: 'one: x' });
    const back = await echo('back', { port });
    left.push(back);
    await expect.poll(async () => (await client.say('x')).text, { timeout: 5000 }).toBe('back: x');
  });

  it('that die under load cost no call that may be repeated', async () => {
    const [one, two, three] = await servers('one', 'two', 'three');
    for (const server of [one!, two!, three!]) server.delayMs = 5;
    const policy =
      entry([one!.port, two!.port, three!.port]) +
      rules(
        '    - retries: { attempts: 2, retryOn: "connect-failure,reset,refused-stream,unavailable" }\n      route: [{ destination: { host: ratings.example.com } }]',
      );
    const mesh = await under(policy);
    const client = clientOf(mesh);
    const failed: string[] = [];
    const worker = async () => {
      for (let index = 0; index < 60; index += 1) {
        const { code, details, headers } = await client.say('x');
        // Whose headers had come was committed.
        if (code !== 0 && headers['x-server'] === undefined) failed.push(`${code} ${details}`);
      }
    };
    const working = Promise.all(Array.from({ length: 16 }, worker));
    setTimeout(() => two!.stop(), 60);
    await working;
    expect(failed).toEqual([]);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('that are all gone: at once UNAVAILABLE, or waited for by who says so', async () => {
    const [one] = await servers('one');
    const { port } = one!;
    one!.stop();
    const client = clientOf(await under(entry([port])));
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE });
    const waiting = new Promise<string>((resolve) => {
      const metadata = new Metadata({ waitForReady: true });
      client.stub.Say({ text: 'x' }, metadata, { deadline: Date.now() + 5000 }, (error, answer) =>
        resolve(answer?.text ?? String(error?.code)),
      );
    });
    setTimeout(() => void echo('late', { port }).then((late) => left.push(late)), 300);
    expect(await waiting).toBe('late: x');
  });
});

describe('a caller', () => {
  it('has a deadline of its own, which the server is told', async () => {
    const [one] = await servers('one');
    one!.delayMs = 500;
    const mesh = await under(entry([one!.port]));
    expect(await clientOf(mesh).say('x', {}, { deadline: Date.now() + 100 })).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(await clientOf(mesh).say('x', {}, { deadline: Date.now() - 1 })).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('may give up, before an answer and in the middle of one', async () => {
    const [one] = await servers('one');
    one!.delayMs = 500;
    const mesh = await under(entry([one!.port]));
    const { stub } = clientOf(mesh);
    const gaveUp = new Promise<number>((resolve) => {
      const call = stub.Say({ text: 'x' }, new Metadata(), {}, (error) => resolve(error!.code));
      setTimeout(() => call.cancel(), 50);
    });
    expect(await gaveUp).toBe(status.CANCELLED);
    const chat = stub.Chat();
    const heard = ended(chat);
    chat.write({ text: 'a' });
    await new Promise((resolve) => chat.once('data', resolve));
    chat.cancel();
    expect(await heard).toEqual({ texts: ['one: a'], code: status.CANCELLED });
    await expect.poll(() => mesh.status().callsInFlight).toBe(0);
    expect(mesh.metrics()).toMatch(/grpc_response_status="1"[^}]*response_flags="DC"/);
  });

  it('has limits of its own for messages, which are no failure of the endpoint', async () => {
    const [one] = await servers('one');
    const mesh = await under(
      entry([one!.port]) +
        rules(
          '    - retries: { attempts: 2, retryOn: "resource-exhausted,5xx" }\n      route: [{ destination: { host: ratings.example.com } }]',
        ),
    );
    const client = clientOf(mesh, 'mesh:///ratings.example.com', {
      'grpc.max_receive_message_length': 100,
      'grpc.max_send_message_length': 1000,
    });
    expect(await client.say('y'.repeat(200))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(one!.seen.length).toBe(1);
    expect(await client.say('y'.repeat(2000))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(one!.seen.length).toBe(1);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('may compress', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(entry([one!.port])), 'mesh:///ratings.example.com', { 'grpc.default_compression_algorithm': 2 });
    expect(await client.say('z'.repeat(5000))).toMatchObject({ code: 0 });
  });

  it('names a port, or a host outside the mesh, and is told of a target that is none', async () => {
    const [one] = await servers('one');
    const mesh = await under(entry([one!.port]));
    expect(await clientOf(mesh, 'mesh:///ratings.example.com:9080').say('x')).toMatchObject({ code: 0 });
    expect(await clientOf(mesh, `mesh:///localhost:${one!.port}`).say('x')).toMatchObject({ code: 0, text: 'one: x' });
    expect(mesh.metrics()).toMatch(/destination_service_name="PassthroughCluster"[^}]*grpc_response_status="0"/);
    expect(() => clientOf(mesh, 'mesh:///a/b')).toThrow('"mesh:///a/b" is no target of the mesh');
  });
});
