import {
  addAdminServicesToServer,
  credentials,
  makeClientConstructor,
  Server,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { fromJSON, loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath, service as healthService } from 'grpc-health-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Echo, echo } from '../support/echo-grpc.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';

// Services that programs take from gRPC's own packages, behind a wrapped server.

type Reply = Record<string, unknown>;
type Unary = (request: object, done: (error: ServiceError | null, reply?: Reply) => void) => void;

let mesh: TestMesh;
let server: Server;
let health: HealthImplementation;
let served: Echo;
let clients: InstanceType<ServiceClientConstructor>[];

function clientOf(service: Parameters<typeof makeClientConstructor>[0]): InstanceType<ServiceClientConstructor> {
  const client = new (makeClientConstructor(service, 'any'))(`127.0.0.1:${served.port}`, credentials.createInsecure());
  clients.push(client);
  return client;
}

const ask = (client: InstanceType<ServiceClientConstructor>, method: string, request: object): Promise<Reply> =>
  new Promise((resolve, reject) => {
    (client[method] as Unary).call(client, request, (error, reply) => (error === null ? resolve(reply!) : reject(error)));
  });

function channelz(): InstanceType<ServiceClientConstructor> {
  const root = protoPath.replace(/grpc-health-check.*/u, '@grpc/grpc-js/proto');
  const definition = loadSync('channelz.proto', { includeDirs: [root], longs: Number });
  return clientOf(definition['grpc.channelz.v1.Channelz'] as Parameters<typeof makeClientConstructor>[0]);
}

function reflection(): NodeJS.ReadWriteStream & { write(request: object): void } {
  const definition = loadSync(
    protoPath.replace(/grpc-health-check.*/u, '@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto'),
  );
  const client = clientOf(definition['grpc.reflection.v1.ServerReflection'] as Parameters<typeof makeClientConstructor>[0]);
  return (client['ServerReflectionInfo'] as unknown as typeof reflection).call(client);
}

const PACKAGE = fromJSON({
  nested: {
    shop: {
      nested: {
        Nothing: { fields: {} },
        Ratings: { methods: { Rate: { requestType: 'Nothing', responseType: 'Nothing', comment: '' } } },
      },
    },
  },
});

beforeEach(async () => {
  mesh = await meshOf('', { identity: false });
  server = new Server();
  health = new HealthImplementation({ '': 'SERVING' });
  health.addToServer(server);
  new ReflectionService(PACKAGE).addToServer(server);
  addAdminServicesToServer(server);
  mesh.grpc.wrap(server, { onDrain: () => health.setStatus('', 'NOT_SERVING') });
  served = await echo('one', { server });
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.close();
  await mesh.close({ graceMs: 500 });
});

it('health: a server that leaves says so while it still takes calls', async () => {
  const client = clientOf(healthService);
  expect(await ask(client, 'check', { service: '' })).toMatchObject({ status: 'SERVING' });
  const watched: unknown[] = [];
  const watch = (client['watch'] as unknown as (request: object) => NodeJS.EventEmitter).call(client, { service: '' });
  watch.on('data', ({ status }: Reply) => watched.push(status));
  watch.on('error', () => {});
  await expect.poll(() => watched).toEqual(['SERVING']);
  const drained = mesh.grpc.wrap(server).drain({ delayMs: 200, graceMs: 200 });
  expect(await ask(client, 'check', { service: '' })).toMatchObject({ status: 'NOT_SERVING' });
  await drained;
  expect(watched).toEqual(['SERVING', 'NOT_SERVING']);
});

it('each is a method to the policy, which may keep it from strangers', async () => {
  mesh.set(`---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: inside, namespace: default }
spec: { action: ALLOW, rules: [{ to: [{ operation: { paths: [/grpc.health.v1.Health/Check, /test.Echo/*] } }] }] }
`);
  expect(await ask(clientOf(healthService), 'check', { service: '' })).toMatchObject({ status: 'SERVING' });
  await expect(ask(channelz(), 'GetServers', {})).rejects.toThrow('RBAC: access denied');
  const stream = reflection();
  const refused = new Promise((_, reject) => stream.on('error', reject));
  stream.on('data', () => {});
  stream.write({ listServices: '' });
  await expect(refused).rejects.toThrow('RBAC: access denied');
});

it('reflection lists what is served', async () => {
  const stream = reflection();
  const heard = new Promise<Reply>((resolve, reject) => {
    stream.on('data', (reply: unknown) => resolve(reply as Reply));
    stream.on('error', reject);
  });
  stream.write({ listServices: '' });
  expect(await heard).toMatchObject({ listServicesResponse: { service: [{ name: 'shop.Ratings' }] } });
  stream.end();
});

it('channelz counts the calls that came through', async () => {
  const client = channelz();
  const called = async () => {
    const { server: all } = await ask(client, 'GetServers', {}) as { server: { data: { callsStarted: number } }[] }; // prettier-ignore
    return all.map(({ data }) => data.callsStarted);
  };
  const before = await called();
  const after = await called();
  expect(before.length).toBe(1);
  expect(after[0]! - before[0]!).toBe(1);
});
