import { describe, expect, it } from 'vitest';
import { scriptedTransport, type TestCall, testExchange, testRuntime } from '../testing/index.ts';
import { compileLocation, redirect, type Redirect } from './redirect.ts';

type Change = Omit<Redirect, 'status' | 'responseHeaders'>;
const same: Change = { scheme: null, authority: null, port: null, path: null };

describe('the location of a redirect', () => {
  it.each<[string, Partial<Change>, TestCall, string]>([
    ['path', { path: { kind: 'full', value: '/new' } }, { url: 'http://b/old' }, 'http://b/new'],
    ['the query stays', { path: { kind: 'full', value: '/new' } }, { url: 'http://b/old?a=1' }, 'http://b/new?a=1'],
    ['a query of the new path wins', { path: { kind: 'full', value: '/new?b=2' } }, { url: 'http://b/old?a=1' }, 'http://b/new?b=2'],
    [
      'prefix',
      { path: { kind: 'prefix', prefix: '/old', value: '/new', ignoreCase: false } },
      { url: 'http://b/old/x?a' },
      'http://b/new/x?a',
    ],
    ['prefix by segments', { path: { kind: 'segments', prefix: '/old', value: '/' } }, { url: 'http://b/old' }, 'http://b/'],
    ['authority', { authority: 'c' }, { url: 'http://b/x' }, 'http://c/x'],
    ['a new authority drops the old port', { authority: 'c' }, { url: 'http://b:8080/x' }, 'http://c/x'],
    ['the port of the Host header stays', {}, { url: 'http://b/foo', authority: 'b:80' }, 'http://b:80/foo'],
    ['another port of the Host header stays', {}, { url: 'http://b:8080/foo' }, 'http://b:8080/foo'],
    ['scheme', { scheme: 'https' }, { url: 'http://b/x' }, 'https://b/x'],
    ['a new scheme drops the default port of the old', { scheme: 'https' }, { url: 'http://b/x', authority: 'b:80' }, 'https://b/x'],
    ['a new scheme keeps another port', { scheme: 'https' }, { url: 'http://b:8080/x' }, 'https://b:8080/x'],
    ['a port in the new authority is meant', { scheme: 'https', authority: 'c:80' }, { url: 'http://b/x' }, 'https://c:80/x'],
    ['port', { port: 8443 }, { url: 'http://b:8080/x' }, 'http://b:8443/x'],
    ['port 80 of http is not written', { port: 80 }, { url: 'http://b:8080/x' }, 'http://b/x'],
    ['port 443 of https is not written', { port: 443, scheme: 'https' }, { url: 'http://b:8080/x' }, 'https://b/x'],
    ['port 443 of http is', { port: 443 }, { url: 'http://b/x' }, 'http://b:443/x'],
    ['port with authority', { port: 8443, authority: 'c' }, { url: 'http://b/x' }, 'http://c:8443/x'],
    ['the request port', { port: 'requestPort' }, { url: 'http://b:8080/x', authority: 'b' }, 'http://b:8080/x'],
    ['the request port, if default, is not written', { port: 'requestPort' }, { url: 'http://b/x', authority: 'b:80' }, 'http://b/x'],
    ['the protocol default', { port: 'protocolDefault' }, { url: 'http://b:8080/x' }, 'http://b/x'],
    ['an IPv6 host', { port: 81 }, { url: 'http://[::1]:8080/x' }, 'http://[::1]:81/x'],
    ['an IPv6 host without port', { scheme: 'https' }, { url: 'http://[::1]/x' }, 'https://[::1]/x'],
  ])('%s', (_, change, call, expected) => {
    expect(compileLocation({ ...same, ...change })(testExchange({ call }).call)).toBe(expected);
  });
});

describe('a redirect', () => {
  it('answers without asking anyone, and with the headers of its route', async () => {
    const transport = scriptedTransport();
    const handler = redirect.outbound!(
      { ...same, status: 308, authority: 'c', responseHeaders: [{ op: 'set', name: 'x', value: '1' }] },
      testRuntime(),
    )(() => Promise.reject(new Error('not asked')));
    const reply = await handler(testExchange({ call: { url: 'http://b/x?q' } }), transport);
    expect(reply.status).toBe(308);
    expect(transport.answers).toMatchObject([{ status: 308, body: '', headers: [['location', 'http://c/x?q'], ['x', '1']] }]); // prettier-ignore
  });
});
