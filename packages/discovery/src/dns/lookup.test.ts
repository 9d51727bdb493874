import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { a, aaaa, NameServer, SERVFAIL, TRUNCATED } from '../testing/name-server.ts';
import { dnsLookup } from './lookup.ts';

let server: NameServer;
let servers: string[];

beforeEach(async () => {
  server = await new NameServer().open();
  servers = [server.address];
  server.udp = {
    'dual.example.test A': [a('dual.example.test', '10.0.0.2', 30), a('dual.example.test', '10.0.0.1', 7)],
    'dual.example.test AAAA': [aaaa('dual.example.test', 'fd00::1', 9)],
    'six.example.test A': [],
    'six.example.test AAAA': [aaaa('six.example.test', 'fd00::1', 9)],
    'half.example.test A': [a('half.example.test', '10.0.0.3')],
    'half.example.test AAAA': SERVFAIL,
  };
});
afterEach(() => server.close());

it('asks a real server, and keeps the order and the TTL of its answers', async () => {
  expect(await dnsLookup({ servers })('dual.example.test')).toEqual([
    { address: '10.0.0.2', ttlMs: 30_000 },
    { address: '10.0.0.1', ttlMs: 7000 },
  ]);
  expect(server.asked).toEqual(['udp dual.example.test A']);
});

it('asks for IPv6 where there is no IPv4, or where it is preferred', async () => {
  expect(await dnsLookup({ servers })('six.example.test')).toEqual([{ address: 'fd00::1', ttlMs: 9000 }]);
  expect(await dnsLookup({ servers, family: 'V6_PREFERRED' })('dual.example.test')).toEqual([{ address: 'fd00::1', ttlMs: 9000 }]);
  expect(await dnsLookup({ servers, family: 'V6_ONLY' })('dual.example.test')).toHaveLength(1);
});

it('asks for both where all are wanted; a failure of one is no half of an answer', async () => {
  const lookup = dnsLookup({ servers, family: 'ALL', timeoutMs: 200 });
  expect(await lookup('dual.example.test')).toHaveLength(3);
  expect(await lookup('six.example.test')).toHaveLength(1);
  // The system does not know the name either; but that says nothing while those who should know cannot.
  await expect(lookup('half.example.test')).rejects.toMatchObject({ code: 'ESERVFAIL', message: 'queryAaaa ESERVFAIL half.example.test' });
});

it('asks the system for names without a dot, and where the servers know nothing', async () => {
  const found = await dnsLookup({ servers })('localhost');
  expect(found).toContainEqual({ address: '127.0.0.1', ttlMs: undefined });
  expect(server.asked).toEqual([]);
  await expect(dnsLookup({ servers })('nothing.invalid')).rejects.toThrow('nothing.invalid');
  expect(server.asked).toEqual(['udp nothing.invalid A', 'udp nothing.invalid AAAA']);
});

it('follows an alias no longer than the alias itself holds', async () => {
  server.udp!['alias.example.test A'] = [
    { type: 'CNAME', name: 'alias.example.test', ttl: 5, data: 'dual.example.test' },
    a('dual.example.test', '10.0.0.2', 30),
  ];
  expect(await dnsLookup({ servers })('alias.example.test')).toEqual([{ address: '10.0.0.2', ttlMs: 5000 }]);
});

describe('asks by TCP', () => {
  const many = Array.from({ length: 100 }, (_, index) => a('many.example.test', `10.0.1.${index}`));

  it('for what UDP is too small for', async () => {
    server.udp!['many.example.test A'] = { answers: many.slice(0, 3), flags: TRUNCATED };
    server.tcp['many.example.test A'] = many;
    expect(await dnsLookup({ servers })('many.example.test')).toHaveLength(100);
    expect(server.asked).toEqual(['udp many.example.test A', 'tcp many.example.test A']);
  });

  it('where UDP is silent, and another server where both are', async () => {
    server.udp!['dual.example.test A'] = 'nothing';
    server.tcp['dual.example.test A'] = [a('dual.example.test', '10.0.0.9')];
    expect(await dnsLookup({ servers, timeoutMs: 200 })('dual.example.test')).toMatchObject([{ address: '10.0.0.9' }]);
    server.tcp['dual.example.test A'] = 'nothing';
    await using stack = new AsyncDisposableStack();
    const second = await new NameServer().open();
    stack.defer(() => second.close());
    second.udp = { 'dual.example.test A': [a('dual.example.test', '10.0.0.8')] };
    expect(await dnsLookup({ servers: [...servers, second.address], timeoutMs: 200 })('dual.example.test')).toMatchObject([
      { address: '10.0.0.8' },
    ]);
  });
});

it('says how much it can take (EDNS), so that Consul answers with more than three', async () => {
  await dnsLookup({ servers })('dual.example.test');
  expect(server.udpSizes).toEqual([1232]);
});
