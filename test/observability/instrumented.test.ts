import { credentials } from '@grpc/grpc-js';
import { SpanKind } from '@opentelemetry/api';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Echo, echo, echoClient } from '../support/echo-grpc.ts';
import { serviceEntry } from '../support/mesh.ts';
import { type Child, child } from '../support/process.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

// Programs with OpenTelemetry's own instrumentation, in processes of their own: one call is one span a side, whoever makes it.

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const traceparent = `00-${TRACE}-${CALLER}-01`;
const OURS = '@inmesh/telemetry';

interface Told {
  readonly kind: SpanKind;
  readonly scope: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: string | undefined;
  readonly cluster: string | undefined;
}

let next: Upstream;
let stranger: Upstream;
let behind: Echo;
let policy: string;

beforeAll(async () => {
  next = await upstream(say('ok'));
  stranger = await upstream(say('ok'));
  behind = await echo('behind');
  policy = serviceEntry('next.example.com', [next.port]) + serviceEntry('behind.example.com', [behind.port], { protocol: 'GRPC' });
});

afterAll(async () => {
  await next.kill();
  await stranger.kill();
  behind.stop();
});

const start = (kind: 'http' | 'undici' | 'grpc'): Promise<Child> =>
  child('observability/instrumented.child.ts', { kind, policy, stranger: stranger.port });

/** The spans of a program, once there are that many; later ones would be one too many. */
async function spansOf({ process: program }: Child, count: number): Promise<Told[]> {
  const ask = async (): Promise<Told[]> => {
    program.send('spans?');
    const [told] = (await once(program, 'message')) as [Told[]];
    return told;
  };
  await vi.waitFor(async () => expect((await ask()).length).toBeGreaterThanOrEqual(count), { timeout: 5000 });
  await new Promise((resolve) => setTimeout(resolve, 50));
  return ask();
}

const portsOf = ({ ready }: Child) => ready as { readonly http: number; readonly grpc: number };
const get = async (port: number, path = '/'): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}${path}`, { headers: { traceparent } })).text();
const of = (spans: readonly Told[], kind: SpanKind): Told[] => spans.filter((span) => span.kind === kind);

describe('one span a side, beside', () => {
  it('instrumentation-http: it keeps the server’s, and calls are its children', async () => {
    await using program = await start('http');
    next.seen.length = 0;
    expect(await get(portsOf(program).http)).toBe('done');
    const spans = await spansOf(program, 3);
    const [server, ...more] = of(spans, SpanKind.SERVER);
    expect(more).toEqual([]);
    expect(server).toMatchObject({ scope: '@opentelemetry/instrumentation-http', traceId: TRACE, parent: CALLER });
    const clients = of(spans, SpanKind.CLIENT);
    expect(clients.map(({ scope, parent }) => ({ scope, parent }))).toEqual([
      { scope: OURS, parent: server!.spanId },
      { scope: OURS, parent: server!.spanId },
    ]);
    expect(next.seen.map(({ headers }) => headers['traceparent'])).toEqual(clients.map(({ spanId }) => `00-${TRACE}-${spanId}-01`));
  });

  it('instrumentation-undici: calls are the mesh’s, with one traceparent; those to strangers are its own', async () => {
    await using program = await start('undici');
    next.seen.length = stranger.seen.length = 0;
    expect(await get(portsOf(program).http)).toBe('done');
    const spans = await spansOf(program, 3);
    const [server] = of(spans, SpanKind.SERVER);
    expect(server).toMatchObject({ scope: OURS, parent: CALLER });
    const clients = of(spans, SpanKind.CLIENT);
    expect(clients.map(({ scope, parent }) => ({ scope, parent }))).toEqual([
      { scope: OURS, parent: server!.spanId },
      { scope: OURS, parent: server!.spanId },
    ]);
    for (const { rawHeaders } of next.seen) expect(rawHeaders.filter((name) => name.toLowerCase() === 'traceparent')).toHaveLength(1);
    await get(portsOf(program).http, '/outside');
    const outside = (await spansOf(program, 5)).slice(3);
    const [call] = of(outside, SpanKind.CLIENT);
    expect(call).toMatchObject({ scope: '@opentelemetry/instrumentation-undici', parent: of(outside, SpanKind.SERVER)[0]!.spanId });
    expect(stranger.seen[0]!.headers['traceparent']).toBe(`00-${TRACE}-${call!.spanId}-01`);
  });

  it('instrumentation-grpc: it keeps both sides’, and the mesh says in its spans what it knows', async () => {
    await using program = await start('grpc');
    behind.seen.length = 0;
    await using caller = echoClient(`127.0.0.1:${portsOf(program).grpc}`, credentials.createInsecure());
    expect(await caller.say('hello', { traceparent })).toMatchObject({ text: 'behind: on' });
    const spans = await spansOf(program, 2);
    const [server, ...servers] = of(spans, SpanKind.SERVER);
    const [client, ...clients] = of(spans, SpanKind.CLIENT);
    expect([...servers, ...clients]).toEqual([]);
    expect(server).toMatchObject({ scope: '@opentelemetry/instrumentation-grpc', traceId: TRACE, parent: CALLER });
    expect(client).toMatchObject({
      scope: '@opentelemetry/instrumentation-grpc',
      parent: server!.spanId,
      cluster: 'outbound|80||behind.example.com',
    });
    expect(behind.seen[0]!.metadata['traceparent']).toBe(`00-${TRACE}-${client!.spanId}-01`);
  });
});
