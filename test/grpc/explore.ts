import { credentials } from '@grpc/grpc-js';
import { constants } from 'node:http2';
import { createServer as createTcp } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { echoClient } from '../support/echo-grpc.ts';
import { answer, framed, GRPC_HEADERS, h2Server, type OnStream } from '../support/h2-grpc.ts';
import { meshOf, serviceEntry } from '../support/mesh.ts';
const H = 'ratings.example.com';
const rules = (r: string) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: default }
spec:
  hosts: [${H}]
  http:
  - retries: ${r}
    route: [{ destination: { host: ${H} } }]
`;
async function run(name: string, port: number, count: () => number) {
  const out: unknown[] = [];
  for (const kind of ['mesh', 'plain', 'mesh-unary'] as const) {
    const before = count();
    const mesh = await meshOf(serviceEntry(H, [port], { port: 9080, protocol: 'GRPC' }) + rules('{ attempts: 0 }'), { identity: false });
    const client =
      kind !== 'plain'
        ? echoClient(`mesh:///${H}`, mesh.grpc.credentials(), mesh.grpc.options())
        : echoClient(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0 });
    const t = performance.now();
    const a = (await (kind === 'mesh-unary'
      ? client.say('x', {}, { deadline: Date.now() + 1500 })
      : new Promise((resolve) => {
          const stream = client.stub.Chat({ deadline: Date.now() + 1500 });
          const texts: string[] = [];
          stream.on('data', (m) => texts.push(m.text));
          stream.on('error', () => {});
          stream.on('status', (s) =>
            setImmediate(() =>
              resolve({ code: s.code, details: String(s.details).slice(0, 140), text: texts.join(), trailers: s.metadata.getMap() }),
            ),
          );
          stream.write({ text: 'x' });
        }))) as any;
    await new Promise((r) => setTimeout(r, 20));
    console.log(
      name.padEnd(30),
      kind.padEnd(10),
      a.code,
      JSON.stringify(a.details),
      a.text,
      JSON.stringify(a.trailers),
      'inflight',
      mesh.status().callsInFlight,
      Math.round(performance.now() - t) + 'ms',
      'streams',
      count() - before,
      kind === 'plain'
        ? ''
        : /istio_requests_total\{.*?response_code="(\d+)".*?grpc_response_status="(\d*)".*?response_flags="([^"]*)"/
            .exec(mesh.metrics())
            ?.slice(1)
            .join(' '),
    );
    await client[Symbol.asyncDispose]();
    await mesh.close({ graceMs: 100 });
  }
}
const only = process.argv[2];
async function h2(name: string, onStream: OnStream, opts = {}) {
  if (only && !name.includes(only)) return;
  const s = await h2Server(onStream, opts);
  await run(name, s.port, () => s.streams.length);
  await s[Symbol.asyncDispose]();
}
async function tcp(name: string, on: (s: Socket) => void) {
  if (only && !name.includes(only)) return;
  let n = 0;
  const socks: Socket[] = [];
  const s = createTcp((k) => {
    n++;
    socks.push(k);
    k.on('error', () => {});
    on(k);
  });
  await new Promise<void>((r) => s.listen(0, '127.0.0.1', r));
  await run(name, (s.address() as AddressInfo).port, () => n);
  for (const k of socks) k.destroy();
  s.close();
}
if (process.argv[3]) process.exit(0);
await h2('fine', (s) => answer(s, 'hi'));
for (const [k, code] of Object.entries(constants).filter(([k]) =>
  /^NGHTTP2_(NO_ERROR|PROTOCOL_ERROR|INTERNAL_ERROR|FLOW_CONTROL_ERROR|SETTINGS_TIMEOUT|STREAM_CLOSED|FRAME_SIZE_ERROR|REFUSED_STREAM|CANCEL|COMPRESSION_ERROR|CONNECT_ERROR|ENHANCE_YOUR_CALM|INADEQUATE_SECURITY|HTTP_1_1_REQUIRED)$/.test(
    k,
  ),
)) {
  await h2(`rst-before ${k}`, (s) => s.close(code as number));
  await h2(`rst-mid ${k}`, (s) => {
    s.respond(GRPC_HEADERS);
    s.write(framed('part'));
    setTimeout(() => s.close(code as number), 30);
  });
}
await h2('http 503 html', (s) => {
  s.respond({ ':status': 503, 'content-type': 'text/html' });
  s.end('<html>sorry</html>');
});
await h2('http 503 no body', (s) => {
  s.respond({ ':status': 503 }, { endStream: true });
});
await h2('http 404 no body', (s) => {
  s.respond({ ':status': 404 }, { endStream: true });
});
await h2('http 200 html', (s) => {
  s.respond({ ':status': 200, 'content-type': 'text/html' });
  s.end('<html>sorry</html>');
});
await h2('http 200 json+status', (s) => {
  s.respond({ ':status': 200, 'content-type': 'application/json' }, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.end(framed('json'));
});
await h2('no grpc-status', (s) => answer(s, 'x', { 'x-a': '1' }));
await h2('no trailers', (s) => {
  s.respond(GRPC_HEADERS);
  s.end(framed('x'));
});
await h2('trailers-only without status', (s) => {
  s.respond(GRPC_HEADERS, { endStream: true });
});
await h2('grpc-status abc', (s) => answer(s, 'x', { 'grpc-status': 'abc' }));
await h2('grpc-status 99', (s) => answer(s, 'x', { 'grpc-status': '99' }));
await h2('grpc-status 99 only', (s) => s.respond({ ...GRPC_HEADERS, 'grpc-status': '99' }, { endStream: true }));
await h2('grpc-status -1', (s) => answer(s, 'x', { 'grpc-status': '-1' }));
await h2('grpc-message bad %', (s) => answer(s, 'x', { 'grpc-status': '5', 'grpc-message': '%zz%' }));
await h2('bad -bin', (s) => {
  s.respond({ ...GRPC_HEADERS, 'x-bin': '!!!' }, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0', 'y-bin': '@@' }));
  s.end(framed('json'));
});
await h2('garbage message', (s) => {
  s.respond(GRPC_HEADERS);
  s.end(Buffer.from('this is not a grpc frame at all'));
});
await h2('bad json message', (s) => {
  s.respond(GRPC_HEADERS, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.end(Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]));
});
await h2('truncated message', (s) => {
  s.respond(GRPC_HEADERS, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.end(Buffer.from([0, 0, 0, 1, 0, 1, 2]));
});
await h2('compressed nonsense', (s) => {
  s.respond({ ...GRPC_HEADERS, 'grpc-encoding': 'gzip' }, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.end(Buffer.from([1, 0, 0, 0, 3, 1, 2, 3]));
});
await h2('unknown encoding', (s) => {
  s.respond({ ...GRPC_HEADERS, 'grpc-encoding': 'zstd' }, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.end(Buffer.from([1, 0, 0, 0, 3, 1, 2, 3]));
});
await h2(
  'big headers',
  (s) => {
    s.respond({ ...GRPC_HEADERS, 'x-big': 'y'.repeat(60000), 'x-big2': 'y'.repeat(60000) }, { waitForTrailers: true });
    s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
    s.end(framed('x'));
  },
  { settings: {} },
);
await h2('many headers', (s) => {
  s.respond({ ...GRPC_HEADERS, ...Object.fromEntries(Array.from({ length: 500 }, (_, i) => ['x-' + i, 'v'])) }, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.end(framed('x'));
});
await h2('never answers', () => {});
await h2('half-closed by server', (s) => {
  s.respond({ ...GRPC_HEADERS, 'grpc-status': '0' }, { endStream: true });
});
await h2('headers then silence', (s) => {
  s.respond(GRPC_HEADERS);
});
await h2('goaway 0 mid', (s) => {
  s.respond(GRPC_HEADERS, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.write(framed('a'));
  s.session!.goaway(0);
  setTimeout(() => s.end(framed('b')), 50);
});
await h2('goaway 11 mid', (s) => {
  s.respond(GRPC_HEADERS, { waitForTrailers: true });
  s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
  s.write(framed('a'));
  setTimeout(() => s.session!.goaway(11), 20);
  setTimeout(() => !s.destroyed && s.end(framed('b')), 70);
});
await h2(
  'goaway unprocessed',
  (s) => {
    s.session!.goaway(0, 0 as number, Buffer.from('x'));
  },
  {},
);
await h2(
  'goaway before',
  (s) => {
    s.session!.goaway(0);
    setTimeout(() => s.session?.destroy(), 20);
  },
  {},
);
await h2('conn reset before', (s) => {
  s.session!.socket as any;
  setTimeout(() => s.session!.destroy(), 10);
});
await h2('conn reset mid', (s) => {
  s.respond(GRPC_HEADERS);
  s.write(framed('a'));
  setTimeout(() => s.session!.destroy(), 20);
});
await h2('refuse first', (s, n) => (n % 2 === 0 ? s.close(7) : answer(s, 'second')));
await tcp('garbage bytes', (k) => k.write('garbage garbage garbage garbage\n'));
await tcp('http1 400', (k) => k.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'));
await tcp('accept then close', (k) => k.end());
await tcp('accept then reset', (k) => k.resetAndDestroy());
await tcp('accept silent', () => {});
await tcp('settings then garbage', (k) => {
  k.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  k.once('data', () => setTimeout(() => k.write(Buffer.from('ffffffffffffffffffffff')), 50));
});
await tcp('settings then silence', (k) => {
  k.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
});
await tcp('settings then fin', (k) => {
  k.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  setTimeout(() => k.end(), 100);
});
await tcp('goaway-unprocessed raw', (k) => {
  k.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  setTimeout(() => k.write(Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), 100);
});
console.log('done');
