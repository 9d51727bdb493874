import type { ServerResponse } from 'node:http';
import type { LookupFunction } from 'node:net';
import { systemClock } from '@inmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { jwk, jwks, KEYS, KeyServer, testRule } from '../testing/tokens.ts';
import { blockedAddresses } from './addresses.ts';
import type { Fetching } from './fetch.ts';
import { loadKeys, placeOf, publicName } from './locate.ts';

const server = new KeyServer();
let url = '';
beforeEach(async () => {
  url = await server.listen();
  server.asked.length = 0;
  server.serve(jwk(KEYS.rsa, { kid: 'k1' }));
});
afterEach(() => server.close());

const resolvesTo =
  (...addresses: readonly string[]): LookupFunction =>
  (_, options, callback) => {
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    if (options.all === true) callback(null, found);
    else callback(null, found[0]!.address, found[0]!.family);
  };

const load = async (
  place: string,
  {
    kind = 'uri',
    timeoutMs = 2000,
    ...fetching
  }: Partial<Fetching> & { readonly kind?: 'uri' | 'discovery'; readonly timeoutMs?: number } = {},
): Promise<string> => {
  const loaded = await loadKeys(
    { kind, url: place },
    { blocked: blockedAddresses([]), ca: undefined, lookup: undefined, ...fetching },
    systemClock,
    timeoutMs,
  );
  return typeof loaded === 'string' ? loaded : loaded.keys.map(({ kid }) => kid).join();
};
const answering = (status: number, headers: Readonly<Record<string, string>>, body = ''): void => {
  server.answer = (_, response: ServerResponse) => response.writeHead(status, headers).end(body);
};

describe('keys behind a URL', () => {
  it('are fetched', async () => {
    expect(await load(`${url}/keys?a=b`)).toBe('k1');
    expect(server.asked).toEqual(['/keys?a=b']);
  });

  it.each([
    ['500', () => answering(500, {}), 'it answered 500'],
    ['404 with keys in it', () => answering(404, {}, jwks(jwk(KEYS.rsa))), 'it answered 404'],
    ['an empty 200', () => answering(200, {}), 'it is no JSON object'],
    ['204', () => answering(204, {}), 'it answered 204'],
    ['a login page', () => answering(200, { 'content-type': 'text/html' }, '<html>log in</html>'), 'it is no JSON object'],
    ['more than a megabyte', () => answering(200, {}, jwks(...Array.from({ length: 1e4 }, () => jwk(KEYS.rsa)))), 'it answered more than 1048576 bytes'],
    ['too many keys', () => answering(200, {}, jwks(...Array.from({ length: 300 }, () => jwk(KEYS.p256)))), 'it has 300 keys, more than 256'],
    ['an answer packed unasked', () => answering(200, { 'content-encoding': 'gzip' }, 'x'), 'its answer is packed (gzip)'],
    ['an answer cut off', () => (server.answer = (_, response) => { response.writeHead(200, { 'content-length': '500' }).write('{"keys":'); setTimeout(() => response.destroy(), 20); }), 'its answer was cut off'],
    ['a closed connection', () => (server.answer = (request) => request.destroy()), 'socket hang up'],
    ['its private keys', () => server.serve(KEYS.rsa.privateKey.export({ format: 'jwk' })), 'it holds a private key'],
    ['a symmetric key', () => server.serve({ kty: 'oct', k: 'A'.repeat(43) }), 'it is symmetric'],
  ] as const)('%s is none', async (_, answer, reason) => {
    answer();
    expect(await load(`${url}/keys`)).toContain(reason);
  }); // prettier-ignore

  it('may take as long as their rule says, to the last byte', async () => {
    server.answer = (_, response) => void response.writeHead(200).write('{');
    const begun = performance.now();
    expect(await load(`${url}/keys`, { timeoutMs: 50 })).toBe('no whole answer within 50 ms');
    expect(performance.now() - begun).toBeLessThan(1000);
    await server.close();
    expect(await load(`${url}/keys`)).toContain('ECONNREFUSED');
  });

  it.each(['ftp://issuer/keys', 'file:///etc/passwd', 'data:application/json,{}', 'issuer'])('%s is not asked', async (place) => {
    expect(await load(place)).toBe('keys are fetched by http and https only');
  });
});

describe('where a policy must not make us go', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data', 'http://[::ffff:169.254.169.254]/', 'http://2852039166/', 'http://0xa9.254.0251.0xfe/', 'http://0.0.0.0/', 'http://[::]/', 'http://[fe80::1]/',
    'http://[fd00:ec2::254]/', 'http://[64:ff9b::169.254.169.254]/', 'https://169.254.169.254/',
  ])('%s', async (place) => {
    expect(await load(place)).toMatch(/is an address that must not be asked/);
  }); // prettier-ignore

  it('a name that is a metadata address', async () => {
    const port = new URL(url).port;
    expect(await load(`http://innocent.test:${port}/`, { lookup: resolvesTo('169.254.169.254') })).toBe(
      'innocent.test is 169.254.169.254, an address that must not be asked',
    );
    // One bad address among good ones is how rebinding begins.
    expect(await load(`http://innocent.test:${port}/`, { lookup: resolvesTo('127.0.0.1', 'fe80::1') })).toContain(
      'innocent.test is fe80::1',
    );
    expect(await load(`http://innocent.test:${port}/`, { lookup: resolvesTo() })).toContain('innocent.test has no address');
    expect(await load(`http://innocent.test:${port}/`, { lookup: resolvesTo('127.0.0.1') })).toBe('k1');
    expect(server.asked).toHaveLength(1);
  });

  it('a name is looked up once: what was judged is what is dialed', async () => {
    let asked = 0;
    const lookup: LookupFunction = (...all) => resolvesTo((asked += 1) === 1 ? '127.0.0.1' : '169.254.169.254')(...all);
    expect(await load(`http://innocent.test:${new URL(url).port}/`, { lookup })).toBe('k1');
    expect(asked).toBe(1);
  });

  it('ranges named by whoever runs this process', async () => {
    expect(await load(`${url}/`, { blocked: blockedAddresses(['127.0.0.0/8']) })).toBe('127.0.0.1 is an address that must not be asked');
    expect(server.asked).toEqual([]);
  });

  it('another place an issuer redirects to', async () => {
    const port = new URL(url).port;
    for (const location of ['http://169.254.169.254/', `http://localhost:${port}/keys`, 'http://127.0.0.1:1/', '//169.254.169.254/', 'file:///etc/passwd', 'http://']) {
      answering(302, { location });
      expect(await load(`${url}/keys`)).toMatch(/^it redirects to another origin/);
    }
    expect(server.asked).toHaveLength(6);
  }); // prettier-ignore

  it('but elsewhere on the same server it may send us, three times at most', async () => {
    server.answer = (request, response) => {
      const steps = Number(request.url!.slice(1));
      if (steps === 0) response.end(jwks(jwk(KEYS.rsa, { kid: 'k1' })));
      else response.writeHead(307, { location: `/${steps - 1}` }).end();
    };
    expect(await load(`${url}/3`)).toBe('k1');
    expect(await load(`${url}/4`)).toBe('it redirects more than 3 times');
  });
});

describe('discovery', () => {
  const rule = (issuer: string) => placeOf(testRule({ issuer, keys: { kind: 'discovery' } }))!;

  it('asks the issuer where its keys are', async () => {
    server.answer = (request, response) =>
      response.end(
        request.url === '/keys' ? jwks(jwk(KEYS.rsa, { kid: 'found' })) : JSON.stringify({ issuer: url, jwks_uri: `${url}/keys` }),
      );
    expect(rule(`${url}/tenant/`).url).toBe(`${url}/tenant/.well-known/openid-configuration`);
    expect(await load(rule(`${url}/tenant`).url, { kind: 'discovery' })).toBe('found');
    expect(server.asked).toEqual(['/tenant/.well-known/openid-configuration', '/keys']);
  });

  it.each([
    ['a metadata address', { jwks_uri: 'http://169.254.169.254/' }, '169.254.169.254 is an address that must not be asked'],
    ['a file', { jwks_uri: 'file:///etc/passwd' }, 'keys are fetched by http and https only'],
    ['nothing', {}, 'its OpenID configuration is no JSON object with a jwks_uri'],
    ['a number', { jwks_uri: 1 }, 'its OpenID configuration is no JSON object with a jwks_uri'],
  ])('must not answer with %s', async (_, configuration, reason) => {
    server.answer = (__, response) => response.end(JSON.stringify(configuration));
    expect(await load(url, { kind: 'discovery' })).toBe(reason);
  });

  it('gives both documents together no more time than one', async () => {
    server.answer = (request, response) =>
      void setTimeout(() => response.end(request.url === '/keys' ? jwks() : JSON.stringify({ jwks_uri: `${url}/keys` })), 80);
    expect(await load(url, { kind: 'discovery', timeoutMs: 120 })).toBe('no whole answer within 120 ms');
  });

  it('an issuer that is no URL has none', async () => {
    expect(await load(rule('me@example.com').url, { kind: 'discovery' })).toBe('keys are fetched by http and https only');
  });
});

it('names of places keep secrets to themselves', () => {
  expect(publicName({ kind: 'uri', url: 'https://user:pw@issuer.test:8443/keys?token=x#y' })).toBe('https://issuer.test:8443/keys');
  expect(publicName({ kind: 'discovery', url: 'me@example.com' })).toBe('me@example.com');
});
