import { type CallOptions, type ChannelCredentials, type ClientDuplexStream, type ClientOptions, type ClientReadableStream, type ClientUnaryCall, type ClientWritableStream, makeClientConstructor, Metadata, Server, ServerCredentials, type ServerDuplexStream, type ServerReadableStream, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, type ServiceDefinition, type ServiceError, type UntypedServiceImplementation } from '@grpc/grpc-js'; // prettier-ignore

export interface Message {
  readonly text: string;
}

const codec = { serialize: (message: Message) => Buffer.from(JSON.stringify(message)), deserialize: (bytes: Buffer) => JSON.parse(bytes.toString()) as Message }; // prettier-ignore
const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${path}`,
  requestStream,
  responseStream,
  requestSerialize: codec.serialize,
  requestDeserialize: codec.deserialize,
  responseSerialize: codec.serialize,
  responseDeserialize: codec.deserialize,
});

/** A service with one method of each kind. */
export const ECHO = {
  Say: method('Say', false, false),
  Gather: method('Gather', true, false),
  Repeat: method('Repeat', false, true),
  Chat: method('Chat', true, true),
} satisfies ServiceDefinition;

export interface Seen {
  readonly path: string;
  readonly metadata: Record<string, string>;
  readonly text: string;
}

export interface Echo extends AsyncDisposable {
  readonly port: number;
  readonly name: string;
  readonly server: Server;
  readonly seen: Seen[];
  /** Milliseconds since 1970 at which callers of Say give up; Infinity: never. */
  readonly deadlines: number[];
  /** Fails the next calls of Say with this code; 0 answers. */
  fail: { code: number; times: number; metadata?: Metadata };
  delayMs: number;
  stop(): void;
}

interface EchoOptions {
  readonly port?: number;
  readonly host?: string;
  readonly server?: Server;
  readonly secured?: ServerCredentials;
  /** In place of the methods below. */
  readonly methods?: UntypedServiceImplementation;
}

/** A plain server of grpc-js: says its name and what it heard. */
export async function echo(
  name: string,
  { port = 0, host = '127.0.0.1', server = new Server(), secured = ServerCredentials.createInsecure(), methods = {} }: EchoOptions = {},
): Promise<Echo> {
  // prettier-ignore
  const seen: Seen[] = [];
  const note = (path: string, metadata: Metadata, text: string) =>
    seen.push({ path, metadata: metadata.getMap() as Record<string, string>, text });
  const made: Echo = {
    name, server, seen, deadlines: [], port: 0, fail: { code: 0, times: 0 }, delayMs: 0,
    stop: () => server.forceShutdown(),
    [Symbol.asyncDispose]: () => Promise.resolve(server.forceShutdown()),
  }; // prettier-ignore
  server.addService(ECHO, {
    Say: (call: ServerUnaryCall<Message, Message>, callback: sendUnaryData<Message>) => {
      note('Say', call.metadata, call.request.text);
      made.deadlines.push(Number(call.getDeadline()));
      const { fail } = made;
      if (fail.times > 0) {
        fail.times -= 1;
        callback({ code: fail.code, details: `${name} fails`, metadata: fail.metadata ?? new Metadata() });
        return;
      }
      const headers = new Metadata();
      headers.set('x-server', name);
      const trailers = new Metadata();
      trailers.set('x-trailer', 'last');
      const answer = () => {
        call.sendMetadata(headers);
        callback(null, { text: `${name}: ${call.request.text}` }, trailers);
      };
      if (made.delayMs > 0) setTimeout(answer, made.delayMs);
      else answer();
    },
    Gather: (call: ServerReadableStream<Message, Message>, callback: sendUnaryData<Message>) => {
      const texts: string[] = [];
      call.on('data', ({ text }: Message) => texts.push(text));
      call.on('end', () => {
        note('Gather', call.metadata, texts.join());
        const { fail } = made;
        if (fail.times > 0) {
          fail.times -= 1;
          callback({ code: fail.code, details: `${name} fails` });
        } else callback(null, { text: `${name}: ${texts.join()}` });
      });
    },
    Repeat: (call: ServerWritableStream<Message, Message>) => {
      note('Repeat', call.metadata, call.request.text);
      for (let index = 0; index < 3; index += 1) call.write({ text: `${name}: ${call.request.text} ${index}` });
      call.end();
    },
    Chat: (call: ServerDuplexStream<Message, Message>) => {
      note('Chat', call.metadata, '');
      call.on('data', ({ text }: Message) => call.write({ text: `${name}: ${text}` }));
      call.on('end', () => call.end());
      call.on('error', () => {});
    },
    ...methods,
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, secured, (error, at) => (error === null ? resolve(at) : reject(error)));
  });
  return Object.assign(made, { port: bound });
}

/** What a program gets of a unary call. */
export interface Answer {
  readonly code: number;
  readonly text: string;
  readonly details: string;
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
}

export interface EchoClient extends AsyncDisposable {
  readonly say: (text: string, metadata?: Record<string, string>, options?: CallOptions) => Promise<Answer>;
  readonly stub: {
    Say(
      message: Message,
      metadata: Metadata,
      options: CallOptions,
      callback: (error: ServiceError | null, answer?: Message) => void,
    ): ClientUnaryCall;
    Gather(callback: (error: ServiceError | null, answer?: Message) => void): ClientWritableStream<Message>;
    Gather(metadata: Metadata, callback: (error: ServiceError | null, answer?: Message) => void): ClientWritableStream<Message>;
    Repeat(message: Message): ClientReadableStream<Message>;
    Chat(options?: CallOptions): ClientDuplexStream<Message, Message>;
    close(): void;
  };
}

/** A client made by grpc-js. */
export function echoClient(target: string, credentials: ChannelCredentials, options: ClientOptions = {}): EchoClient {
  const Stub = makeClientConstructor(ECHO, 'Echo');
  const stub = new Stub(target, credentials, options) as unknown as EchoClient['stub'];
  return {
    stub,
    [Symbol.asyncDispose]: () => Promise.resolve(stub.close()),
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

/** All that a stream brings, and how it ended. */
export const ended = (stream: ClientReadableStream<Message>): Promise<{ texts: string[]; code: number }> =>
  new Promise((resolve) => {
    const texts: string[] = [];
    stream.on('data', ({ text }: Message) => texts.push(text));
    stream.on('error', () => {});
    stream.on('status', ({ code }) => setImmediate(() => resolve({ texts, code })));
  });
