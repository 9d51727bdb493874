import { create, createFileRegistry, type Message } from '@bufbuild/protobuf';
import type { GenMessage, GenService } from '@bufbuild/protobuf/codegenv2';
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  MethodOptions_IdempotencyLevel,
} from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';

export type Say = Message<'test.Text'> & { text: string };
type SaySchema = GenMessage<Say>;

const method = (name: string, clientStreaming: boolean, serverStreaming: boolean) => ({
  name, clientStreaming, serverStreaming, inputType: '.test.Text', outputType: '.test.Text',
}); // prettier-ignore

const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'echo.proto',
    package: 'test',
    syntax: 'proto3',
    messageType: [
      {
        name: 'Text',
        field: [
          { name: 'text', number: 1, type: FieldDescriptorProto_Type.STRING, label: FieldDescriptorProto_Label.OPTIONAL, jsonName: 'text' },
        ],
      },
    ],
    service: [
      { name: 'Echo', method: [{ ...method('Say', false, false), options: { idempotencyLevel: MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS } }, method('Gather', true, false), method('Repeat', false, true), method('Chat', true, true)] },
    ],
  }),
  () => undefined,
); // prettier-ignore

/** The service of `echo-grpc.ts`, with a schema: what protoc-gen-es makes, made at run time. */
export const Echo = registry.getService('test.Echo')! as unknown as GenService<{
  say: { methodKind: 'unary'; input: SaySchema; output: SaySchema };
  gather: { methodKind: 'client_streaming'; input: SaySchema; output: SaySchema };
  repeat: { methodKind: 'server_streaming'; input: SaySchema; output: SaySchema };
  chat: { methodKind: 'bidi_streaming'; input: SaySchema; output: SaySchema };
}>;

export interface ConnectEcho extends AsyncDisposable {
  readonly port: number;
  /** Of each call: its method, GET or POST, the protocol of connect, its headers. */
  readonly seen: { readonly method: string; readonly verb: string; readonly protocol: string; readonly header: Headers }[];
  /** Signals of calls, in order. */
  readonly signals: AbortSignal[];
  /** Messages that `chat` and `gather` have read. */
  read: number;
  /** Fails the next calls with this code. */
  fail: { code: Code; times: number };
  /** Holds `gather` and `chat` back before they read. */
  hold: Promise<void> | undefined;
  readonly server: ReturnType<typeof createHttpServer> | Http2Server;
  /** Cuts all connections. */
  hangUp(): void;
  /** Streams of HTTP/2 that are open. */
  readonly streams: () => number;
  /** Streams that ended with an error. */
  readonly resets: () => number;
}

export interface ConnectEchoOptions {
  /** Default: HTTP/2 without TLS. */
  readonly http1?: boolean;
  /** Given the server before it listens. */
  readonly wrap?: (server: ConnectEcho['server']) => void;
}

/** A server of connect-node: all three protocols. Says its name and what it heard. */
export async function connectEcho(name: string, { http1 = false, wrap }: ConnectEchoOptions = {}): Promise<ConnectEcho> {
  const note = (method: string, context: HandlerContext): void => {
    made.seen.push({ method, verb: context.requestMethod, protocol: context.protocolName, header: context.requestHeader });
    made.signals.push(context.signal);
    if (made.fail.times === 0) return;
    made.fail.times -= 1;
    throw new ConnectError(`${name} fails`, made.fail.code, { 'x-why': 'told so' });
  };
  const routes = (router: ConnectRouter): ConnectRouter =>
    router.service(Echo, {
      say: ({ text }, context) => {
        note('Say', context);
        context.responseHeader.set('x-server', name);
        context.responseTrailer.set('x-trailer', 'last');
        return { text: `${name}: ${text}` };
      },
      async gather(requests, context) {
        note('Gather', context);
        await made.hold;
        const texts: string[] = [];
        for await (const { text } of requests) {
          made.read += 1;
          texts.push(text);
        }
        return { text: `${name}: ${texts.join()}` };
      },
      async *repeat({ text }, context) {
        note('Repeat', context);
        context.responseTrailer.set('x-trailer', 'last');
        for (let index = 0; index < 3; index += 1) yield { text: `${name}: ${text} ${index}` };
      },
      async *chat(requests, context) {
        note('Chat', context);
        await made.hold;
        for await (const { text } of requests) {
          made.read += 1;
          yield { text: `${name}: ${text}` };
        }
      },
    });
  const handler = connectNodeAdapter({ routes });
  const server = http1 ? createHttpServer(handler as RequestListener) : createHttp2Server(handler);
  const open = new Set<Socket | ServerHttp2Session>();
  let streams = 0;
  let resets = 0;
  for (const event of ['connection', 'session'])
    server.on(event, (one: Socket) => {
      open.add(one);
      one.once('close', () => open.delete(one)).on('error', () => {});
    });
  server.on('stream', (stream) => {
    streams += 1;
    stream.once('close', () => {
      streams -= 1;
      if (stream.rstCode !== 0) resets += 1;
    });
  });
  wrap?.(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const made: ConnectEcho = {
    port: (server.address() as AddressInfo).port, server, seen: [], signals: [], read: 0, fail: { code: Code.Unknown, times: 0 }, hold: undefined, streams: () => streams, resets: () => resets,
    hangUp: () => {
      for (const one of open) one.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      made.hangUp();
      await new Promise((resolve) => server.close(resolve));
    },
  }; // prettier-ignore
  return made;
}
