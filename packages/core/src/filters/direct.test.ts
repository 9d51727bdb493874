import { describe, expect, it } from 'vitest';
import type { Handler } from '../handler.ts';
import { scriptedTransport, testExchange, testRuntime } from '../testing/index.ts';
import { direct, type Direct } from './direct.ts';

const unasked: Handler = () => Promise.reject(new Error('not asked'));

async function answer(config: Partial<Direct>) {
  const transport = scriptedTransport();
  await direct.outbound!({ status: 503, body: '', bodyEncoding: 'utf8', responseHeaders: [], ...config }, testRuntime())(unasked)(
    testExchange(),
    transport,
  );
  return transport.answers[0]!;
}

describe('a direct response', () => {
  it('is the status and text of the policy', async () => {
    expect(await answer({ status: 418, body: 'teapot' })).toEqual({
      status: 418,
      grpcStatus: 2,
      headers: [['content-type', 'text/plain']],
      body: 'teapot',
      message: 'teapot',
    });
  });

  it('without body has no type', async () => {
    expect(await answer({ status: 204 })).toMatchObject({ status: 204, headers: [], body: '' });
  });

  it('may be bytes', async () => {
    expect((await answer({ body: '/wABgA==', bodyEncoding: 'base64' })).body).toEqual(Uint8Array.of(255, 0, 1, 128));
  });

  it('carries the headers of its route, which may say another type', async () => {
    expect(
      (await answer({ body: '{}', responseHeaders: [{ op: 'set', name: 'content-type', value: 'application/json' }] })).headers,
    ).toEqual([['content-type', 'application/json']]);
  });

  it.each([
    [400, 13],
    [401, 16],
    [403, 7],
    [404, 12],
    [429, 14],
    [502, 14],
    [503, 14],
    [504, 14],
    [500, 2],
  ])('of %i is %i to a gRPC client', async (status, grpcStatus) => {
    expect((await answer({ status })).grpcStatus).toBe(grpcStatus);
  });
});
