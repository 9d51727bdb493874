import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findAccess } from './find-access.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'inmesh-access-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const config = (user: string, cluster = '', context = ''): string => `
apiVersion: v1
kind: Config
current-context: dev
contexts: [{ name: dev, context: { cluster: dev, user: me${context} } }, { name: other, context: { cluster: other } }]
clusters: [{ name: dev, cluster: { server: "https://k8s.example.com:6443/prefix"${cluster} } }, { name: other, cluster: { server: "http://127.0.0.1:8001" } }]
users: [{ name: me, user: { ${user} } }]
`;
const open = (...texts: string[]) => {
  const paths = texts.map((text, index) => write(`config${index}`, text));
  return findAccess({ env: { KUBECONFIG: paths.join(delimiter) } });
};

describe('in a cluster', () => {
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };

  it('asks the server of the environment with the token and the CA as they are then', async () => {
    write('token', 'one\n');
    write('ca.crt', 'CA1');
    write('namespace', 'shop\n');
    const access = await findAccess({ env, serviceAccountFolder: folder });
    expect([access.server.href, access.namespace]).toEqual(['https://[fd00::1]:6443/', 'shop']);
    expect(await access.credentials()).toEqual({ headers: { authorization: 'Bearer one' }, tls: { ca: 'CA1' } });
    write('token', 'two');
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer two' });
  });

  it('says what is missing', async () => {
    await expect(findAccess({ env: { ...env, HOME: folder }, serviceAccountFolder: folder })).rejects.toThrow(
      /automountServiceAccountToken/,
    );
  });
});

describe('with a kubeconfig', () => {
  it('takes the current context: server, namespace, token, CA', async () => {
    const access = await open(
      config('token: abc', `, certificate-authority-data: ${base64('CA')}, tls-server-name: k8s`, ', namespace: web'),
    );
    expect([access.server.href, access.namespace]).toEqual(['https://k8s.example.com:6443/prefix', 'web']);
    expect(await access.credentials()).toEqual({ headers: { authorization: 'Bearer abc' }, tls: { ca: 'CA', servername: 'k8s' } });
  });

  it('takes another context, and one without a user', async () => {
    const access = await findAccess({ kubeconfig: write('config', config('token: abc')), context: 'other' });
    expect([access.server.href, access.namespace]).toEqual(['http://127.0.0.1:8001/', 'default']);
    expect(await access.credentials()).toEqual({ headers: {}, tls: {} });
  });

  it('reads certificates of files beside it, and skips verification where it is told to', async () => {
    write('me.crt', 'CERT');
    write('me.key', 'KEY');
    const access = await open(config('client-certificate: me.crt, client-key: me.key', ', insecure-skip-tls-verify: true'));
    expect(await access.credentials()).toEqual({ headers: {}, tls: { cert: 'CERT', key: 'KEY', rejectUnauthorized: false } });
  });

  it('merges several files: the first that names a thing wins', async () => {
    const access = await open('current-context: other\n', config('token: abc').replace('current-context: dev', 'current-context: dev'));
    expect(access.server.href).toBe('http://127.0.0.1:8001/');
  });

  it('runs a plugin that prints credentials, once until they expire', async () => {
    const counter = join(folder, 'count');
    const plugin = write(
      'plugin.sh',
      `#!/bin/sh\necho x >> ${counter}\necho "{\\"status\\":{\\"token\\":\\"$TOKEN-$1\\",\\"expirationTimestamp\\":\\"$WHEN\\"}}"\n`,
    );
    chmodSync(plugin, 0o755);
    const exec = (when: string) =>
      config(
        `exec: { apiVersion: client.authentication.k8s.io/v1, command: ./plugin.sh, args: [arg], env: [{ name: TOKEN, value: t }, { name: WHEN, value: "${when}" }] }`,
      );
    const lasting = await open(exec('2999-01-01T00:00:00Z'));
    const both = await Promise.all([lasting.credentials(), lasting.credentials()]);
    expect(both.map(({ headers }) => headers['authorization'])).toEqual(['Bearer t-arg', 'Bearer t-arg']);
    await lasting.credentials();
    expect(readFileSync(counter, 'utf8')).toBe('x\n');
    const short = await open(exec('2000-01-01T00:00:00Z'));
    await short.credentials();
    await short.credentials();
    expect(readFileSync(counter, 'utf8')).toBe('x\nx\nx\n');
  });

  it('says what a plugin complained of', async () => {
    const access = await open(config('exec: { apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin }'));
    await expect(access.credentials()).rejects.toThrow('credential plugin no-such-plugin');
  });

  it.each([
    ['current-context: dev\n', /contexts has no dev/],
    [config('token: abc').replace('current-context: dev', ''), /no current-context/],
    [config('token: abc').replace('cluster: dev,', 'cluster: gone,'), /clusters has no gone/],
    [config('username: u, password: p'), /username of users is not supported/],
    [config('token: abc', ', proxy-url: "http://proxy"'), /proxy-url is not supported/],
  ])('refuses %#, naming what is wrong', async (text, message) => {
    await expect(open(text)).rejects.toThrow(message);
  });
});
