import { expect, it } from 'vitest';
import { redacted, redactPath } from './redact.ts';

it('takes private keys, credentials of headers and private members of JWKS out, wherever they are', () => {
  const policy = {
    tls: { privateKey: '-----BEGIN EC PRIVATE KEY-----\nMHc…', caPem: '-----BEGIN CERTIFICATE-----\nMIIB…', file: '/etc/certs/key.pem' },
    routes: [{ requestHeaders: [{ op: 'set', name: 'Authorization', value: 'Bearer secret' }, { op: 'set', name: 'x-canary', value: 'yes' }] }],
    request: { headers: { cookie: 'session=1', host: 'reviews' } },
    jwks: '{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"RSA","n":"abc","d": "secret"}]}',
    map: new Map([['key', '-----BEGIN PRIVATE KEY-----']]),
    set: new Set(['-----BEGIN RSA PRIVATE KEY-----']),
    weight: 7,
    none: null,
  }; // prettier-ignore
  expect(redacted(policy)).toEqual({
    tls: { privateKey: '[redacted]', caPem: '-----BEGIN CERTIFICATE-----\nMIIB…', file: '/etc/certs/key.pem' },
    routes: [{ requestHeaders: [{ op: 'set', name: 'Authorization', value: '[redacted]' }, { op: 'set', name: 'x-canary', value: 'yes' }] }],
    request: { headers: { cookie: '[redacted]', host: 'reviews' } },
    jwks: '{"keys":[{"kty":"oct","k":"[redacted]"},{"kty":"RSA","n":"abc","d": "[redacted]"}]}',
    map: new Map([['key', '[redacted]']]),
    set: new Set(['[redacted]']),
    weight: 7,
    none: null,
  }); // prettier-ignore
});

it.each([
  ['/orders/7?page=2&sort=asc', '/orders/7?page=2&sort=asc'],
  ['/cb?code=abc&state=x', '/cb?code=[redacted]&state=x'],
  ['/a?x=1&access_token=abc#f', '/a?x=1&access_token=[redacted]#f'],
  ['/token/abc', '/token/abc'],
])('takes credentials out of the path %s', (path, safe) => expect(redactPath(path)).toBe(safe));
