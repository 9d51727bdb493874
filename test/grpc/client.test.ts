import { type CallOptions, type ClientDuplexStream, type ClientOptions, type ClientReadableStream, type ClientUnaryCall, type ClientWritableStream, makeClientConstructor, Metadata, type ServiceError, status } from '@grpc/grpc-js'; // prettier-ignore
import { afterEach, describe, expect, it } from 'vitest';
import { ECHO, type Echo, echo, type Message } from '../support/echo-grpc.ts';
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

const entry = (endpoints: Parameters<typeof serviceEntry>[1]) => serviceEntry('ratings', endpoints, { port: 9080, protocol: 'GRPC' });
const rules = (http: string, host = 'ratings') => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host}, namespace: default }
spec:
  hosts: [${host}]
  http:
${http}
`;

interface Answer {
  readonly code: number;
  readonly text: string;
  readonly details: string;
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
}

interface Client {
  say(text: string, metadata?: Record<string, string>, options?: CallOptions): Promise<Answer>;
  readonly stub: {
    Say(
      message: Message,
      metadata: Metadata,
      options: CallOptions,
      callback: (error: ServiceError | null, answer?: Message) => void,
    ): ClientUnaryCall;
    Gather(callback: (error: ServiceError | null, answer?: Message) => void): ClientWritableStream<Message>;
    Repeat(message: Message): ClientReadableStream<Message>;
    Chat(options?: CallOptions): ClientDuplexStream<Message, Message>;
    close(): void;
  };
}

function clientOf(mesh: TestMesh, target = 'mesh:///ratings', given: ClientOptions = {}): Client {
  const Stub = makeClientConstructor(ECHO, 'Echo');
  const stub = new Stub(target, mesh.grpc.credentials(), mesh.grpc.options(given)) as unknown as Client['stub'];
  left.push({ [Symbol.asyncDispose]: () => Promise.resolve(stub.close()) });
  return {
    stub,
    say: (text, metadata = {}, options = {}) =>
      new Promise((resolve) => {
        const sent = new Metadata();
        for (const [name, value] of Object.entries(metadata)) sent.set(name, value);
        let headers: Record<string, unknown> = {};
        const answer: { text: string } = { text: '' };
        const call = stub.Say({ text }, sent, options, (_, message) => (answer.text = message?.text ?? ''));
        call.on('metadata', (received) => (headers = received.getMap()));
        call.on('status', ({ code, details, metadata: trailers }) => {
          setImmediate(() => resolve({ code, details, text: answer.text, headers, trailers: trailers.getMap() }));
        });
      }),
  };
}

const ended = (stream: ClientReadableStream<Message>): Promise<{ texts: string[]; code: number }> =>
  new Promise((resolve) => {
    const texts: string[] = [];
    stream.on('data', ({ text }: Message) => texts.push(text));
    stream.on('error', () => {});
    stream.on('status', ({ code }) => setImmediate(() => resolve({ texts, code })));
  });

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
