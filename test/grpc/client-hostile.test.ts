import { Metadata, status } from '@grpc/grpc-js';
import { constants } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { echoClient, type Message } from '../support/echo-grpc.ts';
import { answer, framed, GRPC_HEADERS, h2Server, type OnStream } from '../support/h2-grpc.ts';
import { meshOf, serviceEntry, virtualService } from '../support/mesh.ts';
import { listening } from '../support/raw.ts';

// Servers that break off, fall silent, or send nonsense. Whatever they do, the call ends, with the status gRPC has for it, and nothing
// stays in flight.

const HOST = 'ratings.example.com';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

interface Heard {
  readonly code: number;
  readonly details: string;
  readonly texts: readonly string[];
  readonly flags: string;
}

/** One call of a stream that says one thing and stays open; it waits 400 ms. Retries only as `retries` says: not at all. */
async function called(port: number, retries = '{ attempts: 0 }'): Promise<Heard> {
  const mesh = await meshOf(
    serviceEntry(HOST, [port], { port: 9080, protocol: 'GRPC' }) +
      virtualService(HOST, `- retries: ${retries}\n  route: [{ destination: { host: ${HOST} } }]`),
    { identity: false },
  );
  const client = echoClient(`mesh:///${HOST}`, mesh.grpc.credentials(), mesh.grpc.options());
  left.push(mesh, client);
  const heard = await new Promise<Omit<Heard, 'flags'>>((resolve) => {
    const texts: string[] = [];
    const chat = client.stub.Chat({ deadline: Date.now() + 400 });
    chat.on('data', ({ text }: Message) => texts.push(text));
    chat.on('error', () => {});
    chat.on('status', ({ code, details }) => setImmediate(() => resolve({ code, details, texts })));
    chat.write({ text: 'x' });
  });
  const { callsInFlight, snapshot } = mesh.status();
  // Limits and least request go by what a cluster counts.
  const active = snapshot.clusters.flatMap((cluster) => [cluster.active, ...cluster.endpoints.map((endpoint) => endpoint.active)]);
  expect([callsInFlight, ...active]).toEqual([0, ...active.map(() => 0)]);
  expect(active.length).toBeGreaterThan(1);
  // Counted once, with what the program heard.
  const counted = [...mesh.metrics().matchAll(/^istio_requests_total\{(.*)\} (\d+)$/gm)];
  expect(counted.map(([, , count]) => count)).toEqual(['1']);
  expect(counted[0]![1]).toContain(`grpc_response_status="${heard.code}"`);
  return { ...heard, flags: /response_flags="([^"]*)"/.exec(counted[0]![1]!)![1]! };
}

async function h2(onStream: OnStream) {
  const server = await h2Server(onStream);
  left.push(server);
  return server;
}

async function tcp(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  left.push({
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  });
  return listening(server);
}

/** HTTP/2 by hand: a SETTINGS frame, so that the connection counts as made. */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

/** Connects, then does something once a call's HEADERS have come (a client's first 80 bytes are preface and settings). */
const afterHeaders =
  (act: (socket: Socket) => void) =>
  (socket: Socket): void => {
    socket.write(SETTINGS);
    let read = 0;
    let acted = false;
    socket.on('data', (bytes) => {
      read += bytes.length;
      if (acted || read < 150) return;
      acted = true;
      act(socket);
    });
  };

const { CANCELLED, DEADLINE_EXCEEDED, INTERNAL, NOT_FOUND, OK, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE, UNIMPLEMENTED, UNKNOWN } = status; // prettier-ignore

// gRPC's table (PROTOCOL-HTTP2.md, "Errors").
const RESETS = [
  ['NO_ERROR', constants.NGHTTP2_NO_ERROR, INTERNAL],
  ['PROTOCOL_ERROR', constants.NGHTTP2_PROTOCOL_ERROR, INTERNAL],
  ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR, INTERNAL],
  ['FLOW_CONTROL_ERROR', constants.NGHTTP2_FLOW_CONTROL_ERROR, INTERNAL],
  ['SETTINGS_TIMEOUT', constants.NGHTTP2_SETTINGS_TIMEOUT, INTERNAL],
  ['STREAM_CLOSED', constants.NGHTTP2_STREAM_CLOSED, INTERNAL],
  ['FRAME_SIZE_ERROR', constants.NGHTTP2_FRAME_SIZE_ERROR, INTERNAL],
  ['REFUSED_STREAM', constants.NGHTTP2_REFUSED_STREAM, UNAVAILABLE],
  ['CANCEL', constants.NGHTTP2_CANCEL, CANCELLED],
  ['COMPRESSION_ERROR', constants.NGHTTP2_COMPRESSION_ERROR, INTERNAL],
  ['CONNECT_ERROR', constants.NGHTTP2_CONNECT_ERROR, INTERNAL],
  ['ENHANCE_YOUR_CALM', constants.NGHTTP2_ENHANCE_YOUR_CALM, RESOURCE_EXHAUSTED],
  ['INADEQUATE_SECURITY', constants.NGHTTP2_INADEQUATE_SECURITY, PERMISSION_DENIED],
  ['HTTP_1_1_REQUIRED', constants.NGHTTP2_HTTP_1_1_REQUIRED, INTERNAL],
] as const;

describe('a stream that is reset', () => {
  it.each(RESETS)('with %s, before its headers and after', async (_, code, expected) => {
    const before = await h2((stream) => stream.close(code));
    expect(await called(before.port)).toMatchObject({ code: expected, texts: [], flags: 'UR' });
    const after = await h2((stream) => {
      stream.respond(GRPC_HEADERS);
      stream.write(framed('part'), () => stream.close(code));
    });
    expect(await called(after.port)).toMatchObject({ code: expected, texts: ['part'], flags: 'UR' });
  });

  it('before its headers may be repeated as any reset, after them never', async () => {
    const policy = '{ attempts: 1, retryOn: reset }';
    const before = await h2((stream, number) => {
      if (number === 0) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      else answer(stream, 'second');
    });
    expect(await called(before.port, policy)).toMatchObject({ code: OK, texts: ['second'] });
    const after = await h2((stream) => {
      stream.respond(GRPC_HEADERS);
      stream.write(framed('part'), () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    });
    expect(await called(after.port, policy)).toMatchObject({ code: INTERNAL, texts: ['part'] });
    expect(after.streams.length).toBe(1);
  });
});

interface Row {
  readonly name: string;
  readonly server: OnStream;
  readonly code: number;
  readonly texts?: readonly string[];
  readonly details?: RegExp;
  /** '-': how it went is the server's own word. */
  readonly flags?: string;
}

const withHeaders =
  (headers: Record<string, string | number>, body: Buffer | string, trailers?: Record<string, string>): OnStream =>
  (stream) => {
    stream.respond(headers, { waitForTrailers: trailers !== undefined });
    if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.end(body);
  };
const only =
  (headers: Record<string, string | number>): OnStream =>
  (stream) =>
    stream.respond(headers, { endStream: true });
const FINE = { 'grpc-status': '0' };
const HTML = '<html><body>sorry</body></html>';

const ODD_ANSWERS: readonly Row[] = [
  { name: 'is only trailers', server: only({ ...GRPC_HEADERS, 'grpc-status': 5 }), code: NOT_FOUND },
  { name: 'half-closes at once', server: only({ ...GRPC_HEADERS, 'grpc-status': 0 }), code: OK },
  { name: 'has no grpc-status in its trailers', server: withHeaders(GRPC_HEADERS, framed('a'), { 'x-a': '1' }), code: UNKNOWN, texts: ['a'] },
  { name: 'has no grpc-status and no body', server: only(GRPC_HEADERS), code: UNKNOWN },
  { name: 'has no trailers', server: withHeaders(GRPC_HEADERS, framed('a')), code: INTERNAL, texts: ['a'], flags: 'UR' },
  { name: 'has a grpc-status in words', server: withHeaders(GRPC_HEADERS, '', { 'grpc-status': 'ok' }), code: UNKNOWN },
  { name: 'has a grpc-status beyond gRPC', server: withHeaders(GRPC_HEADERS, '', { 'grpc-status': '99' }), code: UNKNOWN },
  { name: 'has a negative grpc-status', server: only({ ...GRPC_HEADERS, 'grpc-status': '-1' }), code: UNKNOWN },
  { name: 'has a grpc-message that is not encoded', server: withHeaders(GRPC_HEADERS, '', { 'grpc-status': '5', 'grpc-message': '%zz%' }), code: NOT_FOUND, details: /^%zz%$/ },
  { name: 'speaks of resets in its own words', server: withHeaders(GRPC_HEADERS, '', { 'grpc-status': '13', 'grpc-message': 'Received RST_STREAM with code 2' }), code: INTERNAL },
  { name: 'has binary metadata that is none', server: withHeaders({ ...GRPC_HEADERS, 'x-bin': '!!!' }, framed('a'), { ...FINE, 'y-bin': '@' }), code: OK, texts: ['a'] },
  { name: 'is no sequence of messages', server: withHeaders(GRPC_HEADERS, 'these are no messages of gRPC', FINE), code: RESOURCE_EXHAUSTED },
  { name: 'holds a message that cannot be parsed', server: withHeaders(GRPC_HEADERS, Buffer.from([0, 0, 0, 0, 1, 255]), FINE), code: INTERNAL, flags: 'DC' },
  { name: 'holds a message that is not gzip', server: withHeaders({ ...GRPC_HEADERS, 'grpc-encoding': 'gzip' }, Buffer.from([1, 0, 0, 0, 1, 255]), FINE), code: INTERNAL },
  { name: 'is compressed in an unknown way', server: withHeaders({ ...GRPC_HEADERS, 'grpc-encoding': 'zstd' }, Buffer.from([1, 0, 0, 0, 1, 255]), FINE), code: INTERNAL },
  { name: 'has a thousand headers', server: only({ ...GRPC_HEADERS, ...FINE, ...Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`x-${index}`, 'v'])) }), code: RESOURCE_EXHAUSTED, flags: 'UR' },
  { name: 'is a page', server: withHeaders({ ':status': 200, 'content-type': 'text/html' }, HTML), code: UNKNOWN, details: /"text\/html", not gRPC/ },
  { name: 'is gRPC but does not say so', server: withHeaders({ ':status': 200, 'content-type': 'application/json' }, framed('a'), FINE), code: UNKNOWN, details: /"application\/json", not gRPC/ },
  { name: 'is a page of 400', server: withHeaders({ ':status': 400, 'content-type': 'text/html' }, HTML), code: INTERNAL },
  { name: 'is a page of 401', server: withHeaders({ ':status': 401, 'content-type': 'text/html' }, HTML), code: status.UNAUTHENTICATED },
  { name: 'is a page of 403', server: withHeaders({ ':status': 403, 'content-type': 'text/html' }, HTML), code: PERMISSION_DENIED },
  { name: 'is a page of 404', server: withHeaders({ ':status': 404, 'content-type': 'text/html' }, HTML), code: UNIMPLEMENTED },
  { name: 'is a page of 429', server: withHeaders({ ':status': 429, 'content-type': 'text/html' }, HTML), code: UNAVAILABLE },
  { name: 'is a page of 503', server: withHeaders({ ':status': 503, 'content-type': 'text/html' }, HTML), code: UNAVAILABLE, details: /HTTP status code 503.*"text\/html"/ },
  { name: 'is 503 alone', server: only({ ':status': 503 }), code: UNAVAILABLE },
  { name: 'is 500 alone', server: only({ ':status': 500 }), code: UNKNOWN },
]; // prettier-ignore

describe('an answer that', () => {
  it.each(ODD_ANSWERS)('$name', async ({ server, code, texts = [], details, flags = '-' }) => {
    const { port } = await h2(server);
    const heard = await called(port);
    // A server may speak as grpc-js does of resets; its caller hears the same, only the count is fooled.
    expect(heard).toMatchObject({ code, texts, ...(heard.details.includes('RST_STREAM') ? {} : { flags }) });
    if (details !== undefined) expect(heard.details).toMatch(details);
  });

  it('is a page commits to nothing: what a proxy on the way says is repeated as the policy says', async () => {
    const server = await h2((stream, number) => {
      if (number > 0) return answer(stream, 'second');
      stream.respond({ ':status': 503, 'content-type': 'text/html' });
      stream.end(HTML);
    });
    expect(await called(server.port, '{ attempts: 1, retryOn: unavailable }')).toMatchObject({ code: OK, texts: ['second'] });
  });
});

const CONNECTIONS: readonly (readonly [name: string, onSocket: (socket: Socket) => void, code: number, flags: string])[] = [
  ['is no HTTP', (socket) => void socket.write('these are not the frames you are looking for\n'), UNAVAILABLE, 'UF'],
  ['is HTTP/1.1', (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'), UNAVAILABLE, 'UF'],
  ['is closed at once', (socket) => void socket.end(), UNAVAILABLE, 'UF'],
  ['is reset at once', (socket) => void socket.resetAndDestroy(), UNAVAILABLE, 'UF'],
  ['is accepted and no more', () => {}, DEADLINE_EXCEEDED, 'UT'],
  ['takes a call and no more', (socket) => void socket.write(SETTINGS), DEADLINE_EXCEEDED, 'UT'],
  ['ends before the headers', afterHeaders((socket) => socket.end()), UNAVAILABLE, 'UC'],
  ['is reset before the headers', afterHeaders((socket) => socket.resetAndDestroy()), UNAVAILABLE, 'UC'],
  ['turns into nonsense', afterHeaders((socket) => socket.write('nonsense, nonsense, nonsense')), INTERNAL, 'UPE'],
  ['is left with a GOAWAY that holds no stream', afterHeaders((socket) => socket.write(goaway(0))), UNAVAILABLE, 'UR'],
];

describe('a connection that', () => {
  it.each(CONNECTIONS)('%s', async (_, onSocket, code, flags) => {
    expect(await called(await tcp(onSocket))).toMatchObject({ code, texts: [], flags });
  });

  it.each([
    ['sends headers and no more', () => {}, DEADLINE_EXCEEDED, 'UT'],
    ['is cut after the headers', (socket: { destroy(): unknown }) => void socket.destroy(), UNAVAILABLE, 'UC'],
  ] as const)('%s', async (_, act, code, flags) => {
    const { port } = await h2((stream) => {
      const session = stream.session!;
      stream.respond(GRPC_HEADERS);
      stream.write(framed('part'), () => setTimeout(() => act(session), 20));
    });
    expect(await called(port)).toMatchObject({ code, texts: ['part'], flags });
  });

  it('is left with a GOAWAY in the middle of a stream finishes it', async () => {
    const server = await h2((stream) => {
      stream.respond(GRPC_HEADERS, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.write(framed('a'));
      stream.session!.goaway(constants.NGHTTP2_NO_ERROR);
      setTimeout(() => stream.end(framed('b')), 30);
    });
    expect(await called(server.port)).toMatchObject({ code: OK, texts: ['a', 'b'], flags: '-' });
  });

  it('is left with an angry GOAWAY in the middle of a stream breaks it', async () => {
    const server = await h2((stream) => {
      const session = stream.session!;
      stream.respond(GRPC_HEADERS);
      stream.write(framed('a'), () => setTimeout(() => session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM), 20));
    });
    expect(await called(server.port)).toMatchObject({ code: RESOURCE_EXHAUSTED, texts: ['a'], flags: 'UR' });
  });
});

describe('a call of which nothing is heard', () => {
  it('may wait for the connection for as long as the policy says, and no longer', async () => {
    const port = await tcp(() => {});
    const mesh = await meshOf(
      serviceEntry(HOST, [port], { port: 9080, protocol: 'GRPC' }) +
        `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ratings, namespace: default }
spec: { host: ${HOST}, trafficPolicy: { connectionPool: { tcp: { connectTimeout: 150ms } } } }
` +
        virtualService(HOST, `- retries: { attempts: 0 }\n  route: [{ destination: { host: ${HOST} } }]`),
      { identity: false },
    );
    const client = echoClient(`mesh:///${HOST}`, mesh.grpc.credentials(), mesh.grpc.options());
    left.push(mesh, client);
    const began = performance.now();
    const code = await new Promise((resolve) => client.stub.Say({ text: 'x' }, new Metadata(), {}, (error) => resolve(error?.code)));
    expect(code).toBe(UNAVAILABLE);
    expect(performance.now() - began).toBeGreaterThan(140);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(mesh.status().callsInFlight).toBe(0);
  });
});

/** A GOAWAY frame without error. */
function goaway(lastStream: number): Buffer {
  const frame = Buffer.alloc(17);
  frame.writeUIntBE(8, 0, 3);
  frame[3] = 7;
  frame.writeUInt32BE(lastStream, 9);
  return frame;
}
