import {
  type CallCredentials,
  Client,
  connectivityState,
  credentials,
  getChannelzHandlers,
  InterceptingCall,
  type Interceptor,
  makeClientConstructor,
  Metadata,
  ServerCredentials,
  status,
} from '@grpc/grpc-js';
import { createDevCa } from '@inmesh/identity/dev';
import { afterEach, describe, expect, it } from 'vitest';
import { ECHO, type Echo, echo, type EchoClient, echoClient, ended } from '../support/echo-grpc.ts';
import { meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';

// What a program sees of the channel under its client.

const HOST = 'ratings.example.com';
const TARGET = `mesh:///${HOST}`;
const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function server(name: string, options: Parameters<typeof echo>[1] = {}): Promise<Echo> {
  const made = await echo(name, options);
  left.push(made);
  return made;
}

async function under(yaml: string): Promise<TestMesh> {
  const mesh = await meshOf(yaml, { identity: false });
  left.push(mesh);
  return mesh;
}

const entry = (...ports: number[]) => serviceEntry(HOST, ports, { port: 9080, protocol: 'GRPC' });

const clientOf = (mesh: TestMesh, given = {}, target = TARGET, secured = mesh.grpc.credentials()): EchoClient => {
  const client = echoClient(target, secured, mesh.grpc.options(given));
  left.push(client);
  return client;
};

/** Channels of grpc-js in this process that channelz knows, by their targets. */
const channels = (): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const { GetTopChannels } = getChannelzHandlers() as unknown as Record<
      'GetTopChannels',
      (call: object, done: (error: Error | null, answer?: { channel: { data: { target: string } }[] }) => void) => void
    >;
    GetTopChannels({ request: { start_channel_id: 0, max_results: 0 } }, (error, answer) =>
      error === null ? resolve(answer!.channel.map(({ data }) => data.target)) : reject(error),
    );
  });

describe('a client', () => {
  it('is ready at once, until it is closed; then it takes no call, and whoever watched is told', async () => {
    const one = await server('one');
    const mesh = await under(entry(one.port));
    const client = new Client(TARGET, mesh.grpc.credentials(), mesh.grpc.options());
    await new Promise<void>((resolve, reject) => client.waitForReady(Date.now() + 1000, (error) => (error ? reject(error) : resolve())));
    const channel = client.getChannel();
    const { READY, SHUTDOWN, IDLE } = connectivityState;
    expect(channel.getTarget()).toBe(TARGET);
    expect(channel.getConnectivityState(true)).toBe(READY);
    const told = (state: number, deadline: number) =>
      new Promise<string>((resolve) => channel.watchConnectivityState(state, deadline, (error) => resolve(error?.message ?? 'changed')));
    expect(await told(READY, Date.now() + 20)).toBe('Deadline passed without connectivity state change');
    expect(await told(IDLE, Date.now() + 1000)).toBe('changed');
    const closing = Promise.all([told(READY, Date.now() + 60_000), told(READY, Infinity)]);
    client.close();
    expect(await closing).toEqual(['changed', 'changed']);
    expect(channel.getConnectivityState(false)).toBe(SHUTDOWN);
    expect(() => channel.createCall('/test.Echo/Say', Infinity, null, null, null)).toThrow('Channel has been shut down');
    expect(() => channel.watchConnectivityState(READY, Infinity, () => {})).toThrow('Channel has been shut down');
    client.close();
  });

  it('that is closed lets its calls finish, and those of others on the same connection', async () => {
    const one = await server('one');
    one.delayMs = 100;
    const mesh = await under(entry(one.port));
    const before = (await channels()).length;
    const [first, second] = [clientOf(mesh), clientOf(mesh)];
    const answers = Promise.all([first.say('a'), second.say('b')]);
    await expect.poll(() => one.seen.length).toBe(2);
    expect((await channels()).length).toBe(before + 1);
    first.stub.close();
    expect((await answers).map(({ text }) => text)).toEqual(['one: a', 'one: b']);
    expect(await second.say('c')).toMatchObject({ code: 0 });
  });

  it('runs the interceptors it was given, once for each call of the program', async () => {
    const one = await server('one');
    const mesh = await under(
      entry(one.port) +
        virtualService(HOST, `- retries: { attempts: 1, retryOn: unavailable }\n  route: [{ destination: { host: ${HOST} } }]`),
    );
    const heard: string[] = [];
    const interceptor: Interceptor = (options, next) =>
      new InterceptingCall(next(options), {
        start: (metadata, _listener, go) => {
          heard.push(options.method_definition.path);
          metadata.set('x-intercepted', 'yes');
          go(metadata, {
            onReceiveStatus: (ended, done) => {
              heard.push(String(ended.code));
              done(ended);
            },
          });
        },
      });
    const client = clientOf(mesh, { interceptors: [interceptor] });
    one.fail = { code: status.UNAVAILABLE, times: 1 };
    expect(await client.say('x')).toMatchObject({ code: 0 });
    expect(heard).toEqual(['/test.Echo/Say', '0']);
    expect(one.seen.map(({ metadata }) => metadata['x-intercepted'])).toEqual(['yes', 'yes']);
  });

  it('has the credentials of its calls sent with each try', async () => {
    const one = await server('one');
    const mesh = await under(
      entry(one.port) +
        virtualService(HOST, `- retries: { attempts: 1, retryOn: unavailable }\n  route: [{ destination: { host: ${HOST} } }]`),
    );
    let asked = 0;
    const token: CallCredentials = credentials.createFromMetadataGenerator((_, done) => {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${(asked += 1)}`);
      done(null, metadata);
    });
    one.fail = { code: status.UNAVAILABLE, times: 1 };
    expect(await clientOf(mesh).say('x', {}, { credentials: token })).toMatchObject({ code: 0 });
    expect(one.seen.map(({ metadata }) => metadata['authorization'])).toEqual(['Bearer 1', 'Bearer 2']);
  });

  it('may give up while an interceptor keeps its call back', async () => {
    const one = await server('one');
    const mesh = await under(entry(one.port));
    const slow: Interceptor = (options, next) =>
      new InterceptingCall(next(options), { start: (metadata, listener, go) => setTimeout(() => go(metadata, listener), 50) });
    const code = await new Promise((resolve) => {
      const call = clientOf(mesh, { interceptors: [slow] }).stub.Say({ text: 'x' }, new Metadata(), {}, (error) => resolve(error?.code));
      call.cancel();
    });
    expect(code).toBe(status.CANCELLED);
    expect(mesh.status().callsInFlight).toBe(0);
    expect(one.seen).toEqual([]);
  });

  it('whose listener throws hears of it as from grpc-js, and its call goes on', async () => {
    const one = await server('one');
    const mesh = await under(entry(one.port));
    const theirs = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    try {
      const raised = new Promise<unknown>((resolve) => process.once('uncaughtException', resolve));
      const stream = clientOf(mesh).stub.Repeat({ text: 'x' });
      stream.on('metadata', () => {
        throw new Error('of the program');
      });
      const heard = ended(stream);
      expect(await raised).toMatchObject({ message: 'of the program' });
      expect(await heard).toEqual({ texts: ['one: x 0', 'one: x 1', 'one: x 2'], code: 0 });
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of theirs) process.on('uncaughtException', listener);
    }
  });

  it('gives its channel to other libraries that make clients of one', async () => {
    const one = await server('one');
    const mesh = await under(entry(one.port));
    const owner = new Client(TARGET, mesh.grpc.credentials(), mesh.grpc.options());
    const Stub = makeClientConstructor(ECHO, 'Echo');
    const stub = new Stub('ignored', credentials.createInsecure(), {
      channelOverride: owner.getChannel(),
    }) as unknown as EchoClient['stub'];
    const text = await new Promise((resolve, reject) => {
      stub.Say({ text: 'x' }, new Metadata(), {}, (error, answer) => (error === null ? resolve(answer?.text) : reject(error)));
    });
    expect(text).toBe('one: x');
    owner.close();
  });

  it('takes a target as grpc-js writes one', async () => {
    const one = await server('one');
    const mesh = await under(entry(one.port));
    for (const target of [HOST, `${HOST}:9080`, `dns:${HOST}:9080`, `dns:///${HOST}:9080`, `dns:///${HOST}`])
      expect(await clientOf(mesh, {}, target).say('x')).toMatchObject({ code: 0, text: 'one: x' });
    for (const target of ['unix:/run/x.sock', 'ipv4:127.0.0.1:80,127.0.0.1:81', 'dns://8.8.8.8/x'])
      expect(() => clientOf(mesh, {}, target)).toThrow(`"${target}" is no target of the mesh`);
  });

  it('reaches a host outside the mesh with the credentials of the program', async () => {
    const ca = createDevCa();
    const { certificate, privateKey } = ca.issue({ serviceAccount: 'out', hosts: ['localhost'] });
    const secured = ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(certificate), private_key: Buffer.from(privateKey) }]);
    const outside = await server('outside', { secured, host: 'localhost' });
    const mesh = await under('');
    const trusted = credentials.createSsl(Buffer.from(ca.roots));
    expect(await clientOf(mesh, {}, `dns:///localhost:${outside.port}`, trusted).say('x')).toMatchObject({ code: 0, text: 'outside: x' });
    expect(mesh.metrics()).toMatch(/destination_service_name="PassthroughCluster"[^}]*grpc_response_status="0"/);
  });
});

describe('a program that secures its client', () => {
  it('is never spoken for in clear text: its own credentials hold where the policy says nothing of TLS, for the name it calls', async () => {
    const ca = createDevCa();
    const issued = (host: string) => {
      const { certificate, privateKey } = ca.issue({ serviceAccount: 'ratings', hosts: [host] });
      return ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(certificate), private_key: Buffer.from(privateKey) }]);
    };
    const named = await server('named', { secured: issued(HOST) });
    const other = await server('other', { secured: issued('other.example.com') });
    const plain = await server('plain');
    const own = credentials.createSsl(Buffer.from(ca.roots));
    const mesh = await under(entry(named.port));
    expect(await clientOf(mesh, {}, undefined, own).say('x')).toMatchObject({ code: 0, text: 'named: x' });
    // The same service, called without: in clear text, which this server does not take.
    expect(await clientOf(mesh).say('x', {}, { deadline: Date.now() + 2000 })).not.toMatchObject({ code: 0 });
    for (const { port } of [other, plain])
      expect(await clientOf(await under(entry(port)), {}, undefined, own).say('x', {}, { deadline: Date.now() + 2000 })).not.toMatchObject({ code: 0 }); // prettier-ignore
    expect([other.seen, plain.seen]).toEqual([[], []]);
  });
});

describe('a call to a host outside the mesh', () => {
  it('ends at the deadline of the program, or when it gives up, and says whom it spoke to', async () => {
    const outside = await server('outside');
    const mesh = await under('');
    const client = clientOf(mesh, {}, `mesh:///localhost:${outside.port}`);
    const peer = await new Promise((resolve) => {
      const call = client.stub.Say({ text: 'x' }, new Metadata(), {}, () => resolve(call.getPeer()));
    });
    expect(peer).toBe(`127.0.0.1:${outside.port}`);
    outside.delayMs = 500;
    for (let index = 0; index < 5; index += 1)
      expect(await client.say('x', {}, { deadline: Date.now() + 20 })).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    const gaveUp = new Promise((resolve) => {
      const call = client.stub.Say({ text: 'x' }, new Metadata(), {}, (error) => resolve(error?.code));
      setTimeout(() => call.cancel(), 20);
    });
    expect(await gaveUp).toBe(status.CANCELLED);
    expect(mesh.status().callsInFlight).toBe(0);
    expect(mesh.metrics()).toMatch(/PassthroughCluster"[^}]*grpc_response_status="4"[^}]*response_flags="UT"/);
  });
});

describe('channelz', () => {
  it('knows the channels to endpoints while they are there, and none that is gone', async () => {
    const servers = await Promise.all(['one', 'two', 'three'].map((name) => server(name)));
    const before = (await channels()).length;
    const mesh = await under(entry(servers[0]!.port));
    const client = clientOf(mesh);
    for (let index = 0; index < 12; index += 1) {
      const { port } = servers[index % 3]!;
      mesh.set(entry(port));
      expect((await client.say('x')).code).toBe(0);
      await expect.poll(async () => (await channels()).length - before).toBe(1);
      expect((await channels()).at(-1)).toContain(String(port));
    }
    await mesh.close({ graceMs: 100 });
    await expect.poll(async () => (await channels()).length).toBe(before);
  });
});
