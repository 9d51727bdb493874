import { expect, it } from 'vitest';
import { testCall, testExchange, testPeer, testProgram, testRuntime, toProgram } from '../testing/index.ts';
import { peer } from './peer.ts';

async function called(caller: ReturnType<typeof testPeer> | undefined) {
  const program = testProgram();
  const refused: number[] = [];
  const ledger = { everything: false, refused: (_: unknown, status: number) => void refused.push(status), decided: () => {} };
  const call = caller === undefined ? testCall() : testCall({ peer: caller });
  const handler = peer.inbound!({ ledger }, testRuntime())(toProgram);
  const run = async () => handler(testExchange({ call }), program);
  return { reply: await run().catch((error: unknown) => error), program, refused };
}

it('lets in who has proven who he is', async () => {
  expect(await called(testPeer({ principal: 'td/ns/a/sa/b' }))).toMatchObject({ reply: { value: 'yours' }, refused: [] });
});

it('refuses everybody else, says so to the ledger, and closes the connection', async () => {
  // TLS alone proves nothing: a certificate without a SPIFFE identity is nobody's.
  for (const caller of [testPeer(), testPeer({ tls: true }), undefined]) {
    const { reply, program, refused } = await called(caller);
    expect(reply).toMatchObject({ code: 'PERMISSION_DENIED', status: 403, answer: { headers: [['connection', 'close']] } });
    expect(program.received).toEqual([]);
    expect(refused).toEqual([403]);
  }
});
