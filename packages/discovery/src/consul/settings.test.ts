import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { consulSettings } from './settings.ts';

const told = (env: Record<string, string>, given = {}) => {
  const { url, name, ...rest } = consulSettings(given, env);
  return { url: url.origin, name, ...rest };
};

it('is the agent of this machine, unless the environment or the program says otherwise', () => {
  expect(told({})).toMatchObject({
    url: 'http://127.0.0.1:8500',
    name: 'consul http://127.0.0.1:8500',
    socketPath: '',
    datacenter: '',
    waitMs: 60_000,
    connections: 64,
  });
  expect(told({ CONSUL_HTTP_ADDR: '' }).url).toBe('http://127.0.0.1:8500');
  expect(told({ CONSUL_HTTP_ADDR: 'consul.internal:80' }).url).toBe('http://consul.internal');
  expect(told({ CONSUL_HTTP_ADDR: 'consul.internal:8501', CONSUL_HTTP_SSL: 'true' }).url).toBe('https://consul.internal:8501');
  expect(told({ CONSUL_HTTP_ADDR: 'https://consul.internal:8501' }).url).toBe('https://consul.internal:8501');
  expect(told({ CONSUL_HTTP_ADDR: 'unix:///run/consul.sock' })).toMatchObject({
    name: 'consul unix:///run/consul.sock',
    socketPath: '/run/consul.sock',
  });
  expect(told({ CONSUL_HTTP_ADDR: 'other:1', CONSUL_HTTP_SSL: '1' }, { address: '10.0.0.1:8500', datacenter: 'dc2' })).toMatchObject({
    url: 'http://10.0.0.1:8500',
    name: 'consul http://10.0.0.1:8500 (dc2)',
    datacenter: 'dc2',
  });
  expect(told({ CONSUL_NAMESPACE: 'team', CONSUL_PARTITION: 'p' })).toMatchObject({ namespace: 'team', partition: 'p' });
});

it('has no secret of its address in its name', () => {
  expect(consulSettings({ address: 'http://user:secret@10.0.0.1:8500/' }).name).toBe('consul http://10.0.0.1:8500');
});

it('reads the token from its file each time, and certificates once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-'));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const env = {
    CONSUL_HTTP_TOKEN_FILE: file('token', 'first\n'),
    CONSUL_CACERT: file('ca', 'CA'),
    CONSUL_CLIENT_CERT: file('c', 'C'),
    CONSUL_CLIENT_KEY: file('k', 'K'),
  };
  const settings = consulSettings({}, env);
  expect(settings).toMatchObject({ ca: 'CA', cert: 'C', key: 'K' });
  expect(settings.token()).toBe('first');
  file('token', 'second');
  expect(settings.token()).toBe('second');
  expect(consulSettings({}, { ...env, CONSUL_HTTP_TOKEN: 'plain' }).token()).toBe('plain');
  expect(consulSettings({ token: 'given' }, env).token()).toBe('given');
  rmSync(folder, { recursive: true });
  expect(() => settings.token()).toThrow('CONSUL_HTTP_TOKEN_FILE: ENOENT');
  expect(() => consulSettings({}, env)).toThrow('CONSUL_CACERT: ENOENT');
});

it.each([
  [{ address: 'http://' }, /Consul's address is "http:\/\/"/],
  [{ waitMs: 999 }, /waitMs of Consul is 999/],
  [{ waitMs: 600_001 }, /waitMs of Consul is 600001/],
  [{ connections: 0 }, /connections of Consul is 0/],
])('refuses %j by name', (given, message) => {
  expect(() => consulSettings(given, {})).toThrow(message);
});
