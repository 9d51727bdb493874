import { Metadata, status } from '@grpc/grpc-js';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Echo, echo, echoClient, type EchoClient, ended } from '../support/echo-grpc.ts';
import { answer, h2Server } from '../support/h2-grpc.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';

// Endpoints come, go, and take few streams at a time, while a client runs.

const HOST = 'ratings.example.com';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const policy = (ports: readonly number[], yaml = '') =>
  serviceEntry(HOST, ports, { port: 9080, protocol: 'GRPC' }) +
  virtualService(HOST, `- retries: { attempts: 0 }\n  route: [{ destination: { host: ${HOST} } }]`) +
  yaml;

async function under(yaml: string): Promise<{ mesh: TestMesh; client: EchoClient }> {
  const mesh = await meshOf(yaml, { identity: false });
  const client = echoClient(`mesh:///${HOST}`, mesh.grpc.credentials(), mesh.grpc.options());
  left.push(mesh, client);
  return { mesh, client };
}

async function echoing(name: string, port = 0): Promise<Echo> {
  const server = await echo(name, { port });
  left.push(server);
  return server;
}

/** A unary call that waits until somebody is there. */
const waiting = ({ stub }: EchoClient, ms: number): Promise<string> =>
  new Promise((resolve) => {
    stub.Say({ text: 'x' }, new Metadata({ waitForReady: true }), { deadline: Date.now() + ms }, (error, answered) =>
      resolve(answered?.text ?? status[error!.code]!),
    );
  });

describe('endpoints', () => {
  it('that join take the very next calls, those that leave none, and streams on them finish', async () => {
    const [one, two, three] = [await echoing('one'), await echoing('two'), await echoing('three')];
    const { mesh, client } = await under(policy([one.port]));
    const chat = client.stub.Chat();
    const heard = ended(chat);
    chat.write({ text: 'a' });
    await new Promise((resolve) => chat.once('data', resolve));
    let on = true;
    const failed: string[] = [];
    const worker = async () => {
      while (on) {
        const { code, details } = await client.say('load');
        if (code !== status.OK) failed.push(details);
      }
    };
    const load = Promise.all([worker(), worker(), worker(), worker()]);
    await sleep(50);
    mesh.set(policy([one.port, two.port, three.port]));
    await expect.poll(() => [two.seen.length > 0, three.seen.length > 0]).toEqual([true, true]);
    mesh.set(policy([two.port, three.port]));
    // Those that were on their way when it left have arrived.
    await sleep(50);
    const before = one.seen.length;
    await sleep(100);
    expect(one.seen.length).toBe(before);
    on = false;
    await load;
    expect(failed).toEqual([]);
    chat.write({ text: 'b' });
    chat.end();
    expect(await heard).toEqual({ texts: ['one: a', 'one: b'], code: status.OK });
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('that leave close their connections once their calls have ended', async () => {
    const server = await h2Server((stream) => answer(stream, 'fine'));
    const other = await echoing('other');
    left.push(server);
    const { mesh, client } = await under(policy([server.port]));
    expect(await client.say('x')).toMatchObject({ code: status.OK });
    expect(server.sessions[0]!.closed).toBe(false);
    mesh.set(policy([other.port]));
    await expect.poll(() => server.sessions.every(({ destroyed }) => destroyed)).toBe(true);
  });
});

describe('a call that waits for its service (waitForReady)', () => {
  it('goes as soon as there is an endpoint, and is counted as any other', async () => {
    const one = await echoing('one');
    const { mesh, client } = await under(policy([]));
    const call = waiting(client, 5000);
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'x-inmesh-flags': 'UH' } });
    await sleep(120);
    mesh.set(policy([one.port]));
    expect(await call).toBe('one: x');
    expect(mesh.metrics()).toMatch(/istio_requests_total\{[^}]*grpc_response_status="0"[^}]*response_flags="-"[^}]*\} 1\n/);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('is not counted with what was in its way meanwhile', async () => {
    const gone = await echoing('gone');
    const { port } = gone;
    gone.stop();
    const { mesh, client } = await under(serviceEntry(HOST, [port], { port: 9080, protocol: 'GRPC' }));
    const call = waiting(client, 5000);
    await expect.poll(() => mesh.events.filter(({ type }) => type === 'call.retried').length).toBeGreaterThan(2);
    await echoing('back', port);
    expect(await call).toBe('back: x');
    expect([...mesh.metrics().matchAll(/^istio_requests_total.*response_flags="([^"]*)"/gm)].map(([, flags]) => flags)).toEqual(['-']);
  });

  it('waits for nobody in particular: one endpoint is there, another is not', async () => {
    const gone = await echoing('gone');
    gone.stop();
    const here = await echoing('here');
    const { client } = await under(policy([gone.port, here.port]));
    const began = performance.now();
    for (let index = 0; index < 10; index += 1) expect(await waiting(client, 5000)).toBe('here: x');
    expect(performance.now() - began).toBeLessThan(2000);
  });

  it('ends at its deadline if there is none', async () => {
    const { mesh, client } = await under(policy([]));
    const began = performance.now();
    expect(await waiting(client, 250)).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - began).toBeGreaterThan(240);
    expect(performance.now() - began).toBeLessThan(900);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('is not sent twice for it: what was sent and failed, fails', async () => {
    const server = await h2Server((stream) => stream.session!.destroy());
    left.push(server);
    const { client } = await under(policy([server.port]));
    expect(await waiting(client, 2000)).toBe('UNAVAILABLE');
    expect(server.streams.length).toBe(1);
  });
});

describe('a server that allows two streams at a time', () => {
  /** Answers after 20 ms, and knows the most it had at once on one connection. */
  async function narrow() {
    let most = 0;
    const busy = new Map<unknown, number>();
    const server = await h2Server(
      (stream) => {
        const { session } = stream;
        busy.set(session, (busy.get(session) ?? 0) + 1);
        most = Math.max(most, busy.get(session)!);
        setTimeout(() => {
          busy.set(session, busy.get(session)! - 1);
          if (!stream.destroyed) answer(stream, 'done');
        }, 20);
      },
      { settings: { maxConcurrentStreams: 2 } },
    );
    left.push(server);
    return Object.assign(server, { most: () => most });
  }
  const twenty = (client: EchoClient) => Promise.all(Array.from({ length: 20 }, (_, index) => client.say(String(index))));
  const pool = (text: string) => destinationRule(HOST, `trafficPolicy: { connectionPool: ${text} }`);

  it('gets twenty calls one after another, on one connection', async () => {
    const server = await narrow();
    const { mesh, client } = await under(policy([server.port]));
    expect((await twenty(client)).map(({ code }) => code)).toEqual(Array.from({ length: 20 }, () => status.OK));
    expect([server.sessions.length, server.streams.length, server.most()]).toEqual([1, 20, 2]);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('does not hear of calls whose time is over before their turn', async () => {
    const server = await narrow();
    const { mesh, client } = await under(policy([server.port]));
    const calls = Array.from({ length: 20 }, (_, index) => client.say(String(index), {}, { deadline: Date.now() + 100 }));
    const codes = (await Promise.all(calls)).map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set([status.OK, status.DEADLINE_EXCEEDED]));
    expect(mesh.status().callsInFlight).toBe(0);
    await sleep(60);
    expect(server.streams.length).toBeLessThan(20);
    expect((await twenty(client)).every(({ code }) => code === status.OK)).toBe(true);
  });

  it('gets as many connections as they need, where the policy knows (maxConcurrentStreams)', async () => {
    const server = await narrow();
    const { mesh, client } = await under(policy([server.port], pool('{ http: { maxConcurrentStreams: 2 } }')));
    expect((await twenty(client)).every(({ code }) => code === status.OK)).toBe(true);
    expect([server.sessions.length, server.streams.length, server.most()]).toEqual([10, 20, 2]);
    // They are kept, and one after another needs one of them.
    for (let index = 0; index < 5; index += 1) await client.say('x');
    expect(server.sessions.length).toBe(10);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('but no more than it allows (maxConnections)', async () => {
    const server = await narrow();
    const { client } = await under(policy([server.port], pool('{ tcp: { maxConnections: 3 }, http: { maxConcurrentStreams: 2 } }')));
    expect((await twenty(client)).every(({ code }) => code === status.OK)).toBe(true);
    expect([server.sessions.length, server.streams.length]).toEqual([3, 20]);
  });
});

describe('a connection', () => {
  const pool = (text: string) => destinationRule(HOST, `trafficPolicy: { connectionPool: ${text} }`);

  it('is replaced after as many calls as the policy says (maxRequestsPerConnection)', async () => {
    const server = await h2Server((stream) => answer(stream, 'done'));
    left.push(server);
    const { client } = await under(policy([server.port], pool('{ http: { maxRequestsPerConnection: 3 } }')));
    for (let index = 0; index < 7; index += 1) expect(await client.say('x')).toMatchObject({ code: status.OK });
    expect(server.sessions.length).toBe(3);
    await expect.poll(() => server.sessions.map(({ destroyed }) => destroyed)).toEqual([true, true, false]);
  });

  it('is kept alive as the policy says (tcpKeepalive)', async () => {
    const one = await echoing('one');
    const set = vi.spyOn(Socket.prototype, 'setKeepAlive');
    const { mesh, client } = await under(policy([one.port]));
    await client.say('x');
    const without = set.mock.calls.length;
    mesh.set(policy([one.port], pool('{ tcp: { tcpKeepalive: { time: 90s } } }')));
    await client.say('x');
    const calls = set.mock.calls.slice(without);
    set.mockRestore();
    expect([without, calls]).toEqual([0, [[true, 90_000]]]);
  });

  it('is replaced at the age the policy says (maxConnectionDuration), and its streams finish', async () => {
    const one = await echoing('one');
    const { client } = await under(policy([one.port], pool('{ tcp: { maxConnectionDuration: 50ms } }')));
    const chat = client.stub.Chat();
    const heard = ended(chat);
    chat.write({ text: 'a' });
    await new Promise((resolve) => chat.once('data', resolve));
    const peer = chat.getPeer();
    await sleep(60);
    expect(await client.say('x')).toMatchObject({ code: status.OK });
    expect(chat.getPeer()).toBe(peer);
    chat.write({ text: 'b' });
    chat.end();
    expect(await heard).toEqual({ texts: ['one: a', 'one: b'], code: status.OK });
  });
});
