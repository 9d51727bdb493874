import { createSocket, type Socket } from 'node:dgram';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { dnsLookup } from './lookup.ts';

const A = 1;
const AAAA = 28;
const NXDOMAIN = 3;
const SERVFAIL = 2;

type Record_ = readonly [ttl: number, data: readonly number[]];

let server: Socket;
let servers: string[];
/** Records by `name type`, or a response code; what is not there does not exist. */
let zone: Record<string, readonly Record_[] | number>;
let questions: string[];

/** Answers one question (RFC 1035 §4): the question again, then its records with a pointer to its name. */
function answerTo(query: Buffer): Buffer {
  let end = 12;
  const labels: string[] = [];
  while (query[end]! > 0) {
    labels.push(query.toString('ascii', end + 1, end + 1 + query[end]!));
    end += query[end]! + 1;
  }
  const type = query.readUInt16BE(end + 1);
  const question = `${labels.join('.').toLowerCase()} ${type === A ? 'A' : type === AAAA ? 'AAAA' : type}`;
  questions.push(question);
  const found = zone[question] ?? NXDOMAIN;
  const records = typeof found === 'number' ? [] : found;
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180 | (typeof found === 'number' ? found : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  const answers = records.map(([ttl, data]) => {
    const record = Buffer.alloc(12);
    record.writeUInt16BE(0xc00c, 0);
    record.writeUInt16BE(type, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(ttl, 6);
    record.writeUInt16BE(data.length, 10);
    return Buffer.concat([record, Buffer.from(data)]);
  });
  return Buffer.concat([head, query.subarray(12, end + 5), ...answers]);
}

beforeAll(async () => {
  server = createSocket('udp4', (query, { port, address }) => server.send(answerTo(query), port, address));
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
  servers = [`127.0.0.1:${server.address().port}`];
});
afterAll(() => new Promise<void>((resolve) => server.close(resolve)));
beforeEach(() => {
  questions = [];
  const v6 = Array.from({ length: 16 }, (_, index) => (index === 0 ? 0xfd : index === 15 ? 1 : 0));
  zone = {
    'dual.example.test A': [[30, [10, 0, 0, 2]], [7, [10, 0, 0, 1]]],
    'dual.example.test AAAA': [[9, v6]],
    'six.example.test A': [],
    'six.example.test AAAA': [[9, v6]],
    'half.example.test A': [[30, [10, 0, 0, 3]]],
    'half.example.test AAAA': SERVFAIL,
  }; // prettier-ignore
});

it('asks a real server, and keeps the order and the TTL of its answers', async () => {
  expect(await dnsLookup({ servers })('dual.example.test')).toEqual([
    { address: '10.0.0.2', ttlMs: 30_000 },
    { address: '10.0.0.1', ttlMs: 7000 },
  ]);
  expect(questions).toEqual(['dual.example.test A']);
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
  expect(questions).toEqual([]);
  await expect(dnsLookup({ servers })('nothing.invalid')).rejects.toThrow('nothing.invalid');
  expect(questions).toEqual(['nothing.invalid A', 'nothing.invalid AAAA']);
});
