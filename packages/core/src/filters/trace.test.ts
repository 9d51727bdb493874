import { describe, expect, it } from 'vitest';
import type { Exchange } from '../exchange.ts';
import type { Trace } from '../ports/trace.ts';
import { scriptedTransport, testExchange, testRuntime } from '../testing/index.ts';
import { trace } from './trace.ts';

const place = (requestId: string): Trace => ({ requestId }) as Trace;
const transport = scriptedTransport();
const runtime = testRuntime();

/** What the filter hands down. */
function through(side: 'outbound' | 'inbound', exchange: Exchange, begun: Trace | undefined, instrumented = false) {
  const told: boolean[] = [];
  const begin = (_call: unknown, given: boolean): Trace | undefined => {
    told.push(given);
    return begun;
  };
  let passed: Exchange | undefined;
  const filter = trace[side]!(
    { begin },
    runtime,
  )((given) => {
    passed = given;
    return new Promise(() => {});
  });
  void filter(exchange, Object.assign(Object.create(transport) as typeof transport, { instrumented }));
  return { passed: passed!, told };
}

describe('trace', () => {
  it('gives a call its place before anything else is done for it', () => {
    const begun = place('r');
    const { passed, told } = through('outbound', testExchange(), begun, true);
    expect(passed.life.trace).toBe(begun);
    expect(told).toEqual([false]);
    expect(passed.edits.request).toEqual([]);
  });

  it('shows the program the id of its request where the caller sent none', () => {
    const { passed } = through('inbound', testExchange(), place('made'));
    expect(passed.edits.request).toEqual([{ op: 'add', name: 'x-request-id', value: 'made' }]);
    const sent = through('inbound', testExchange({ call: { headers: { 'x-request-id': 'sent' } } }), place('sent'));
    expect(sent.passed.edits.request).toEqual([]);
  });

  it('tells the tracer whether somebody else traces the server', () => {
    expect(through('inbound', testExchange(), undefined, true).told).toEqual([true]);
    expect(through('inbound', testExchange(), undefined).told).toEqual([false]);
  });
});
