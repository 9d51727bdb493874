import type { MeshEvent } from '@inmesh/core';
import { fakeClock, testCall, testEndedCall, testPeer, testWorkload } from '@inmesh/core/testing';
import type { AccessLogRule, AccessLogSink } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { clientInfo, serverInfo } from '../testing/infos.ts';
import type { Writer } from './batch.ts';
import { accessLogs } from './observer.ts';

const file = (path: string, format: string | null): AccessLogSink => ({
  kind: 'file',
  path,
  format: { kind: 'text', format, omitEmptyValues: false },
});
const rule = (sink: AccessLogSink, filter: string | null = null): AccessLogRule => ({ provider: 'test', sink, filter });
const client = (...accessLogRules: AccessLogRule[]) => ({
  ...clientInfo,
  telemetry: { ...clientInfo.telemetry, accessLogs: accessLogRules },
});
const server = (...accessLogRules: AccessLogRule[]) => ({
  ...serverInfo,
  telemetry: { ...serverInfo.telemetry, accessLogs: accessLogRules },
});

function logged() {
  const clock = fakeClock();
  const files = new Map<string, string>();
  const rests: string[] = [];
  const events: Extract<MeshEvent, { type: 'log.failed' }>[] = [];
  const writerOf = (path: string): Writer => ({
    write: async (text) => void files.set(path, (files.get(path) ?? '') + text),
    last: (text) => void files.set(path, (files.get(path) ?? '') + text),
    rest: async () => void rests.push(path),
  });
  const observer = accessLogs({
    workload: testWorkload({ name: 'web' }),
    clock,
    writerOf,
    onEvent: (event) => {
      if (event.type === 'log.failed') events.push(event);
    },
  });
  return { clock, files, rests, events, observer };
}

const applied: MeshEvent = { type: 'policy.applied', version: '2', ms: 1 };
const ended = (path: string, given: Parameters<typeof testEndedCall>[0] = {}) =>
  testEndedCall({ call: testCall({ url: `http://reviews${path}` }), ...given });

describe('access logs', () => {
  it('of calls made and received, each with the rules of its side', async () => {
    const { observer, files } = logged();
    observer.route(client(rule(file('/out', 'out %REQ(:PATH)%')))).ended(ended('/a'));
    const peer = testPeer();
    observer.inbound!(server(rule(file('/in', 'in %REQ(:PATH)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%')))).ended(
      testEndedCall({ call: testCall({ url: 'http://web/b', peer }) }),
    ); // prettier-ignore
    await observer.close();
    expect(Object.fromEntries(files)).toEqual({ '/out': 'out /a\n', '/in': 'in /b 10.0.0.9\n' });
  });

  it('only of calls for which the filter is true; one that fails lets none through', async () => {
    const { observer, files } = logged();
    const route = observer.route(
      client(
        rule(file('/errors', '%REQ(:PATH)%'), 'response.code >= 400'),
        rule(file('/ann', '%REQ(:PATH)%'), "request.headers['x-user'] == 'ann'"),
      ),
    );
    route.ended(ended('/ok'));
    route.ended(ended('/bad', { status: 503 }));
    route.ended(ended('/left', { status: 0 }));
    route.ended(testEndedCall({ call: testCall({ url: 'http://reviews/ann', headers: { 'x-user': 'ann' } }) }));
    await observer.close();
    expect(Object.fromEntries(files)).toEqual({ '/errors': '/bad\n', '/ann': '/ann\n' });
  });

  it('several rules may name one file', async () => {
    const { observer, files } = logged();
    const route = observer.route(client(rule(file('/log', 'one')), rule(file('/log', 'two'))));
    route.ended(ended('/'));
    route.ended(ended('/'));
    await observer.close();
    expect(files.get('/log')).toBe('one\ntwo\none\ntwo\n');
  });

  it('a format that means nothing is told once, and Istio’s own is used', async () => {
    const { observer, files, events } = logged();
    for (const sink of [file('/log', '%RESPNSE_CODE%'), file('/log', '%RESPNSE_CODE%')]) observer.route(client(rule(sink)));
    observer.route(client(rule(file('/log', '%RESPNSE_CODE%')))).ended(ended('/a'));
    expect(events).toEqual([{ type: 'log.failed', log: 'test', reason: 'there is no command operator %RESPNSE_CODE%', dropped: 0 }]);
    await observer.close();
    expect(files.get('/log')).toMatch(/^\[2024-12-31T23:59:59.999Z\] "GET \/a HTTP\/1.1" 200 - via_upstream /);
  });

  it('a filter that means nothing is told, and lets none through', async () => {
    const { observer, files, events } = logged();
    observer.route(client(rule(file('/log', 'x'), 'respnse.code > 1'))).ended(ended('/a'));
    await observer.close();
    expect(events.map(({ reason }) => reason)).toEqual([expect.stringContaining('Unknown variable: respnse')]);
    expect(files.size).toBe(0);
  });

  it('what a new policy names no more is let go, and what it does is kept; the last calls of the old one are still written', async () => {
    const { observer, files, rests, clock } = logged();
    const old = observer.route(client(rule(file('/kept', 'k')), rule(file('/gone', 'g'))));
    observer.event(applied);
    await clock.pass(0);
    expect(rests).toEqual([]);
    old.ended(ended('/'));
    observer.route(client(rule(file('/kept', 'k'))));
    observer.event(applied);
    await clock.pass(0);
    expect(rests).toEqual(['/gone']);
    expect(files.get('/gone')).toBe('g\n');
    old.ended(ended('/'));
    await clock.pass(1000);
    expect(files.get('/gone')).toBe('g\ng\n');
    await observer.close();
  });

  it('costs nothing where no rule is: the observer is the one that does nothing', () => {
    const { observer } = logged();
    expect(observer.route(client())).toBe(observer.inbound!(server()));
  });

  it('lines that are lost are told', async () => {
    const events: MeshEvent[] = [];
    const broken: Writer = { write: async () => Promise.reject(new Error('EIO')), last: () => {}, rest: async () => {} };
    const observer = accessLogs({ workload: testWorkload(), onEvent: (event) => events.push(event), writerOf: () => broken });
    const route = observer.route(client(rule(file('/log', 'x'))));
    route.ended(ended('/'));
    route.ended(ended('/'));
    await observer.close();
    expect(events).toEqual([{ type: 'log.failed', log: '/log', reason: 'EIO', dropped: 2 }]);
  });
});
