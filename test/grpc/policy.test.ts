import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata, ServerCredentials, status } from '@grpc/grpc-js';
import { createDevCa } from '@inmesh/identity/dev';
import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, type Echo, echo, type EchoClient, echoClient, ended } from '../support/echo-grpc.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';

// What a policy says of calls, as gRPC has it: metadata for headers, methods for paths, codes for statuses.

const HOST = 'ratings.example.com';
const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function servers(...names: string[]): Promise<Echo[]> {
  const made = await Promise.all(names.map((name) => echo(name)));
  left.push(...made);
  return made;
}

async function under(yaml: string, options: Parameters<typeof meshOf>[1] = {}): Promise<TestMesh> {
  const mesh = await meshOf(yaml, { identity: false, ...options });
  left.push(mesh);
  return mesh;
}

const entry = (...endpoints: Parameters<typeof serviceEntry>[1]) => serviceEntry(HOST, endpoints, { port: 9080, protocol: 'GRPC' });
const TO = `route: [{ destination: { host: ${HOST} } }]`;
const to = (subset: string) => `route: [{ destination: { host: ${HOST}, subset: ${subset} } }]`;
const SUBSETS = destinationRule(HOST, 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]');

const meshConfig = (spec: string) => `---
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: default, namespace: istio-system }
spec: { ${spec} }
`;

const clientOf = (mesh: TestMesh, target = `mesh:///${HOST}`, given = {}): EchoClient => {
  const client = echoClient(target, mesh.grpc.credentials(), mesh.grpc.options(given));
  left.push(client);
  return client;
};

/** A unary call with metadata of any kind: several values of one name, bytes. */
const sayWith = (
  client: EchoClient,
  metadata: Metadata,
  deadline?: number,
): Promise<Pick<Answer, 'code' | 'text'> & { metadata: Metadata }> =>
  new Promise((resolve) => {
    let headers = new Metadata();
    client.stub
      .Say({ text: 'x' }, metadata, deadline === undefined ? {} : { deadline }, (error, answer) =>
        resolve({ code: error?.code ?? 0, text: answer?.text ?? '', metadata: headers }),
      )
      .on('metadata', (received) => (headers = received));
  });

const metadataOf = (...pairs: readonly (readonly [string, string | Buffer])[]): Metadata => {
  const metadata = new Metadata();
  for (const [name, value] of pairs) metadata.add(name, value);
  return metadata;
};

describe('metadata', () => {
  it('is matched as headers are: names in any case, repeated values joined, bytes as base64', async () => {
    const [v1, v2] = await servers('v1', 'v2');
    const endpoints = [v1!, v2!].map(({ port, name }) => ({ port, labels: { version: name } }));
    const match = (headers: string) => `- match: [{ headers: { ${headers} } }]\n  ${to('v2')}\n- ${to('v1')}`;
    const mesh = await under('');
    const client = clientOf(mesh);
    const goes = async (headers: string, ...pairs: readonly (readonly [string, string | Buffer])[]): Promise<string> => {
      mesh.set(entry(...endpoints) + SUBSETS + virtualService(HOST, match(headers)));
      return (await sayWith(client, metadataOf(...pairs))).text.slice(0, 2);
    };
    expect(await goes('X-User: { exact: ann }', ['X-USER', 'ann'])).toBe('v2');
    expect(await goes('x-user: { exact: ann }', ['x-user', 'Ann'])).toBe('v1');
    expect(await goes('x-tag: { exact: "a,b" }', ['x-tag', 'a'], ['x-tag', 'b'])).toBe('v2');
    expect(await goes('x-tag: { regex: "a.*" }', ['x-tag', 'a'], ['x-tag', 'b'])).toBe('v2');
    expect(await goes('trace-bin: { exact: "AQID" }', ['trace-bin', Buffer.from([1, 2, 3])])).toBe('v2');
    expect(await goes('trace-bin: { prefix: "AQ" }', ['trace-bin', Buffer.from([2])])).toBe('v1');
    expect(await goes('x-user: {}', ['x-other', '1'])).toBe('v1');
    expect(await goes('x-user: {}', ['x-user', ''])).toBe('v2');
    expect(await goes('":method": { exact: POST }')).toBe('v2');
    expect(await goes(`":authority": { prefix: ${HOST} }`)).toBe('v2');
    expect(await goes('content-type: { prefix: application/grpc }')).toBe('v2');
  });

  it('is set, added and removed on the way and on the way back, bytes among it', async () => {
    const [one] = await servers('one');
    one!.server.unregister('/test.Echo/Say');
    const seen: Metadata[] = [];
    one!.server.register(
      '/test.Echo/Say',
      (call: { metadata: Metadata; sendMetadata(metadata: Metadata): void }, done: (e: null, v: object, trailers: Metadata) => void) => {
        seen.push(call.metadata);
        call.sendMetadata(metadataOf(['x-secret', '1'], ['x-both', 'server'], ['x-mine', 'server'], ['keep-bin', Buffer.from([9])]));
        done(null, { text: 'x' }, metadataOf(['x-last', '1']));
      },
      (value: object) => Buffer.from(JSON.stringify(value)),
      (bytes: Buffer) => JSON.parse(bytes.toString()) as object,
      'unary',
    );
    const rule = `- headers:
    request: { set: { x-mine: mesh, raw-bin: "AQID" }, add: { x-both: mesh }, remove: [x-secret, gone-bin] }
    response: { set: { x-mine: mesh }, add: { x-both: mesh }, remove: [x-secret] }
  ${TO}`;
    const client = clientOf(await under(entry(one!.port) + virtualService(HOST, rule)));
    const sent = metadataOf(
      ['x-mine', 'client'],
      ['x-both', 'client'],
      ['x-secret', '1'],
      ['gone-bin', Buffer.from([1])],
      ['kept-bin', Buffer.from([7])],
    );
    const { metadata: heard } = await sayWith(client, sent);
    const values = (metadata: Metadata) => (name: string) =>
      metadata.get(name).map((value) => (typeof value === 'string' ? value : [...value]));
    const there = values(seen[0]!);
    expect([there('x-mine'), there('raw-bin'), there('x-both'), there('x-secret'), there('gone-bin'), there('kept-bin')]).toEqual([
      ['mesh'], [[1, 2, 3]], ['client, mesh'], [], [], [[7]],
    ]); // prettier-ignore
    const back = values(heard);
    expect([back('x-mine'), back('x-both'), back('x-secret'), back('keep-bin')]).toEqual([['mesh'], ['server', 'mesh'], [], [[9]]]);
    // The program's own object stays as it was.
    expect(sent.get('x-mine')).toEqual(['client']);
  });
});

describe('metadata that cannot be sent', () => {
  const set = (one: Echo, headers: string) => entry(one.port) + virtualService(HOST, `- headers: { ${headers} }\n  ${TO}`);

  it('is left out if it means a connection of HTTP/1.1', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(set(one!, 'request: { set: { connection: close, x-kept: yes } }')));
    expect(await client.say('x')).toMatchObject({ code: 0 });
    expect(one!.seen[0]!.metadata).toMatchObject({ 'x-kept': 'yes' });
  });

  it('ends the call as INTERNAL, and nothing of it stays', async () => {
    const [one] = await servers('one');
    const mesh = await under(set(one!, 'request: { set: { x-name: "ü" } }'));
    const client = clientOf(mesh);
    expect(await client.say('x')).toMatchObject({
      code: status.INTERNAL,
      details: expect.stringContaining('illegal characters') as string,
    });
    expect(one!.seen).toEqual([]);
    let left = 0;
    const gone = (call: { on(event: string, listener: () => void): void; sendMetadata(metadata: Metadata): void }) => {
      call.sendMetadata(new Metadata());
      call.on('cancelled', () => (left += 1));
    };
    one!.server.unregister('/test.Echo/Chat');
    const codec = (value: unknown): never => value as never;
    one!.server.register('/test.Echo/Chat', gone, codec, codec, 'bidi');
    mesh.set(set(one!, 'response: { set: { x-name: "ü" } }'));
    expect(await ended(client.stub.Chat())).toEqual({ texts: [], code: status.INTERNAL });
    await expect.poll(() => left).toBe(1);
    expect(mesh.status().callsInFlight).toBe(0);
  });
});

describe('a route', () => {
  it('may rename the method and the authority', async () => {
    const [one] = await servers('one');
    const rule = `- match: [{ uri: { prefix: /old.Service/ } }]\n  rewrite: { uri: /test.Echo/, authority: other.example.com }\n  ${TO}`;
    const client = clientOf(await under(entry(one!.port) + virtualService(HOST, rule)));
    const hosts: string[] = [];
    const { server } = one!;
    server.unregister('/test.Echo/Say');
    server.register(
      '/test.Echo/Say',
      (call: { getHost(): string }, done: (e: null, v: object) => void) => {
        hosts.push(call.getHost());
        done(null, { text: 'renamed' });
      },
      (value: object) => Buffer.from(JSON.stringify(value)),
      (bytes: Buffer) => JSON.parse(bytes.toString()) as object,
      'unary',
    );
    const { stub } = client as unknown as { stub: { makeUnaryRequest(...all: unknown[]): void } };
    const renamed = await new Promise((resolve, reject) => {
      const codec = (value: unknown): unknown =>
        Buffer.isBuffer(value) ? (JSON.parse(value.toString()) as unknown) : Buffer.from(JSON.stringify(value));
      stub.makeUnaryRequest('/old.Service/Say', codec, codec, {}, new Metadata(), (error: Error | null, answer: unknown) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
    expect(renamed).toEqual({ text: 'renamed' });
    expect(hosts).toEqual(['other.example.com']);
  });

  it('of its own answer is a status, with the headers the policy adds, once', async () => {
    const [one] = await servers('one');
    const client = clientOf(
      await under(
        entry(one!.port) +
          virtualService(
            HOST,
            '- directResponse: { status: 403, body: { string: "closed" } }\n  headers: { response: { add: { x-why: night } } }',
          ),
      ),
    );
    expect(await client.say('x')).toMatchObject({ code: status.PERMISSION_DENIED, details: 'closed', trailers: { 'x-why': 'night' } });
    expect((await client.say('x')).trailers['x-why']).toBe('night');
    expect(one!.seen).toEqual([]);
  });

  it('to a subset or a service nobody defines is UNAVAILABLE', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(entry(one!.port) + virtualService(HOST, `- ${to('v9')}`)));
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'x-inmesh-flags': 'NC' } });
  });
});

describe('time', () => {
  const timed = (one: Echo, rest: string) => entry(one.port) + virtualService(HOST, `- ${rest}\n  ${TO}`);

  it('of the program counts if it is the shorter, of the route if that is', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(timed(one!, 'timeout: 60s')));
    await sayWith(client, new Metadata(), Date.now() + 10_000);
    await sayWith(client, new Metadata(), Date.now() + 600_000);
    const [shorter, longer] = one!.deadlines.map((at) => at - Date.now());
    expect(shorter).toBeLessThan(10_001);
    expect(shorter).toBeGreaterThan(5_000);
    expect(longer).toBeLessThan(60_001);
    expect(longer).toBeGreaterThan(50_000);
  });

  it('of the route ends a stream in its middle', async () => {
    const [one] = await servers('one');
    const mesh = await under(timed(one!, 'timeout: 150ms'));
    const chat = clientOf(mesh).stub.Chat();
    const heard = ended(chat);
    chat.write({ text: 'a' });
    expect(await heard).toEqual({ texts: ['one: a'], code: status.DEADLINE_EXCEEDED });
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('of one try ends that try; another is made on the words for resets, and not on those for codes', async () => {
    const [one] = await servers('one');
    one!.delayMs = 400;
    const mesh = await under(timed(one!, 'retries: { attempts: 1, perTryTimeout: 100ms, retryOn: "deadline-exceeded,unavailable" }'));
    const client = clientOf(mesh);
    expect(await client.say('x')).toMatchObject({ code: status.DEADLINE_EXCEEDED, trailers: { 'x-inmesh-flags': 'UT' } });
    expect(one!.seen.length).toBe(1);
    mesh.set(timed(one!, 'retries: { attempts: 1, perTryTimeout: 100ms, retryOn: "reset" }'));
    const answer = client.say('x');
    await expect.poll(() => one!.seen.length).toBe(2);
    one!.delayMs = 0;
    await expect.poll(() => one!.seen.length).toBe(3);
    expect(await answer).toMatchObject({ code: 0, text: 'one: x' });
  });

  it('is added by a delay fault, which the deadline of the program cuts short', async () => {
    const [one] = await servers('one');
    const client = clientOf(await under(timed(one!, 'fault: { delay: { fixedDelay: 200ms, percentage: { value: 100 } } }')));
    const began = performance.now();
    expect(await client.say('x')).toMatchObject({ code: 0 });
    expect(performance.now() - began).toBeGreaterThan(195);
    expect(await client.say('x', {}, { deadline: Date.now() + 50 })).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(one!.seen.length).toBe(1);
  });
});

describe('retries', () => {
  it.each([
    ['cancelled', status.CANCELLED],
    ['deadline-exceeded', status.DEADLINE_EXCEEDED],
    ['internal', status.INTERNAL],
    ['resource-exhausted', status.RESOURCE_EXHAUSTED],
    ['unavailable', status.UNAVAILABLE],
  ])('%s stands for its code and for no other', async (word, code) => {
    const [one] = await servers('one');
    const client = clientOf(
      await under(entry(one!.port) + virtualService(HOST, `- retries: { attempts: 1, retryOn: "${word}" }\n  ${TO}`)),
    );
    for (const failure of [1, 2, 4, 5, 8, 10, 13, 14]) {
      one!.seen.length = 0;
      one!.fail = { code: failure, times: 1 };
      expect((await client.say('x')).code).toBe(failure === code ? 0 : failure);
      expect(one!.seen.length).toBe(failure === code ? 2 : 1);
    }
  });

  it('tell the server, and the program, how many went before', async () => {
    const [one] = await servers('one');
    const client = clientOf(
      await under(entry(one!.port) + virtualService(HOST, `- retries: { attempts: 2, retryOn: unavailable }\n  ${TO}`)),
    );
    one!.fail = { code: status.UNAVAILABLE, times: 2 };
    expect(await client.say('x')).toMatchObject({ code: 0, headers: { 'grpc-previous-rpc-attempts': '2' } });
    expect(one!.seen.map(({ metadata }) => metadata['grpc-previous-rpc-attempts'])).toEqual([undefined, '1', '2']);
    one!.fail = { code: status.UNAVAILABLE, times: 3 };
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'grpc-previous-rpc-attempts': '2' } });
  });

  it('connect-failure: a dead endpoint is left for another, by calls that may not be repeated otherwise', async () => {
    const [one, dead] = await servers('one', 'dead');
    dead!.stop();
    const client = clientOf(
      await under(entry(one!.port, dead!.port) + virtualService(HOST, `- retries: { attempts: 3, retryOn: connect-failure }\n  ${TO}`)),
    );
    for (let index = 0; index < 10; index += 1) expect(await client.say('x')).toMatchObject({ code: 0, text: 'one: x' });
    one!.fail = { code: status.UNAVAILABLE, times: 1 };
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe('endpoints', () => {
  it('of the own locality are called, those of the next when they fail', async () => {
    const [near, far] = await servers('near', 'far');
    const mesh = await under(
      entry({ port: near!.port, locality: 'eu/eu-1/a' }, { port: far!.port, locality: 'us/us-1/a' }) +
        virtualService(HOST, `- retries: { attempts: 0 }\n  ${TO}`) +
        destinationRule(
          HOST,
          'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100 } }',
        ),
      { workload: { name: 'client', namespace: 'default', locality: { region: 'eu', zone: 'eu-1', subzone: 'a' } } },
    );
    const client = clientOf(mesh);
    for (let index = 0; index < 10; index += 1) expect((await client.say('x')).text).toBe('near: x');
    near!.fail = { code: status.INTERNAL, times: 2 };
    for (let index = 0; index < 2; index += 1) expect((await client.say('x')).code).toBe(status.INTERNAL);
    for (let index = 0; index < 10; index += 1) expect((await client.say('x')).text).toBe('far: x');
  });

  it('are called on one connection each, so that limits of connections do not hold calls up, whatever protocol the port is said to have', async () => {
    const [one] = await servers('one');
    one!.delayMs = 2000;
    const mesh = await under(
      serviceEntry(HOST, [one!.port], { port: 9080, protocol: 'HTTP' }) +
        destinationRule(HOST, 'trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } }') +
        meshConfig('connectionsPerEndpoint: 1'),
    );
    const client = clientOf(mesh);
    void Promise.all(['a', 'b', 'c'].map((text) => client.say(text, {}, { deadline: Date.now() + 1500 })));
    await expect.poll(() => one!.seen.length).toBe(3);
  });

  it.each(['ringHash: { minimumRingSize: 512 }', 'maglev: { tableSize: 251 }'])('are found by consistent hash: %s', async (kind) => {
    const [one, two, three] = await servers('one', 'two', 'three');
    const policy =
      entry(one!.port, two!.port, three!.port) +
      destinationRule(HOST, `trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x-user, ${kind} } } }`);
    const ask = async (client: EchoClient): Promise<string[]> => {
      const answers: string[] = [];
      for (let user = 0; user < 20; user += 1) answers.push((await client.say('x', { 'x-user': `user ${user}` })).text);
      return answers;
    };
    const first = await ask(clientOf(await under(policy)));
    expect(new Set(first).size).toBe(3);
    expect(await ask(clientOf(await under(policy)))).toEqual(first);
  });

  it.each([
    [status.UNKNOWN, true],
    [status.DEADLINE_EXCEEDED, true],
    [status.UNIMPLEMENTED, true],
    [status.INTERNAL, true],
    [status.UNAVAILABLE, true],
    [status.DATA_LOSS, true],
    [status.CANCELLED, false],
    [status.INVALID_ARGUMENT, false],
    [status.NOT_FOUND, false],
    [status.PERMISSION_DENIED, false],
    [status.RESOURCE_EXHAUSTED, false],
    [status.UNAUTHENTICATED, false],
  ])('that answer %i are ejected for it: %s', async (code, ejected) => {
    const [good, bad] = await servers('good', 'bad');
    bad!.fail = { code, times: 1000 };
    const mesh = await under(
      entry(good!.port, bad!.port) +
        virtualService(HOST, `- retries: { attempts: 0 }\n  ${TO}`) +
        destinationRule(
          HOST,
          'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 50 } }',
        ),
    );
    const client = clientOf(mesh);
    for (let index = 0; index < 30; index += 1) await client.say('x');
    expect(mesh.events.some(({ type }) => type === 'endpoint.ejected')).toBe(ejected);
  });
});

describe('a GRPCRoute', () => {
  it('chooses by method and metadata, and its filters hold', async () => {
    const [one, two] = await servers('one', 'two');
    const gateway = (name: string, { port }: Echo) => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec: { clusterIP: 10.0.0.${name.length}, ports: [{ name: grpc, port: 9080, targetPort: ${port}, appProtocol: grpc }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, namespace: default, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: grpc, port: ${port} }]
endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
`;
    const route = `---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: ratings, namespace: default }
spec:
  parentRefs: [{ group: "", kind: Service, name: ratings }]
  rules:
  - matches: [{ method: { service: test.Echo, method: Repeat } }]
    backendRefs: [{ name: canary, port: 9080 }]
  - matches: [{ method: { service: test.Echo }, headers: [{ name: X-User, value: ann }] }]
    filters:
    - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-seen, value: by-mesh }] } }
    - { type: ResponseHeaderModifier, responseHeaderModifier: { add: [{ name: x-route, value: canary }] } }
    backendRefs: [{ name: canary, port: 9080 }]
  - matches: [{ method: { service: test.Echo } }]
    backendRefs: [{ name: ratings, port: 9080 }]
`;
    const client = clientOf(await under(gateway('ratings', one!) + gateway('canary', two!) + route), 'mesh:///ratings');
    expect((await client.say('x')).text).toBe('one: x');
    expect(await client.say('x', { 'x-user': 'ann' })).toMatchObject({ text: 'two: x', headers: { 'x-route': 'canary' } });
    expect(two!.seen[0]!.metadata['x-seen']).toBe('by-mesh');
    expect((await ended(client.stub.Repeat({ text: 'x' }))).texts[0]).toBe('two: x 0');
  });
});

describe('a host outside the mesh', () => {
  const REGISTRY_ONLY = meshConfig('outboundTrafficPolicy: { mode: REGISTRY_ONLY }');

  it('is not dialled where only the registry counts', async () => {
    const [one] = await servers('one');
    const mesh = await under(REGISTRY_ONLY);
    expect(await clientOf(mesh, `mesh:///localhost:${one!.port}`).say('x')).toMatchObject({ code: status.UNAVAILABLE });
    expect(one!.seen).toEqual([]);
    expect(mesh.metrics()).toMatch(/destination_service_name="BlackHoleCluster"/);
  });

  it('with TLS is a ServiceEntry with a DestinationRule', async () => {
    const ca = createDevCa();
    const { certificate, privateKey } = ca.issue({ serviceAccount: 'api', hosts: ['api.example.com'] });
    const secured = ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(certificate), private_key: Buffer.from(privateKey) }]);
    const api = await echo('api', { secured });
    left.push(api);
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-grpc-'));
    left.push({ [Symbol.asyncDispose]: () => Promise.resolve(rmSync(folder, { recursive: true })) });
    writeFileSync(join(folder, 'ca.pem'), ca.roots);
    const mesh = await under(
      serviceEntry('api.example.com', [api.port], { port: 443, protocol: 'GRPC' }).replace('MESH_INTERNAL', 'MESH_EXTERNAL') +
        destinationRule('api.example.com', `trafficPolicy: { tls: { mode: SIMPLE, caCertificates: ${folder}/ca.pem } }`) +
        REGISTRY_ONLY,
    );
    expect(await clientOf(mesh, 'mesh:///api.example.com').say('x')).toMatchObject({ code: 0, text: 'api: x' });
  });
});
