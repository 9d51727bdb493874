import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';

/** A gRPC server written by hand over node:http2, so that it can do what no library would. */
export interface H2Server extends AsyncDisposable {
  readonly port: number;
  /** Paths of the streams that came, in order. */
  readonly streams: string[];
  readonly sessions: readonly ServerHttp2Session[];
  /** Ends as a killed process does: every connection is reset, nothing listens any more. */
  kill(): void;
}

/** A stream that came, and which it was of its server, from 0. */
export type OnStream = (stream: ServerHttp2Stream, number: number, headers: IncomingHttpHeaders) => void;

export async function h2Server(
  onStream: OnStream,
  { settings = {}, onSession = () => {} }: { settings?: object; onSession?: (session: ServerHttp2Session) => void } = {},
): Promise<H2Server> {
  const streams: string[] = [];
  const sessions: ServerHttp2Session[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ settings });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
    onSession(session);
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    streams.push(String(headers[':path']));
    onStream(stream, streams.length - 1, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return {
    port: (server.address() as AddressInfo).port,
    streams,
    sessions,
    kill: () => {
      server.close();
      for (const socket of sockets) socket.resetAndDestroy();
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve)); // Tells of one that was closed before, too.
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A message of the echo service as it travels: five bytes of prefix, then itself. */
export function framed(text: string): Buffer {
  const body = Buffer.from(JSON.stringify({ text }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

export const GRPC_HEADERS = { ':status': 200, 'content-type': 'application/grpc' };

/** A whole answer: headers, one message, trailers. */
export function answer(stream: ServerHttp2Stream, text: string, trailers: Record<string, string> = { 'grpc-status': '0' }): void {
  stream.respond(GRPC_HEADERS, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(framed(text));
}
