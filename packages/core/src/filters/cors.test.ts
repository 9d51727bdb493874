import type { Cors } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { testExchange, testProgram, testRuntime, toProgram } from '../testing/index.ts';
import { compileCors, cors, isPreflight } from './cors.ts';

const rules = (fields: Partial<Cors> = {}): Cors => ({
  allowOrigins: [{ kind: 'exact', value: 'https://a.example' }],
  allowMethods: ['GET', 'PUT'],
  allowHeaders: ['x-one', 'x-two'],
  exposeHeaders: ['x-three'],
  maxAgeSeconds: 600,
  allowCredentials: true,
  unmatchedPreflights: 'FORWARD',
  ...fields,
});

async function sent(headers: Record<string, string>, given: Cors, method = 'GET', hosts = ['reviews']) {
  const compiled = compileCors(given, 'VirtualService a/b');
  const program = testProgram();
  const handler = cors.inbound!({ find: ({ host }) => (hosts.includes(host) ? compiled : undefined) }, testRuntime())(toProgram);
  const reply = await handler(testExchange({ call: { method, headers } }), program);
  const [answer] = program.answers;
  return {
    reply,
    answer: answer === undefined ? undefined : Object.fromEntries(answer.headers),
    edits: program.received[0]?.edits.response,
  };
}

const ORIGIN = { origin: 'https://a.example' };
const PREFLIGHT = { ...ORIGIN, 'access-control-request-method': 'PUT' };

describe('a preflight', () => {
  it('of an allowed origin is answered with all that it may do, in lists joined by a bare comma', async () => {
    const { reply, answer, edits } = await sent(PREFLIGHT, rules(), 'OPTIONS');
    expect(reply.status).toBe(200);
    expect(answer).toEqual({
      'access-control-allow-origin': 'https://a.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET,PUT',
      'access-control-allow-headers': 'x-one,x-two',
      'access-control-max-age': '600',
    });
    expect(edits).toBeUndefined();
  });

  it('says nothing of what the rules do not speak of', async () => {
    const bare = rules({ allowMethods: [], allowHeaders: [], maxAgeSeconds: null, allowCredentials: false });
    expect((await sent(PREFLIGHT, bare, 'OPTIONS')).answer).toEqual({ 'access-control-allow-origin': 'https://a.example' });
  });

  it('of another origin goes on to the program, or is answered without permission', async () => {
    const other = { ...PREFLIGHT, origin: 'https://b.example' };
    expect(await sent(other, rules(), 'OPTIONS')).toMatchObject({ answer: undefined, edits: [], reply: { value: 'yours' } });
    expect(await sent(other, rules({ unmatchedPreflights: 'IGNORE' }), 'OPTIONS')).toMatchObject({ answer: {}, reply: { status: 200 } });
  });

  it('is OPTIONS with an origin and a method, and nothing less', () => {
    const is = (method: string, headers: Record<string, string>) => isPreflight(testExchange({ call: { method, headers } }).call);
    expect(is('OPTIONS', PREFLIGHT)).toBe(true);
    expect(is('GET', PREFLIGHT)).toBe(false);
    expect(is('OPTIONS', ORIGIN)).toBe(false);
    expect(is('OPTIONS', { 'access-control-request-method': 'PUT' })).toBe(false);
    expect(is('OPTIONS', { ...PREFLIGHT, origin: '' })).toBe(false);
  });
});

describe('any other call', () => {
  it('of an allowed origin goes on, and its answer says so', async () => {
    const { edits, reply } = await sent(ORIGIN, rules());
    expect(reply.value).toBe('yours');
    expect(edits).toEqual([
      { op: 'set', name: 'access-control-allow-origin', value: 'https://a.example' },
      { op: 'set', name: 'access-control-allow-credentials', value: 'true' },
      { op: 'set', name: 'access-control-expose-headers', value: 'x-three' },
    ]);
  });

  it('of another origin, of none, or on a route without rules goes on as it is', async () => {
    for (const headers of [{ origin: 'https://b.example' }, { origin: '' }, {} as Record<string, string>])
      expect((await sent(headers, rules({ allowOrigins: [{ kind: 'exact', value: 'https://a.example' }] }))).edits).toEqual([]);
    expect((await sent(ORIGIN, rules(), 'GET', ['orders'])).edits).toEqual([]);
  });

  it('with an empty origin is of none, even where every origin is allowed', async () => {
    expect((await sent({ origin: '' }, rules({ allowOrigins: [{ kind: 'prefix', value: '' }] }))).edits).toEqual([]);
  });

  it('is any that only looks like a preflight', async () => {
    expect(await sent(ORIGIN, rules(), 'OPTIONS')).toMatchObject({ answer: undefined, reply: { value: 'yours' } });
  });

  it('is compared as exact text, prefix, or the whole of a regular expression', async () => {
    const allowed = async (origin: string, match: Cors['allowOrigins'][number]) =>
      (await sent({ origin }, rules({ allowOrigins: [match] }))).edits?.length !== 0;
    expect(await allowed('https://a.example.evil', { kind: 'exact', value: 'https://a.example' })).toBe(false);
    expect(await allowed('https://a.example:8443', { kind: 'prefix', value: 'https://a.example' })).toBe(true);
    expect(await allowed('https://x.a.example', { kind: 'regex', value: 'https://.*\\.a\\.example' })).toBe(true);
    expect(await allowed('https://x.a.example.evil', { kind: 'regex', value: 'https://.*\\.a\\.example' })).toBe(false);
  });
});
