import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { echo, type EchoClient, echoClient } from '../support/echo-grpc.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';

// What explain foretells is what a client of grpc-js then sees.

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const HOST = 'ratings.example.com';
const to = '{ destination: { host: ratings.example.com } }';

async function under(yaml: string, target = HOST): Promise<{ mesh: TestMesh; client: EchoClient }> {
  const mesh = await meshOf(yaml, { identity: false });
  const client = echoClient(`mesh:///${target}`, mesh.grpc.credentials(), mesh.grpc.options());
  left.push(mesh, client);
  return { mesh, client };
}

const entry = (ports: readonly number[]) => serviceEntry(HOST, ports, { port: 9080, protocol: 'GRPC' });
const strict = `---
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: default }
spec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
`;

describe('explain of a call of gRPC says what its caller will see', () => {
  const empty = entry([]).replace(/  endpoints:\n\n?/, '  endpoints: []\n');
  it.each([
    ['no rule for the method', entry([1]) + virtualService(HOST, `- match: [{ uri: { prefix: /shop.Ratings/ } }]\n  route: [${to}]`), 'UNIMPLEMENTED', 'NR'],
    ['a subset nobody defines', entry([1]) + virtualService(HOST, `- route: [{ destination: { host: ${HOST}, subset: v9 } }]`), 'UNAVAILABLE', 'NC'],
    ['nobody there', empty, 'UNAVAILABLE', 'UH'],
    ['an answer of the policy', entry([1]) + virtualService(HOST, '- directResponse: { status: 403 }'), 'PERMISSION_DENIED', null],
    ['an answer HTTP alone understands', entry([1]) + virtualService(HOST, '- redirect: { uri: /x }'), 'UNKNOWN', null],
    ['a host nobody knows, where none may be', strict, 'UNAVAILABLE', null],
  ] as const)('%s', async (_, yaml, name, flag) => {
    const { mesh, client } = await under(yaml);
    const told = mesh.explain({ url: `mesh:///${HOST}/test.Echo/Say` });
    expect(told).toMatchObject({ grpcStatus: name, flag });
    expect(mesh.explain({ url: `grpc://${HOST}/test.Echo/Say` })).toEqual(told);
    expect(status[(await client.say('x')).code]).toBe(name);
  }); // prettier-ignore

  it('which rule takes it, by method and metadata, and where it goes', async () => {
    const [one, two] = [await echo('one'), await echo('two')];
    left.push(one, two);
    const endpoints = [{ port: one.port, labels: { version: 'v1' } }, { port: two.port, labels: { version: 'v2' } }]; // prettier-ignore
    const { mesh, client } = await under(
      serviceEntry(HOST, endpoints, { port: 9080, protocol: 'GRPC' }) +
        destinationRule(HOST, 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]') +
        virtualService(
          HOST,
          `- name: testers
  match: [{ uri: { exact: /test.Echo/Say }, headers: { end-user: { exact: jason }, content-type: { exact: application/grpc } } }]
  timeout: 2s
  route: [{ destination: { host: ${HOST}, subset: v2 } }]
- route: [{ destination: { host: ${HOST}, subset: v1 } }]`,
        ),
    );
    const url = `grpc://${HOST}/test.Echo/Say`;
    const jason = mesh.explain({ method: 'POST', url, headers: { 'end-user': 'jason' } });
    expect(jason).toMatchObject({
      decision: 'route', status: null, grpcStatus: null, port: 9080, route: 'testers', timeoutMs: 2000,
      clusters: [{ name: `outbound|9080|v2|${HOST}`, endpoints: [{ address: `127.0.0.1:${two.port}` }] }],
      request: { method: 'POST', path: '/test.Echo/Say', authority: HOST, headers: { 'end-user': 'jason' } },
    }); // prettier-ignore
    expect((await client.say('x', { 'end-user': 'jason' })).text).toBe('two: x');
    expect(mesh.explain({ url }).clusters).toMatchObject([{ name: `outbound|9080|v1|${HOST}` }]);
    expect((await client.say('x')).text).toBe('one: x');
    expect(mesh.explain({ url: `http://${HOST}:9080/test.Echo/Say` })).not.toHaveProperty('grpcStatus');
  });

  it('and what an injected status of HTTP is to it', async () => {
    const { mesh, client } = await under(
      entry([1]) + virtualService(HOST, `- fault: { abort: { percentage: { value: 100 }, httpStatus: 429 } }\n  route: [${to}]`),
    );
    expect(mesh.explain({ url: `mesh:${HOST}/test.Echo/Say` }).why).toContain('to a caller of gRPC the injected 429 is UNAVAILABLE');
    expect((await client.say('x')).code).toBe(status.UNAVAILABLE);
  });
});
