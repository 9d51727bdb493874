import type { HashKey } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import type { Exchange } from '../exchange.ts';
import type { Handler } from '../handler.ts';
import { scriptedTransport, seededRandom, type TestCall, testExchange, testRuntime } from '../testing/index.ts';
import { hash } from './hash.ts';

const runtime = testRuntime();
const { hash64 } = { hash64: (text: string, seed?: bigint): bigint => runtime.hash.hash64(text, seed) };
const bottom: Handler = (exchange, transport) =>
  Promise.resolve(transport.answer(exchange, { status: 200, grpcStatus: 0, headers: [], body: '', message: '' }));
const header = (name: string): HashKey => ({ kind: 'header', name });
const cookie = (ttlMs: number | null, fields: Partial<Extract<HashKey, { kind: 'cookie' }>> = {}): HashKey => ({
  kind: 'cookie',
  name: 'sid',
  path: '',
  ttlMs,
  attributes: [],
  ...fields,
});
const rotl = (value: bigint): bigint => ((value << 1n) & (2n ** 64n - 1n)) | (value >> 63n);

function hashed(keys: readonly HashKey[], call: TestCall = {}, fields: Partial<Exchange> = {}): Exchange {
  const exchange = testExchange({ ...fields, call });
  void hash.outbound!({ keys }, testRuntime({ random: seededRandom(3) }))(bottom)(exchange, scriptedTransport());
  return exchange;
}

describe('the hash key', () => {
  it('is the hash of a header', () => {
    expect(hashed([header('x-user')], { headers: { 'x-user': 'jason' } }).hashKey).toBe(hash64('jason'));
  });

  it('does not depend on the order of repeated headers', () => {
    const key = hashed([header('x')], { headers: { x: ['b', 'a'] } }).hashKey;
    expect(key).toBe(hash64('b', hash64('a')));
    expect(hashed([header('x')], { headers: { x: ['a', 'b'] } }).hashKey).toBe(key);
  });

  it('sees a header as upstream will', () => {
    const edits = { authority: undefined, path: undefined, request: [{ op: 'set', name: 'x', value: 'new' }], response: [] } as const;
    expect(hashed([header('x')], { headers: { x: 'old' } }, { edits }).hashKey).toBe(hash64('new'));
  });

  it('is the hash of a query parameter, not decoded, first occurrence', () => {
    expect(hashed([{ kind: 'query', name: 'q' }], { query: 'p=1&q=a%20b&q=c' }).hashKey).toBe(hash64('a%20b'));
  });

  it('is the hash of the address on whose behalf we call', () => {
    expect(hashed([{ kind: 'sourceIp' }], { sourceIp: '10.0.0.7' }).hashKey).toBe(hash64('10.0.0.7'));
  });

  it('combines several keys as rotl(old, 1) XOR new', () => {
    const call = { headers: { a: '1', b: '2' } };
    expect(hashed([header('a'), header('b')], call).hashKey).toBe(rotl(hash64('1')) ^ hash64('2'));
    // Istio names the key once per weighted destination: twice the same is not the same.
    expect(hashed([header('a'), header('a')], call).hashKey).toBe(rotl(hash64('1')) ^ hash64('1'));
    expect(hashed([header('a'), header('missing')], call).hashKey).toBe(hash64('1'));
  });

  it('is none where the call has none of them', () => {
    expect(hashed([header('x'), { kind: 'query', name: 'q' }, { kind: 'sourceIp' }, cookie(null)]).hashKey).toBeUndefined();
  });

  it('costs nothing where the policy names none', () => {
    expect(hash.outbound!({ keys: [] }, runtime)(bottom)).toBe(bottom);
  });
});

describe('a cookie as hash key', () => {
  it.each([
    ['sid=abc', 'abc'],
    ['a=1; sid=abc; b=2', 'abc'],
    ['a=1;sid="abc"', 'abc'],
    ['xsid=1; sid=a=b', 'a=b'],
  ])('is read from %s', (text, value) => {
    const { hashKey, edits } = hashed([cookie(1000)], { headers: { cookie: text } });
    expect(hashKey).toBe(hash64(value));
    expect(edits.response).toEqual([]);
  });

  it('is made up where it is missing and the policy gives a ttl, and sent back', () => {
    const attributes = [{ name: 'SameSite', value: 'Strict' }, { name: 'Secure', value: '' }]; // prettier-ignore
    const { hashKey, edits } = hashed([cookie(90_500, { path: '/app', attributes })], { headers: { cookie: 'other=1; sid=' } });
    expect(edits.response).toHaveLength(1);
    const [op] = edits.response;
    expect(op).toMatchObject({ op: 'add', name: 'set-cookie' });
    const text = (op as { value: string }).value;
    const value = /^sid="([0-9a-f]{16})"; Max-Age=90; Path=\/app; SameSite=Strict; Secure; HttpOnly$/.exec(text)?.[1];
    expect(value).toBeDefined();
    expect(hashKey).toBe(hash64(value!));
  });

  it('of ttl 0 lasts for the session', () => {
    const [op] = hashed([cookie(0)]).edits.response;
    expect((op as { value: string }).value).toMatch(/^sid="[0-9a-f]{16}"; HttpOnly$/);
  });

  it('leaves what others shall do to the response', () => {
    const other = { op: 'set', name: 'x', value: '1' } as const;
    const edits = { authority: undefined, path: undefined, request: [], response: [other] };
    expect(hashed([cookie(0)], {}, { edits }).edits.response[0]).toBe(other);
    expect(edits.response).toHaveLength(1);
  });
});
