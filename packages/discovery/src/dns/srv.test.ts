import type { Answer as Record_, Packet } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { a, aaaa, NameServer, NXDOMAIN, SERVFAIL, TRUNCATED } from '../testing/name-server.ts';
import { dnsLookup, isSrvName } from './lookup.ts';

const NAME = '_http._tcp.reviews.internal';

let server: NameServer;
beforeEach(async () => {
  server = await new NameServer().open();
});
afterEach(() => server.close());

const srv = (target: string, port: number, { weight = 1, priority = 0, ttl = 60 } = {}): Record_ => ({
  type: 'SRV',
  name: NAME,
  ttl,
  data: { target, port, weight, priority },
});
const look = (timeoutMs = 1000) => dnsLookup({ servers: [server.address], timeoutMs })(NAME);

it('is for names that RFC 2782 gives to services, and for no others', () => {
  expect(['_http._tcp.reviews.internal', '_grpc._tcp.a'].map(isSrvName)).toEqual([true, true]);
  expect(['reviews.internal', '_http.reviews.internal', '_http._tcp', '_http._tcp.', 'a._http._tcp.b'].map(isSrvName)).toEqual(
    Array(5).fill(false),
  );
});

describe('who offers a service', () => {
  it('is told with port, priority and weight; addresses from the additional section, the shortest TTL counts', async () => {
    server.tcp[`${NAME} SRV`] = {
      answers: [srv('B.internal', 9002, { weight: 1, priority: 20 }), srv('a.internal', 9001, { weight: 10, ttl: 30 })],
      additionals: [a('a.internal', '10.0.0.1', 5), a('A.internal', '10.0.0.2', 90), a('b.internal', '10.0.0.3')],
    };
    expect(await look()).toEqual([
      { address: '10.0.0.1', port: 9001, priority: 0, weight: 10, ttlMs: 5000 },
      { address: '10.0.0.2', port: 9001, priority: 0, weight: 10, ttlMs: 30_000 },
      { address: '10.0.0.3', port: 9002, priority: 20, weight: 1, ttlMs: 30_000 },
    ]);
    expect(server.asked).toEqual([`tcp ${NAME} SRV`]);
  });

  it('is looked up where the answer brings no addresses; a target that has none is left out', async () => {
    server.tcp[`${NAME} SRV`] = [srv('a.internal', 1), srv('b.internal', 2), srv('c.internal', 3)];
    server.udp = { 'a.internal A': [a('a.internal', '10.0.0.1', 7)], 'c.internal A': [], 'c.internal AAAA': [aaaa('c.internal', 'fd00::1', 9)] }; // prettier-ignore
    expect(await look()).toMatchObject([
      { address: '10.0.0.1', port: 1, ttlMs: 7000 },
      { address: 'fd00::1', port: 3, ttlMs: 9000 },
    ]);
  });

  it('fails as a whole when one target cannot be looked up: the others would get its load', async () => {
    server.tcp[`${NAME} SRV`] = [srv('a.internal', 1), srv('b.internal', 2)];
    server.udp = { 'a.internal A': [a('a.internal', '10.0.0.1')], 'b.internal A': SERVFAIL };
    await expect(look()).rejects.toMatchObject({ code: 'ESERVFAIL' });
  });

  it('gives a weight of 0 a hundredth of the smallest share, and equal shares where all are 0', async () => {
    const weights = async (...given: [weight: number, priority: number][]): Promise<unknown> => {
      server.tcp[`${NAME} SRV`] = {
        answers: given.map(([weight, priority], index) => srv(`t${index}.internal`, 1, { weight, priority })),
        additionals: given.map((_, index) => a(`t${index}.internal`, `10.0.0.${index}`)),
      };
      return (await look()).map(({ weight }) => weight);
    };
    expect(await weights([0, 0], [1, 0], [65_535, 0], [3, 1])).toEqual([1, 100, 6_553_500, 3]);
    expect(await weights([0, 0], [0, 0], [2, 1])).toEqual([1, 1, 2]);
  });

  it('is nobody, where the name or all targets do not exist, or the one target is "."', async () => {
    await expect(look()).rejects.toMatchObject({ code: 'ENOTFOUND', message: `querySrv ENOTFOUND ${NAME}` });
    server.tcp[`${NAME} SRV`] = [srv('.', 0)];
    await expect(look()).rejects.toMatchObject({ code: 'ENODATA' });
    expect(server.asked).not.toContain('udp . A');
    server.tcp[`${NAME} SRV`] = [srv('gone.internal', 1)];
    await expect(look()).rejects.toMatchObject({ code: 'ENODATA' });
    server.tcp[`${NAME} SRV`] = [];
    await expect(look()).rejects.toMatchObject({ code: 'ENODATA' });
  });
});

describe('the way to the server', () => {
  const all = Array.from({ length: 5 }, (_, index) => srv(`t${index}.internal`, 1));
  const additionals = all.map((_, index) => a(`t${index}.internal`, `10.0.0.${index}`));

  it('is TCP: over UDP Consul leaves out all but three, and does not say so', async () => {
    server.udp = { [`${NAME} SRV`]: { answers: all.slice(0, 3), additionals } };
    server.tcp[`${NAME} SRV`] = { answers: all, additionals };
    expect(await look()).toHaveLength(5);
    expect(server.asked).toEqual([`tcp ${NAME} SRV`]);
  });

  it('is UDP where TCP is shut; half an answer is none there', async () => {
    await server.close();
    server = await new NameServer().open({ tcp: false });
    server.udp = { [`${NAME} SRV`]: { answers: all, additionals } };
    expect(await look()).toHaveLength(5);
    server.udp = { [`${NAME} SRV`]: { answers: all.slice(0, 3), additionals, flags: TRUNCATED } };
    await expect(look()).rejects.toMatchObject({ code: 'ETRUNCATED' });
  });

  it('goes on to the next server where one cannot say, and stops at one that knows there is nothing', async () => {
    await using stack = new AsyncDisposableStack();
    const second = await new NameServer().open();
    stack.defer(() => second.close());
    second.tcp[`${NAME} SRV`] = { answers: all, additionals };
    const both = dnsLookup({ servers: [server.address, second.address], timeoutMs: 200 });
    for (const said of [SERVFAIL, 5, 'nothing'] as const) {
      server.tcp[`${NAME} SRV`] = said;
      expect(await both(NAME)).toHaveLength(5);
    }
    server.tcp[`${NAME} SRV`] = NXDOMAIN;
    await expect(both(NAME)).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect(second.asked).toHaveLength(3);
  });

  it('hears no answer to another question', async () => {
    await using stack = new AsyncDisposableStack();
    const withoutTcp = await new NameServer().open({ tcp: false });
    stack.defer(() => withoutTcp.close());
    const forgeries: readonly ((id: number) => Partial<Packet>)[] = [
      (id) => ({ id: (id + 1) % 65_536 }),
      () => ({ questions: [{ type: 'SRV', name: '_http._tcp.other.internal' }] }),
      () => ({ type: 'query' }),
    ];
    for (const forged of forgeries) {
      const said = (id: number): Partial<Packet> => ({ answers: all, additionals, ...forged(id) });
      withoutTcp.udp = { [`${NAME} SRV`]: said };
      await expect(dnsLookup({ servers: [withoutTcp.address], timeoutMs: 100 })(NAME)).rejects.toMatchObject({ code: 'ETIMEOUT' });
      server.tcp[`${NAME} SRV`] = said;
      await expect(look()).rejects.toMatchObject({ code: 'EBADRESP' });
    }
  });

  it('can be given up', async () => {
    server.tcp[`${NAME} SRV`] = 'nothing';
    const given = new AbortController();
    const looking = dnsLookup({ servers: [server.address] })(NAME, given.signal);
    setTimeout(() => given.abort(), 50);
    await expect(looking).rejects.toMatchObject({ code: 'ECANCELLED' });
    // The server closes only when nobody is connected any more.
  });
});

describe('servers', () => {
  it('of a domain are asked for its names, and only for those', async () => {
    server.tcp[`${NAME} SRV`] = { answers: [srv('a.internal', 1)], additionals: [a('a.internal', '10.0.0.1')] };
    server.udp = { 'a.internal A': [a('a.internal', '10.0.0.1')], 'b.example.test A': [a('b.example.test', '10.0.0.9')] };
    const lookup = dnsLookup({ servers: ['127.0.0.1:1', `internal=${server.address}`], timeoutMs: 200 });
    expect(await lookup(NAME)).toHaveLength(1);
    expect(await lookup('A.Internal.')).toHaveLength(1);
    // Nobody else is asked for what they do not know: not the system either.
    await expect(lookup('gone.internal')).rejects.toMatchObject({
      code: 'ENOTFOUND',
      message: expect.stringContaining('queryA') as string,
    });
    await expect(lookup('b.example.test')).rejects.toThrow('b.example.test');
    expect(server.asked).not.toContain('udp b.example.test A');
  });

  it('that nobody could reach are refused by name', () => {
    for (const text of ['dns.internal', '10.0.0.1:70000', 'consul=', '10.0.0.1:x', '[10.0.0.1', 'consul=agent:8600'])
      expect(() => dnsLookup({ servers: [text] })).toThrow(RangeError);
    expect(() => dnsLookup({ servers: ['10.0.0.1', '::1', '[::1]:53', 'consul=127.0.0.1:8600', 'a.b=[fd00::1]'] })).not.toThrow();
  });
});
