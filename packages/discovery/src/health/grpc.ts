import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import type { Ask } from './ask.ts';

/** HealthCheckResponse.ServingStatus (grpc/health/v1/health.proto). */
const STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;

/** Healthy if `grpc.health.v1.Health/Check` says SERVING. One unary call written by hand: a client library would be of no other use here. */
export const askGrpc: Ask<'grpc'> = (ask, to, signal) =>
  new Promise((resolve, reject) => {
    const authority = 'path' in to ? 'localhost' : to.host.includes(':') ? `[${to.host}]:${to.port}` : `${to.host}:${to.port}`;
    const session = connect(`http://${authority}`, { createConnection: () => connectSocket(to) });
    session.unref();
    const give = (): void => end(new Error('no answer in time'));
    const end = (error?: Error): void => {
      signal.removeEventListener('abort', give);
      if (error === undefined) resolve();
      else reject(error);
      session.destroy();
    };
    signal.addEventListener('abort', give, { once: true });
    session.on('error', end);
    session.on('close', () => end(new Error('closed before it answered')));
    check(session, ask.service, (error) => end(error));
  });

function check(session: ClientHttp2Session, service: string, end: (error?: Error) => void): void {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    'user-agent': 'inmesh-probe',
    te: 'trailers',
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let grpcStatus: string | undefined;
  const read = (headers: IncomingHttpHeaders): void => {
    const status = headers['grpc-status'];
    if (typeof status === 'string') grpcStatus = status;
  };
  stream.on('response', (headers) => {
    if (headers[':status'] !== 200) end(new Error(`answered ${headers[':status']}`));
    read(headers);
  });
  stream.on('trailers', read);
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    // An answer has seven bytes; whoever sends kilobytes speaks of something else.
    if (bytes > 4096) end(new Error('answered too much'));
    else chunks.push(chunk);
  });
  stream.on('error', end);
  stream.on('end', () => {
    if (grpcStatus !== '0') return end(new Error(`grpc-status ${grpcStatus ?? 'is missing'}`));
    const status = servingStatus(Buffer.concat(chunks));
    end(status === 1 ? undefined : new Error(STATUS[status] ?? `serving status ${status}`));
  });
  stream.end(request(service));
}

/** HealthCheckRequest { string service = 1 }, in its frame: not compressed, and how long. */
function request(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)];
}

/** HealthCheckResponse { ServingStatus status = 1 }: a varint, left out where it is 0; fields it may have besides come after it. */
function servingStatus(body: Buffer): number {
  return body.length >= 7 && body[5] === 0x08 ? body[6]! : 0;
}
