import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@inmesh/core';
import { fileCertificates, findCertificates } from '@inmesh/identity';
import { loadDevCa } from '@inmesh/identity/dev';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryIo } from '../../test/memory-io.ts';
import { run } from '../program.ts';

let folder: string;
let ca: string;
let out: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-dev-ca-'));
  [ca, out] = [join(folder, 'ca'), join(folder, 'certs')];
});

afterEach(() => rmSync(folder, { recursive: true }));

const devCa = async (...argv: string[]): Promise<{ exit: number; out: string; err: string }> => {
  const { io, out: printed, err } = memoryIo();
  return { exit: await run(['dev-ca', ...argv], io), out: printed(), err: err() };
};
const hint = (command: string): string => `run "inmesh dev-ca ${command} --help" for what it takes\n`;

describe('inmesh dev-ca', () => {
  it('makes a CA and says what to do next', async () => {
    expect(await devCa('init', '-d', ca, '--trust-domain', 'dev.example.org')).toEqual({
      exit: 0,
      out: `✔ a development CA of dev.example.org in ${ca}\n  inmesh dev-ca issue -d ${ca} --to default/storefront --out certs/storefront\n`,
      err: '',
    });
    expect((await loadDevCa(ca)).trustDomain).toBe('dev.example.org');
    expect(statSync(join(ca, 'ca-key.pem')).mode & 0o777).toBe(0o600);
  });

  it("issues certificates in Istio's layout, which a workload takes as they are", async () => {
    await devCa('init', '-d', ca);
    const issued = await devCa('issue', '-d', ca, '--to', 'shop/reviews', '--ttl', '1h30m', '--out', out, '-o', 'json');
    expect([issued.exit, issued.err]).toEqual([0, '']);
    const { principal, expiresAt, files } = JSON.parse(issued.out) as { principal: string; expiresAt: string; files: object };
    expect(principal).toBe('spiffe://cluster.local/ns/shop/sa/reviews');
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(89 * 60_000);
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(90 * 60_000);
    expect(await findCertificates(out)).toEqual(files);
    expect(statSync(join(out, 'key.pem')).mode & 0o777).toBe(0o600);
    const source = fileCertificates(files as never);
    const state = await new Promise((resolve) => {
      const watch = source.watch((first) => (watch.close(), resolve(first)), { clock: systemClock, random: () => 0 });
    });
    expect(state).toMatchObject({ state: 'ready', identity: { principal: { uri: principal } } });
  });

  it('prints PEM, or JSON, where no folder is given', async () => {
    await devCa('init', '-d', ca);
    const text = (await devCa('issue', '-d', ca, '--to', 'default/a')).out;
    expect(text.match(/BEGIN [A-Z ]+/g)).toEqual(['BEGIN CERTIFICATE', 'BEGIN PRIVATE KEY', 'BEGIN CERTIFICATE']);
    const json = JSON.parse((await devCa('issue', '-d', ca, '--to', 'default/a', '-o', 'json')).out) as Record<string, string>;
    expect(Object.keys(json)).toEqual(['principal', 'expiresAt', 'certificate', 'privateKey', 'roots']);
    expect(json['roots']).toBe(readFileSync(join(ca, 'root-cert.pem'), 'utf8'));
  });

  it('overwrites nothing unless told to', async () => {
    await devCa('init', '-d', ca);
    expect(await devCa('init', '-d', ca)).toEqual({
      exit: 73,
      out: '',
      err: `inmesh: ${join(ca, 'ca-key.pem')} exists already: choose another folder, or remove that CA first\n`,
    });
    const issue = ['issue', '-d', ca, '--to', 'default/a', '--out', out];
    expect((await devCa(...issue)).exit).toBe(0);
    const before = readFileSync(join(out, 'key.pem'), 'utf8');
    expect(await devCa(...issue)).toEqual({
      exit: 73,
      out: '',
      err: `inmesh: ${join(out, 'cert-chain.pem')} exists already: renew it with --replace\n`,
    });
    expect(readFileSync(join(out, 'key.pem'), 'utf8')).toBe(before);
    expect((await devCa(...issue, '--replace')).exit).toBe(0);
    expect(readFileSync(join(out, 'key.pem'), 'utf8')).not.toBe(before);
  });

  it('says where there is no CA, and where nothing can be written', async () => {
    const missing = await devCa('issue', '-d', ca, '--to', 'default/a');
    expect([missing.exit, missing.err]).toEqual([
      65,
      `inmesh: ${ca} holds no development CA (ca-cert.pem, ca-key.pem): make one with inmesh dev-ca init\n`,
    ]);
    writeFileSync(ca, '');
    const blocked = await devCa('init', '-d', ca);
    expect([blocked.exit, blocked.out]).toEqual([73, '']);
    expect(blocked.err).toContain(ca);
  });

  it.each([
    [['init'], 'inmesh: init needs -d DIR\n', 'init'],
    [['issue', '-d', 'x'], 'inmesh: issue needs --to NAMESPACE/ACCOUNT\n', 'issue'],
    [['issue', '-d', 'x', '--to', 'a/b', '--replace'], 'inmesh: --replace needs --out DIR\n', 'issue'],
    [
      ['issue', '--to', 'reviews'],
      `inmesh: option '--to <namespace/account>' argument 'reviews' is invalid. It must be NAMESPACE/ACCOUNT; did you mean "default/reviews"?\n`,
      'issue',
    ],
    [
      ['issue', '--ttl', '1y'],
      "inmesh: option '--ttl <duration>' argument '1y' is invalid. It must be a duration such as 24h, 90m or 7d.\n",
      'issue',
    ],
  ])('refuses %j', async (argv, message, command) => {
    expect(await devCa(...argv)).toEqual({ exit: 64, out: '', err: message + hint(command) });
  });

  it('refuses a trust domain or an account that is none', async () => {
    const bad = await devCa('init', '-d', ca, '--trust-domain', 'Dev');
    expect([bad.exit, bad.err]).toEqual([64, 'inmesh: "Dev": its trust domain may only have a-z, 0-9, ".", "-" and "_"\n']);
    await devCa('init', '-d', ca);
    const odd = await devCa('issue', '-d', ca, '--to', 'default/a b');
    expect(odd.exit).toBe(64);
    expect(odd.err).toContain('its path may only have letters, digits');
  });

  it.each(['init', 'issue'])('prints help with examples for %s', async (command) => {
    const { exit, out: help, err } = await devCa(command, '--help');
    expect([exit, err]).toEqual([0, '']);
    expect(help).toContain(`Examples:\n  inmesh dev-ca ${command} -d ca`);
    expect(help).toContain('  73  a file cannot be written, or exists already');
  });
});
