import {
  credentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Echo, echo, type EchoClient, echoClient, ended, type Message } from '../support/echo-grpc.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { python, pythonGrpc } from '../support/python-grpc.ts';

// Callers that give up, break off, or send nonsense. Whatever they do, the next one is served and nothing stays in flight.

let mesh: TestMesh;
let served: Echo;
let client: EchoClient;
let session: ClientHttp2Session;
/** Calls of Say that the program began, and signals that aborted. */
let begun: number;
let aborted: string[];
/** How long Say takes. */
let takes: number;

beforeEach(async () => {
  begun = 0;
  takes = 0;
  aborted = [];
  mesh = await meshOf('', { identity: false });
  const noted = (call: Parameters<TestMesh['grpc']['caller']>[0], name: string) =>
    mesh.grpc.caller(call).signal.addEventListener('abort', () => aborted.push(name));
  served = await echo('one', {
    server: mesh.grpc.server({ 'grpc.max_receive_message_length': 1000 }),
    methods: {
      Say: (call: ServerUnaryCall<Message, Message>, done: sendUnaryData<Message>) => {
        begun += 1;
        noted(call, 'Say');
        setTimeout(() => done(null, call.request), takes);
      },
      // Speaks until nobody listens.
      Repeat: (call: ServerWritableStream<Message, Message>) => {
        noted(call, 'Repeat');
        const timer = setInterval(() => call.write({ text: 'more' }), 5);
        call.on('cancelled', () => clearInterval(timer));
      },
      Chat: (call: ServerDuplexStream<Message, Message>) => {
        noted(call, 'Chat');
        call.on('data', (message: Message) => call.write(message));
        call.on('end', () => call.end());
        call.on('error', () => {});
      },
    },
  });
  client = echoClient(`127.0.0.1:${served.port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  session = connect(`http://127.0.0.1:${served.port}`);
  session.on('error', () => {});
});

afterEach(async () => {
  await expect.poll(() => mesh.status().callsInFlight).toBe(0);
  takes = 0;
  expect(await client.say('next')).toMatchObject({ code: status.OK, text: 'next' });
  session.destroy();
  await client[Symbol.asyncDispose]();
  await mesh.close({ graceMs: 200 });
});

const message = (text: string): Buffer => {
  const body = Buffer.from(JSON.stringify({ text }));
  return Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), body]);
};
const HEADERS = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };

/** What a stream of the test's own says: its HTTP and gRPC status, and how it was reset. */
const ask = (
  headers: Record<string, string>,
  body: Buffer | undefined,
  end = true,
): Promise<{ http: number; grpc: number; reset: number }> =>
  new Promise((resolve) => {
    const stream = session.request({ ...HEADERS, ':path': '/test.Echo/Say', ...headers }, { endStream: false });
    const heard = { http: 0, grpc: -1, reset: 0 };
    stream.on('response', (said) => {
      heard.http = said[':status']!;
      heard.grpc = Number(said['grpc-status'] ?? heard.grpc);
    });
    stream.on('trailers', (said) => (heard.grpc = Number(said['grpc-status'])));
    stream.on('error', () => {});
    stream.on('close', () => resolve({ ...heard, reset: stream.rstCode ?? 0 }));
    stream.resume();
    if (body !== undefined) stream.write(body);
    if (end) stream.end();
  });

/** How calls were counted: status, flags. */
const counted = () =>
  mesh
    .metrics()
    .split('\n')
    .filter((line) => line.startsWith('istio_requests_total{reporter="destination"'))
    .map((line) => ['request_protocol', 'response_code', 'grpc_response_status', 'response_flags'].map((name) => new RegExp(`${name}="([^"]*)"`).exec(line)?.[1] ?? '').join(' '))
    .toSorted(); // prettier-ignore

describe('a caller who waits no longer', () => {
  it('was not served if his time was over before it began', async () => {
    expect(await ask({ 'grpc-timeout': '1n' }, message('x'))).toEqual({ http: 200, grpc: status.DEADLINE_EXCEEDED, reset: 0 });
    expect(await ask({ 'x-inmesh-deadline': '0' }, message('x'))).toMatchObject({ grpc: status.DEADLINE_EXCEEDED });
    expect(begun).toBe(0);
  });

  it('is told DEADLINE_EXCEEDED, whoever knew of his deadline, and what the program says later harms nobody', async () => {
    takes = 150;
    expect(await ask({ 'grpc-timeout': '40m' }, message('x'))).toEqual({ http: 200, grpc: status.DEADLINE_EXCEEDED, reset: 0 });
    // grpc-js does not know this one.
    expect(await ask({ 'x-inmesh-deadline': '40' }, message('x'))).toEqual({ http: 200, grpc: status.DEADLINE_EXCEEDED, reset: 0 });
    expect(aborted).toEqual(['Say', 'Say']);
    await sleep(200);
    expect(begun).toBe(2);
    expect(counted()).toEqual(['grpc 200 4 UT']);
  });

  it('loses the rest of an answer that has begun', async () => {
    const { grpc, reset, http } = await ask({ ':path': '/test.Echo/Repeat', 'x-inmesh-deadline': '60' }, message('x'));
    expect({ http, grpc, reset }).toEqual({ http: 200, grpc: -1, reset: constants.NGHTTP2_CANCEL });
    await expect.poll(counted).toEqual(['grpc 200 4 UT']);
    expect(aborted).toEqual(['Repeat']);
  });

  it('cancels, and the program learns of it by its signal', async () => {
    takes = 1000;
    const stream = client.stub.Repeat({ text: 'x' });
    const heard = ended(stream);
    await new Promise((resolve) => stream.once('data', resolve));
    stream.cancel();
    expect((await heard).code).toBe(status.CANCELLED);
    expect((await client.say('x', {}, { deadline: Date.now() + 50 })).code).toBe(status.DEADLINE_EXCEEDED);
    await expect.poll(() => aborted).toEqual(['Repeat', 'Say']);
    // How the other is counted depends on who sees first that its time is up.
    await expect.poll(counted).toContain('grpc 200 1 DC');
  });

  it('goes with his whole connection', async () => {
    const lost = Promise.all([
      ask({ ':path': '/test.Echo/Chat' }, message('x'), false),
      ask({ ':path': '/test.Echo/Repeat' }, message('x')),
    ]);
    await sleep(50);
    expect(mesh.status().callsInFlight).toBe(2);
    session.socket.destroy();
    await lost;
    await expect.poll(() => aborted.toSorted()).toEqual(['Chat', 'Repeat']);
  });

  it('says goodbye in the middle of a stream, which goes on', async () => {
    const stream = session.request({ ...HEADERS, ':path': '/test.Echo/Chat' }, { endStream: false });
    stream.on('error', () => {});
    let bytes = 0;
    let grpc = -1;
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
    stream.on('trailers', (said) => (grpc = Number(said['grpc-status'])));
    stream.write(message('one'));
    await expect.poll(() => bytes).toBe(message('one').length);
    session.goaway();
    stream.end(message('two'));
    await new Promise((resolve) => stream.once('close', resolve));
    expect({ bytes, grpc }).toEqual({ bytes: 2 * message('one').length, grpc: status.OK });
  });
});

describe('what makes no sense', () => {
  it.each<[string, Record<string, string>, Buffer | undefined, boolean, number]>([
    ['a method nobody has', { ':path': '/test.Echo/Missing' }, message('x'), true, status.UNIMPLEMENTED],
    ['a service nobody has', { ':path': '/x/y' }, message('x'), true, status.UNIMPLEMENTED],
    ['a path of odd bytes', { ':path': '/test.Echo/S\u00e4y' }, message('x'), true, status.UNIMPLEMENTED],
    ['no message', {}, undefined, true, status.UNIMPLEMENTED],
    ['half a length', {}, Buffer.from([0, 0, 0]), true, status.UNIMPLEMENTED],
    ['half a message', {}, message('x').subarray(0, 8), true, status.UNIMPLEMENTED],
    ['two messages', {}, Buffer.concat([message('x'), message('y')]), true, status.UNIMPLEMENTED],
    ['a message that is none', {}, Buffer.from([0, 0, 0, 0, 2, 0x7b, 0x7b]), true, status.INTERNAL],
    ['a message that is too long', {}, Buffer.from([0, 0, 0, 16, 0]), true, status.RESOURCE_EXHAUSTED],
    ['compression nobody knows', { 'grpc-encoding': 'zip' }, Buffer.from([1, 0, 0, 0, 1, 0]), true, status.UNIMPLEMENTED],
    ['a timeout in words', { 'grpc-timeout': 'soon' }, message('x'), true, status.INTERNAL],
    ['metadata that says it is binary', { 'x-trace-bin': '***' }, message('x'), true, status.OK],
    ['metadata of odd bytes', { 'x-name': '\u00fc' }, message('x'), true, status.OK],
    ['two authorities', { ':authority': 'one', host: 'two' }, message('x'), true, status.INTERNAL],
  ])('%s', async (_, headers, body, end, grpc) => {
    expect(await ask(headers, body, end)).toMatchObject({ http: 200, grpc });
  });

  it('another content-type is not gRPC, and another method is not either', async () => {
    expect(await ask({ 'content-type': 'text/plain' }, message('x'))).toMatchObject({ http: 415, grpc: -1 });
    expect(await ask({ ':method': 'PUT', ':path': '/test.Echo/Missing' }, message('x'))).toMatchObject({
      http: 200,
      grpc: status.UNIMPLEMENTED,
    });
  });

  it('a message that is too long, from a client of grpc-js', async () => {
    expect(await client.say('x'.repeat(100_000))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await expect.poll(counted).toContain('grpc 200 8 -');
  });

  it('a hundred resets in a row, before and after the program has them', async () => {
    const streams = Array.from({ length: 100 }, (_, index) => {
      const stream = session.request({ ...HEADERS, ':path': '/test.Echo/Chat' }, { endStream: false });
      stream.on('error', () => {});
      if (index % 2 === 0) stream.close(constants.NGHTTP2_CANCEL);
      return stream;
    });
    await sleep(50);
    for (const stream of streams) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    await expect.poll(() => mesh.status().callsInFlight).toBe(0);
  });
});

describe.skipIf(pythonGrpc() !== true)("gRPC's C core", () => {
  const CLIENT = `
import grpc, json, sys
channel = grpc.insecure_channel('127.0.0.1:' + sys.argv[1])
dump, load = lambda m: json.dumps(m).encode(), lambda b: json.loads(b)
repeat = channel.unary_stream('/test.Echo/Repeat', request_serializer=dump, response_deserializer=load)
say = channel.unary_unary('/test.Echo/Say', request_serializer=dump, response_deserializer=load)
chat = channel.stream_stream('/test.Echo/Chat', request_serializer=dump, response_deserializer=load)
def code(act):
    try:
        act()
        return 'OK'
    except grpc.RpcError as e:
        return e.code().name
def cancelled():
    call = repeat({'text': 'x'})
    next(call)
    call.cancel()
    for _ in call: pass
out = [
    code(lambda: say({'text': 'x' * 5000}, timeout=5)),
    code(lambda: list(repeat({'text': 'x'}, timeout=0.1))),
    code(cancelled),
    code(lambda: say({'text': 'x'}, timeout=5, metadata=[('x-inmesh-deadline', '0')])),
    [m['text'] for m in chat(iter([{'text': 'a'}, {'text': 'b'}]), timeout=5)],
]
print(json.dumps(out))
`;

  it('hears what it would hear without a mesh', async () => {
    expect(await python(CLIENT, String(served.port))).toEqual([
      'RESOURCE_EXHAUSTED',
      'DEADLINE_EXCEEDED',
      'CANCELLED',
      'DEADLINE_EXCEEDED',
      ['a', 'b'],
    ]);
    expect(aborted).toEqual(['Repeat', 'Repeat']);
  });
});
