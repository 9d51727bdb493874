import { describe, expect, it } from 'vitest';
import { MeshError } from '../errors.ts';
import { testModel } from '../testing/inbound.ts';
import { testPeer } from '../testing/peer.ts';
import { readCall, type Received } from './received.ts';

type Lines = readonly (readonly [name: string, value: string])[];

function received(target: string, lines: Lines = [['host', 'orders']], fields: Partial<Received> = {}): Received {
  return { method: 'GET', target, rawHeaders: lines.flat(), authority: undefined, scheme: 'http', upgrade: false, ...fields };
}
const read = (given: Received, trustedHops = 0) => readCall(given, testPeer().connection, testModel({ trustedHops }));

describe('a request is read', () => {
  it('with its path as rules and routers shall see it', () => {
    expect(read(received('/a/../b?c#d'))).toMatchObject({
      path: '/b',
      query: 'c',
      authority: 'orders',
      host: 'orders',
      port: 80,
      method: 'GET',
    });
  });

  it('from a whole URL, a star, or an authority alone', () => {
    expect(read(received('http://orders:81/x', [['host', 'ORDERS:81']]))).toMatchObject({ authority: 'orders:81', path: '/x', port: 81 });
    expect(read(received('*', [['host', 'orders']], { method: 'OPTIONS' }))).toMatchObject({ path: '*' });
    expect(read(received('http://orders?x=/y', [['host', 'orders']]))).toMatchObject({ path: '/', query: 'x=/y' });
    expect(read(received('db:5432', [], { method: 'CONNECT' }))).toMatchObject({ authority: 'db:5432', path: '' });
    expect(read(received('', [], { method: 'CONNECT', authority: 'db:5432' }))).toMatchObject({ authority: 'db:5432', path: '' });
    expect(read(received('/a/../chat', [], { method: 'CONNECT', authority: 'orders' }))).toMatchObject({
      authority: 'orders',
      path: '/chat',
    });
    expect(read(received('/', [], { authority: '[::1]:8443', scheme: 'https' }))).toMatchObject({ host: '::1', port: 8443 });
  });

  it('without the lines that only the mesh may write, or that programs take for others', () => {
    const given = received('/', [
      ['host', 'orders'],
      ['X-Envoy-Original-Path', '/public'],
      ['x-forwarded-client-cert', 'By=…'],
      ['x-inmesh-flags', 'UH'],
      ['x_user', 'root'],
      ['x-user', 'ann'],
      ['x-inmesh-deadline', '100'],
    ]);
    const call = read(given);
    // In place: the program reads the same lines.
    expect(given.rawHeaders).toEqual(['host', 'orders', 'x-user', 'ann', 'x-inmesh-deadline', '100']);
    expect([call.header('x-user'), call.header('x_user'), call.headerValues('x-envoy-original-path')]).toEqual(['ann', undefined, []]);
  });

  it('with the host of a tunnel, whatever proxy its Host names', () => {
    const given = received('db:5432', [['Host', 'proxy:3128'], ['a', 'b']], { method: 'CONNECT' }); // prettier-ignore
    expect(read(given).header('host')).toBe('db:5432');
    expect(given.rawHeaders).toEqual(['a', 'b', 'host', 'db:5432']);
  });

  it('as gRPC only where it is', () => {
    const of = (type: string, method = 'POST') => read(received('/', [['host', 'orders'], ['Content-Type', type]], { method })).protocol; // prettier-ignore
    expect(['application/grpc', 'application/grpc+proto', 'application/GRPC; x=y', 'application/grpc-web', 'text/plain'].map((type) => of(type))).toEqual(['grpc', 'grpc', 'grpc', 'http', 'http']); // prettier-ignore
    expect(of('application/grpc', 'GET')).toBe('http');
  });

  it('as of the TCP peer where a trusted proxy wrote no address', () => {
    for (const line of ['unknown', '203.0.113.1, ', '10.0.0.1:80'])
      expect(read(received('/', [['host', 'orders'], ['x-forwarded-for', line]]), 1).peer.clientAddress).toBe('10.0.0.9'); // prettier-ignore
  });

  it('with every line of a header, and as of the client behind proxies that are trusted', () => {
    const lines: Lines = [['host', 'orders'], ['X-Role', 'user'], ['x-role', 'admin'], ['x-forwarded-for', '203.0.113.1, 10.4.5.6'], ['X-Forwarded-For', '10.4.5.7']]; // prettier-ignore
    expect(read(received('/', lines)).headerValues('x-role')).toEqual(['user', 'admin']);
    expect([0, 1, 2, 3, 4].map((hops) => read(received('/', lines), hops).peer.clientAddress)).toEqual([
      '10.0.0.9',
      '10.4.5.7',
      '10.4.5.6',
      '203.0.113.1',
      '10.0.0.9',
    ]);
  });
});

it.each<[string, Received]>([
  ['two hosts', received('/', [['host', 'a'], ['Host', 'b']])],
  ['two hosts that are the same', received('/', [['host', 'a'], ['host', 'a']])],
  ['two tokens', received('/', [['host', 'a'], ['authorization', 'Bearer a'], ['authorization', 'Bearer b']])],
  ['two deadlines', received('/', [['host', 'a'], ['x-inmesh-deadline', '1'], ['x-inmesh-deadline', '2']])],
  ['a host that is not the target\u2019s', received('http://evil/secret', [['host', 'a']])],
  ['a host that is not the pseudo header\u2019s', received('/', [['host', 'a']], { authority: 'b' })],
  ['no host', received('/', [])],
  ['an empty host', received('/', [['host', '']])],
  ['a user in the host', received('/', [['host', 'a.com@evil']])],
  ['a path in the host', received('/', [['host', 'a/b']])],
  ['a target that is no path', received('x')],
  ['no target', received('')],
  ['a star of anything but OPTIONS', received('*')],
  ['a tunnel to nowhere', received('', [['host', 'a']], { method: 'CONNECT' })],
  ['a tunnel with a user', received('a@b:1', [], { method: 'CONNECT' })],
  ['an escaped NUL', received('/admin%00')],
])('refuses %s', (_, given) => {
  expect(() => read(given)).toThrow(MeshError);
  try {
    read(given);
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_REQUEST', status: 400, answer: { body: 'Bad Request', headers: [['connection', 'close']] } });
  }
}); // prettier-ignore
