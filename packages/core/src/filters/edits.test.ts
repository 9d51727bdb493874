import type { HeaderOp } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { NO_EDITS } from '../call.ts';
import type { Handler } from '../handler.ts';
import { scriptedTransport, testExchange, testRuntime } from '../testing/index.ts';
import { edits, type Edits } from './edits.ts';

const set: HeaderOp = { op: 'set', name: 'x', value: '1' };
const nothing: Edits = { requestHeaders: [], responseHeaders: [], authority: null, rewrite: null };
const bottom: Handler = (_, transport) =>
  Promise.resolve(transport.answer(testExchange(), { status: 200, grpcStatus: 0, headers: [], body: '', message: '' }));

function edited(config: Partial<Edits>, path = '/foo/bar') {
  const handler = edits.outbound!({ ...nothing, ...config }, testRuntime())(bottom);
  const exchange = testExchange({ call: { path } });
  void handler(exchange, scriptedTransport());
  return exchange.edits;
}

describe('edits', () => {
  it('of nothing are no function at all', () => {
    expect(edits.outbound!(nothing, testRuntime())(bottom)).toBe(bottom);
    expect(edited({})).toBe(NO_EDITS);
  });

  it('that need no computing are one object for all calls', () => {
    const handler = edits.outbound!({ ...nothing, requestHeaders: [set], authority: 'v2.internal' }, testRuntime())(bottom);
    const [one, other] = [testExchange(), testExchange({ call: { path: '/other' } })];
    void handler(one, scriptedTransport());
    void handler(other, scriptedTransport());
    expect(one.edits).toEqual({ authority: 'v2.internal', path: undefined, request: [set], response: [] });
    expect(other.edits).toBe(one.edits);
  });

  it('replace the path of the call', () => {
    expect(edited({ rewrite: { kind: 'prefix', prefix: '/foo', value: '/xyz', ignoreCase: false }, responseHeaders: [set] })).toEqual({
      authority: undefined,
      path: '/xyz/bar',
      request: [],
      response: [set],
    });
    expect(edited({ rewrite: { kind: 'full', value: '/new' } }).path).toBe('/new');
  });
});
