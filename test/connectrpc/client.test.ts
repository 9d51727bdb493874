import { status as grpcStatus } from '@grpc/grpc-js';
import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { compressionGzip } from '@connectrpc/connect-node';
import { createTransport as createConnect } from '@connectrpc/connect/protocol-connect';
import { createTransport as createGrpc } from '@connectrpc/connect/protocol-grpc';
import { createTransport as createGrpcWeb } from '@connectrpc/connect/protocol-grpc-web';
import { type ConnectrpcOptions, MeshError } from 'inmesh';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectEcho, connectEcho, type ConnectEchoOptions, Echo } from '../support/echo-connect.ts';
import { echo } from '../support/echo-grpc.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const HOST = 'ratings.example.com';
const ROUTE = `route: [{ destination: { host: ${HOST} } }]`;

async function server(name = 'one', options?: ConnectEchoOptions): Promise<ConnectEcho> {
  const made = await connectEcho(name, options);
  left.push(made);
  return made;
}

async function under(yaml: string, localReplies?: 'throw'): Promise<TestMesh> {
  const mesh = await meshOf(yaml, { identity: false, ...(localReplies === undefined ? {} : { localReplies }) });
  left.push(mesh);
  return mesh;
}

type CreateTransport = (options: ReturnType<TestMesh['connectrpc']>) => Transport;

const clientOf = (
  mesh: TestMesh,
  createTransport: CreateTransport = createGrpc,
  more: Partial<ConnectrpcOptions> = {},
): Client<typeof Echo> => createClient(Echo, createTransport(mesh.connectrpc({ baseUrl: `http://${HOST}`, ...more })));

const entry = (ports: Parameters<typeof serviceEntry>[1], protocol = 'GRPC') => serviceEntry(HOST, ports, { protocol });

async function* texts(...all: string[]): AsyncGenerator<{ text: string }> {
  for (const text of all) yield { text };
}

async function* endless(text: string): AsyncGenerator<{ text: string }> {
  yield { text };
  await new Promise(() => {});
}

async function heard(answers: AsyncIterable<{ text: string }>): Promise<string[]> {
  const all: string[] = [];
  for await (const { text } of answers) all.push(text);
  return all;
}

/** The error a call must end with. */
async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const error: unknown = await call.then(() => undefined, (reason: unknown) => reason); // prettier-ignore
  expect(error).toBeInstanceOf(ConnectError);
  return error as ConnectError;
}

describe.each([
  ['gRPC', createGrpc, 'GRPC', false, 'grpc'],
  // A sidecar would send it over HTTP/1.1, where there is no gRPC.
  ['gRPC, to a port that is declared HTTP', createGrpc, 'HTTP', false, 'grpc'],
  ['Connect over HTTP/2', createConnect, 'HTTP2', false, 'http'],
  ['Connect over HTTP/1.1', createConnect, 'HTTP', true, 'http'],
  ['gRPC-Web over HTTP/2', createGrpcWeb, 'HTTP2', false, 'http'],
  ['gRPC-Web over HTTP/1.1', createGrpcWeb, 'HTTP', true, 'http'],
] as const)('a client that speaks %s', (_name, createTransport, protocol, http1, counted) => {
  it('calls all kinds of methods, with headers and trailers', async () => {
    const one = await server('one', { http1 });
    const mesh = await under(entry([one.port], protocol));
    const client = clientOf(mesh, createTransport);
    const told: Headers[] = [];
    const tell = (headers: Headers): void => void told.push(headers);
    const said = await client.say({ text: 'hello' }, { headers: { 'x-user': 'ann' }, onHeader: tell, onTrailer: tell });
    expect(said.text).toBe('one: hello');
    expect([told[0]!.get('x-server'), told[1]!.get('x-trailer'), one.seen[0]!.header.get('x-user')]).toEqual(['one', 'last', 'ann']);
    expect((await client.gather(texts('a', 'b', 'c'))).text).toBe('one: a,b,c');
    const repeated = client.repeat({ text: 'x' }, { onTrailer: tell });
    expect(await heard(repeated)).toEqual(['one: x 0', 'one: x 1', 'one: x 2']);
    expect(told[2]!.get('x-trailer')).toBe('last');
    if (!http1) expect(await heard(client.chat(texts('a', 'b')))).toEqual(['one: a', 'one: b']);
    expect(mesh.metrics()).toMatch(new RegExp(`istio_requests_total\\{[^}]*request_protocol="${counted}",response_code="200"[^}]*\\} ${http1 ? 3 : 4}`)); // prettier-ignore
    expect(mesh.status().callsInFlight).toBe(0);
    // Whoever counts resets, as servers do against floods of them, counts none of ordinary calls.
    await Promise.all(Array.from({ length: 50 }, () => client.say({ text: 'x' })));
    await expect.poll(() => one.streams()).toBe(0);
    expect(one.resets()).toBe(0);
  });

  it('is told the server’s errors', async () => {
    const one = await server('one', { http1 });
    const client = clientOf(await under(entry([one.port], protocol)), createTransport);
    one.fail = { code: Code.FailedPrecondition, times: 2 };
    const error = await failure(client.say({ text: 'x' }));
    expect([error.code, error.rawMessage, error.metadata.get('x-why')]).toEqual([Code.FailedPrecondition, 'one fails', 'told so']);
    expect((await failure(heard(client.repeat({ text: 'x' })))).code).toBe(Code.FailedPrecondition);
  });

  it('sends and takes large messages, compressed if it likes', async () => {
    const one = await server('one', { http1 });
    const mesh = await under(entry([one.port], protocol));
    const text = 'x'.repeat(5_000_000);
    expect((await clientOf(mesh, createTransport).say({ text })).text.length).toBe(text.length + 5);
    const zipped = clientOf(mesh, createTransport, { acceptCompression: [compressionGzip], sendCompression: compressionGzip });
    expect((await zipped.say({ text })).text.length).toBe(text.length + 5);
    const encoding = counted === 'grpc' || createTransport === createGrpcWeb ? 'grpc-encoding' : 'content-encoding';
    expect(one.seen.map(({ header }) => header.get(encoding))).toEqual([null, 'gzip']);
  });

  it('ends a call by its signal or its timeout, and the server stops', async () => {
    const one = await server('one', { http1 });
    const mesh = await under(entry([one.port], protocol));
    const client = clientOf(mesh, createTransport);
    one.hold = new Promise(() => {});
    const control = new AbortController();
    // He had not said everything.
    const gathering = failure(client.gather(endless('a'), { signal: control.signal }));
    await expect.poll(() => one.signals.length).toBe(1);
    control.abort();
    expect((await gathering).code).toBe(Code.Canceled);
    expect((await failure(client.gather(texts('a'), { timeoutMs: 100 }))).code).toBe(Code.DeadlineExceeded);
    await expect.poll(() => one.signals.every(({ aborted }) => aborted)).toBe(true);
    expect(mesh.status().callsInFlight).toBe(0);
    expect((await failure(client.say({ text: 'x' }, { signal: AbortSignal.abort() }))).code).toBe(Code.Canceled);
    expect(one.seen.length).toBe(2);
  });

  it('is told UNAVAILABLE where nobody is there', async () => {
    const mesh = await under(entry([], protocol));
    const error = await failure(clientOf(mesh, createTransport).say({ text: 'x' }));
    expect([error.code, error.metadata.get('x-inmesh-flags')]).toEqual([Code.Unavailable, 'UH']);
  });
});

describe('streams', () => {
  it('wait for their reader, in both directions', async () => {
    const one = await server();
    const client = clientOf(await under(entry([one.port])));
    const gate = Promise.withResolvers<void>();
    one.hold = gate.promise;
    const MANY = 2000;
    let said = 0;
    const talk = (async function* () {
      for (; said < MANY; said += 1) yield { text: 'x'.repeat(10_000) };
    })();
    const answers = client.chat(talk)[Symbol.asyncIterator]();
    const first = answers.next();
    const still = async (count: () => number): Promise<number> => {
      for (let before = -1; before !== count(); await sleep(200)) before = count();
      return count();
    };
    // The server does not read yet.
    expect(await still(() => said)).toBeLessThan(MANY / 4);
    gate.resolve();
    expect((await first).value?.text.length).toBe(10_005);
    // It does, but we do not.
    expect(await still(() => one.read)).toBeLessThan(MANY / 2);
    let count = 1;
    while ((await answers.next()).done !== true) count += 1;
    expect(count).toBe(MANY);
  });

  it('are a conversation', async () => {
    const one = await server();
    const client = clientOf(await under(entry([one.port])));
    const turns: ((text: string | undefined) => void)[] = [];
    const questions = (async function* () {
      for (;;) {
        const text = await new Promise<string | undefined>((resolve) => turns.push(resolve));
        if (text === undefined) return;
        yield { text };
      }
    })();
    const answers = client.chat(questions)[Symbol.asyncIterator]();
    for (const text of ['how', 'are', 'you']) {
      const answer = answers.next();
      await expect.poll(() => turns.length).toBe(1);
      turns.pop()!(text);
      expect((await answer).value?.text).toBe(`one: ${text}`);
    }
    const end = answers.next();
    await expect.poll(() => turns.length).toBe(1);
    turns.pop()!(undefined);
    expect((await end).done).toBe(true);
  });

  it('of a program that fails while it speaks fail with its error', async () => {
    const one = await server();
    const mesh = await under(entry([one.port]));
    const broken = (async function* () {
      yield { text: 'a' };
      throw new Error('disk on fire');
    })();
    expect((await failure(clientOf(mesh).gather(broken))).message).toContain('disk on fire');
    await expect.poll(() => one.streams()).toBe(0);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('that the server ends early are over for both', async () => {
    const one = await server();
    const mesh = await under(entry([one.port]));
    one.fail = { code: Code.ResourceExhausted, times: 1 };
    expect((await failure(clientOf(mesh).gather(endless('a')))).code).toBe(Code.ResourceExhausted);
    await expect.poll(() => one.streams()).toBe(0);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('that break in the middle are UNAVAILABLE, and say why', async () => {
    const one = await server();
    const mesh = await under(entry([one.port]));
    const answers = clientOf(mesh).chat(endless('a'))[Symbol.asyncIterator]();
    expect((await answers.next()).value?.text).toBe('one: a');
    const next = failure(answers.next());
    one.hangUp();
    const error = await next;
    expect([error.code, MeshError.is(error.cause), error.findDetails({ kind: 'registry' } as never)]).toEqual([Code.Unavailable, true, []]);
    expect(mesh.metrics()).toMatch(/grpc_response_status="14"[^}]*response_flags="UC"/);
  });
});

describe('the policy holds for its calls', () => {
  it('by method and headers, which it changes', async () => {
    const [v1, v2] = [await server('v1'), await server('v2')];
    const to = (subset: string) => `route: [{ destination: { host: ${HOST}, subset: ${subset} } }]`;
    const policy =
      entry([
        { port: v1.port, labels: { version: 'v1' } },
        { port: v2.port, labels: { version: 'v2' } },
      ]) +
      destinationRule(HOST, 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]') +
      virtualService(
        HOST,
        `- match: [{ uri: { exact: /test.Echo/Repeat } }]
  ${to('v2')}
- match: [{ headers: { x-user: { exact: ann } } }]
  headers: { request: { set: { x-seen: by-mesh }, remove: [x-secret] }, response: { add: { x-route: canary } } }
  ${to('v2')}
- ${to('v1')}`,
      );
    const client = clientOf(await under(policy));
    expect((await client.say({ text: 'x' })).text).toBe('v1: x');
    let route: string | null = null;
    const headers = { 'x-user': 'ann', 'x-secret': '1' };
    expect((await client.say({ text: 'x' }, { headers, onHeader: (told) => (route = told.get('x-route')) })).text).toBe('v2: x');
    expect([route, v2.seen[0]!.header.get('x-seen'), v2.seen[0]!.header.get('x-secret')]).toEqual(['canary', 'by-mesh', null]);
    expect((await heard(client.repeat({ text: 'x' })))[0]).toBe('v2: x 0');
  });

  it('in its retries on gRPC conditions: of a status in the headers, never of one in the trailers', async () => {
    const one = await echo('one');
    left.push(one);
    const again = virtualService(HOST, `- retries: { attempts: 2, retryOn: unavailable, backoff: 1ms }\n  ${ROUTE}`);
    const mesh = await under(entry([one.port]) + again);
    const client = clientOf(mesh, createGrpc, { useBinaryFormat: false });
    one.fail = { code: grpcStatus.UNAVAILABLE, times: 2 };
    expect((await client.say({ text: 'x' })).text).toBe('one: x');
    one.fail = { code: grpcStatus.UNAVAILABLE, times: 1 };
    expect((await client.gather(texts('a', 'b'))).text).toBe('one: a,b');
    expect(one.seen.map(({ text }) => text)).toEqual(['x', 'x', 'x', 'a,b', 'a,b']);
    // connect-node's own server sends headers first.
    const other = await server();
    mesh.set(entry([other.port]) + again);
    other.fail = { code: Code.Unavailable, times: 1 };
    expect((await failure(client.say({ text: 'x' }))).code).toBe(Code.Unavailable);
    expect(other.seen.length).toBe(1);
  });

  it('in its timeout, in the words of the protocol', async () => {
    const one = await server();
    one.hold = new Promise(() => {});
    const mesh = await under(entry([one.port]) + virtualService(HOST, `- timeout: 100ms\n  ${ROUTE}`));
    expect((await failure(clientOf(mesh).gather(texts('a')))).code).toBe(Code.DeadlineExceeded);
    expect(mesh.metrics()).toMatch(/grpc_response_status="4"[^}]*response_flags="UT"/);
    // Connect takes 504 for that (protocol-connect/http-status.js).
    expect((await failure(clientOf(mesh, createConnect).gather(texts('a')))).code).toBe(Code.Unavailable);
    await expect.poll(() => one.signals.every(({ aborted }) => aborted)).toBe(true);
  });

  it('in its faults', async () => {
    const one = await server();
    const abort = (what: string) =>
      entry([one.port]) + virtualService(HOST, `- fault: { abort: { percentage: { value: 100 }, ${what} } }\n  ${ROUTE}`);
    const mesh = await under(abort('grpcStatus: RESOURCE_EXHAUSTED'));
    const error = await failure(clientOf(mesh).say({ text: 'x' }));
    expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, 'fault filter abort']);
    mesh.set(abort('httpStatus: 404'));
    expect((await failure(clientOf(mesh).say({ text: 'x' }))).code).toBe(Code.Unimplemented);
    expect(one.seen).toEqual([]);
    expect(mesh.metrics()).toMatch(/request_protocol="grpc",response_code="200",grpc_response_status="12"[^}]*response_flags="FI"/);
  });

  it('in its outlier detection, which learns from the trailers', async () => {
    const [good, bad] = [await server('good'), await server('bad')];
    bad.fail = { code: Code.Unavailable, times: 1000 };
    const mesh = await under(
      entry([good.port, bad.port]) +
        destinationRule(
          HOST,
          'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 50 } }',
        ) +
        virtualService(HOST, `- retries: { attempts: 0 }\n  ${ROUTE}`),
    );
    const client = clientOf(mesh);
    for (let index = 0; index < 60; index += 1) await client.say({ text: 'x' }).catch(() => {});
    expect(bad.seen.length).toBe(3);
    expect(mesh.metrics()).toMatch(/grpc_response_status="14"[^}]*\} 3/);
  });

  it('in its mirrors', async () => {
    const [one, copy] = [await server(), await server('copy')];
    const mesh = await under(
      entry([one.port]) +
        serviceEntry('shadow.example.com', [copy.port], { protocol: 'HTTP' }) +
        virtualService(HOST, `- mirror: { host: shadow.example.com }\n  ${ROUTE}`),
    );
    expect((await clientOf(mesh).say({ text: 'x' })).text).toBe('one: x');
    await expect.poll(() => copy.seen.map(({ protocol }) => protocol)).toEqual(['grpc']);
  });
});

describe('a refusal', () => {
  it('is an error of connect where it is thrown', async () => {
    const mesh = await under(entry([]), 'throw');
    for (const createTransport of [createGrpc, createConnect]) {
      const error = await failure(clientOf(mesh, createTransport).say({ text: 'x' }));
      expect([error.code, (error.cause as MeshError).code]).toEqual([Code.Unavailable, 'NO_ENDPOINT']);
    }
  });
});

describe('options', () => {
  it('are connect’s own', async () => {
    const one = await server('one', { http1: true });
    const mesh = await under(entry([one.port], 'HTTP'));
    const names: string[] = [];
    const client = clientOf(mesh, createConnect, {
      useHttpGet: true,
      useBinaryFormat: false,
      interceptors: [
        (next) => (request) => {
          names.push(request.method.name);
          return next(request);
        },
      ],
    });
    expect((await client.say({ text: 'hello, world' })).text).toBe('one: hello, world');
    expect((await client.gather(texts('a'))).text).toBe('one: a');
    expect(names).toEqual(['Say', 'Gather']);
    expect(one.seen.map(({ verb }) => verb)).toEqual(['GET', 'POST']);
    expect(one.seen[1]!.header.get('content-type')).toBe('application/connect+json');
    const small = clientOf(mesh, createConnect, { readMaxBytes: 10 });
    expect((await failure(small.say({ text: 'far too much for that' }))).code).toBe(Code.ResourceExhausted);
  });
});

describe('hosts outside the mesh', () => {
  it('are called as without one, gRPC over HTTP/2, and counted', async () => {
    const [http2, http1] = [await server(), await server('two', { http1: true })];
    const mesh = await under(entry([]));
    const grpc = clientOf(mesh, createGrpc, { baseUrl: `http://127.0.0.1:${http2.port}` });
    expect((await grpc.say({ text: 'x' })).text).toBe('one: x');
    http2.fail = { code: Code.NotFound, times: 1 };
    expect((await failure(grpc.say({ text: 'x' }))).code).toBe(Code.NotFound);
    const brief = await echo('brief');
    left.push(brief);
    brief.fail = { code: grpcStatus.ABORTED, times: 1 };
    const other = clientOf(mesh, createGrpc, { baseUrl: `http://127.0.0.1:${brief.port}`, useBinaryFormat: false });
    expect((await failure(other.say({ text: 'x' }))).code).toBe(Code.Aborted);
    const connect = clientOf(mesh, createConnect, { baseUrl: `http://127.0.0.1:${http1.port}` });
    expect((await connect.say({ text: 'x' })).text).toBe('two: x');
    const counted = mesh.metrics();
    expect(counted).toMatch(/destination_service_name="PassthroughCluster"[^}]*grpc_response_status="0"/);
    expect(counted).toMatch(/destination_service_name="PassthroughCluster"[^}]*grpc_response_status="5"/);
    // In the headers, for there was nothing else to say.
    expect(counted).toMatch(/destination_service_name="PassthroughCluster"[^}]*grpc_response_status="10"/);
    expect(counted).toMatch(/destination_service_name="PassthroughCluster"[^}]*request_protocol="http"/);
  });
});
