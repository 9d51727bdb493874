import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Closeable, Identity, IdentityState } from '@inmesh/core';
import { fakeClock, type FakeClock } from '@inmesh/core/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDevCa } from '../../dev/index.ts';
import { testCrl, testRoot } from '../../testing/pki.ts';
import { derOf, svidMessage, WorkloadServer } from '../../testing/workload-server.ts';
import { pemBlocks } from '../../verify/pem.ts';
import { workloadApi, type WorkloadApiOptions } from './source.ts';

let folder: string;
let socket: string;
let server: WorkloadServer;
let clock: FakeClock;
let left: Closeable[] = [];
let ca: ReturnType<typeof createDevCa>;
let other: ReturnType<typeof createDevCa>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-workload-'));
  socket = `unix://${folder}/agent.sock`;
  clock = fakeClock();
  ca = createDevCa({ trustDomain: 'td', clock });
  other = createDevCa({ trustDomain: 'other', clock });
  server = new WorkloadServer();
  await server.listen(socket);
});

afterEach(() => {
  for (const one of left.splice(0)) one.close();
  server.kill();
  rmSync(folder, { recursive: true });
});

function watched(options: WorkloadApiOptions = {}): IdentityState[] {
  const states: IdentityState[] = [];
  left.push(workloadApi({ socket, ...options }).watch((state) => states.push(state), { clock, random: () => 0.5 }));
  return states;
}

const message = (account: string, more: object = {}): object => ({
  svids: [svidMessage(ca.issue({ serviceAccount: account }), ca.roots)],
  ...more,
});
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 5000, interval: 5 });
const identityOf = (state?: IdentityState): Identity => {
  if (state?.state !== 'ready') throw new Error(`no identity: ${JSON.stringify(state)}`);
  return state.identity;
};
const accounts = (states: readonly IdentityState[]): readonly string[] =>
  states.map((state) => (state.state === 'ready' ? state.identity.principal.serviceAccount : state.reason));

describe('the SPIFFE Workload API', () => {
  it('gives an identity, and sends the header that guards it', async () => {
    const svid = ca.issue({ serviceAccount: 'a' });
    server.greeting = { svids: [svidMessage(svid, ca.roots)] };
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    const identity = identityOf(states[0]);
    expect(identity).toMatchObject({ principal: svid.principal, certificate: svid.certificate, expiresAt: svid.expiresAt, crl: '' });
    expect([...identity.bundles]).toEqual([['td', ca.roots]]);
    expect(server.seen[0]!.get('workload.spiffe.io')).toEqual(['true']);
  });

  it('is served over TCP as well', async () => {
    const tcp = new WorkloadServer();
    tcp.greeting = message('a');
    const port = await tcp.listen('127.0.0.1:0');
    const states = watched({ socket: `tcp://127.0.0.1:${port}` });
    await until(() => expect(accounts(states)).toEqual(['a']));
    tcp.kill();
  });

  it('a rotation is a new message', async () => {
    server.greeting = message('a');
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    server.push(message('a'));
    await until(() => expect(states).toHaveLength(2));
    expect(identityOf(states[1]).version).not.toBe(identityOf(states[0]).version);
  });

  it('a message is the whole state: a federated trust domain it leaves out is believed no more', async () => {
    const svid = svidMessage(ca.issue({ serviceAccount: 'a' }), ca.roots);
    server.greeting = { svids: [svid], federated_bundles: { 'spiffe://other': derOf(other.roots), third: Buffer.alloc(0) } };
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    expect([...identityOf(states[0]).bundles]).toEqual([
      ['td', ca.roots],
      ['other', other.roots],
      ['third', ''],
    ]);
    server.push({ svids: [svid] });
    await until(() => expect(states).toHaveLength(2));
    expect([...identityOf(states[1]).bundles.keys()]).toEqual(['td']);
  });

  it('revocation lists and aliases come along', async () => {
    const crl = testCrl(testRoot(), []);
    server.greeting = message('a', { crl: pemBlocks(crl, 'X509 CRL') });
    const states = watched({ aliases: ['old-td'] });
    await until(() => expect(states).toHaveLength(1));
    expect(identityOf(states[0]).crl).toBe(crl);
    expect(identityOf(states[0]).bundles.get('old-td')).toBe(ca.roots);
  });

  it('of several identities the first is taken, or the one with the hint', async () => {
    const svids = ['a', 'b'].map((account) => svidMessage(ca.issue({ serviceAccount: account }), ca.roots, `for-${account}`));
    server.greeting = { svids };
    const [first, second, none] = [watched(), watched({ hint: 'for-b' }), watched({ hint: 'for-c' })];
    await until(() => expect([first, second, none].map(({ length }) => length)).toEqual([1, 1, 1]));
    expect([...accounts(first), ...accounts(second)]).toEqual(['a', 'b']);
    expect(accounts(none)[0]).toContain('none of its identities has the hint "for-c": for-a, for-b');
  });

  it('lives through the death of the agent, and takes what the next one says', async () => {
    server.greeting = message('a');
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    server.kill();
    await until(() => expect(states).toHaveLength(2));
    expect(states[1]!.state).toBe('failed');
    // Nobody listens; each try waits a second longer.
    for (let second = 1; second <= 3; second += 1) {
      await until(() => expect(clock.pending).toBe(1));
      clock.advance(second * 1000 - 1);
      expect(clock.pending).toBe(1);
      clock.advance(1);
      expect(clock.pending).toBe(0);
    }
    await until(() => expect(clock.pending).toBe(1));
    rmSync(join(folder, 'agent.sock'), { force: true });
    server.greeting = message('b');
    await server.listen(socket);
    clock.advance(4000);
    await until(() => expect(accounts(states).at(-1)).toBe('b'));
  });

  it('connects again when the agent ends the stream, after a second', async () => {
    server.greeting = message('a');
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    for (const account of ['b', 'c']) {
      server.greeting = message(account);
      server.end();
      await until(() => expect(accounts(states).at(-1)).toContain('it ended the stream'));
      expect(clock.pending).toBe(1);
      clock.advance(1000);
      await until(() => expect(accounts(states).at(-1)).toBe(account));
    }
  });

  it.each([
    ['PERMISSION_DENIED', 7],
    ['UNAVAILABLE', 14],
  ])('%s may pass: it asks again', async (_, code) => {
    server.greeting = code;
    const states = watched();
    await until(() => expect(accounts(states)).toEqual([`${socket}: refused with ${code}`]));
    server.greeting = message('a');
    clock.advance(1000);
    await until(() => expect(accounts(states).at(-1)).toBe('a'));
  });

  it.each([
    ['INVALID_ARGUMENT', 3],
    ['UNIMPLEMENTED', 12],
  ])('%s will not: it stops', async (_, code) => {
    server.greeting = code;
    const states = watched();
    await until(() => expect(accounts(states)).toEqual([`${socket}: refused with ${code}`]));
    expect(clock.pending).toBe(0);
    expect(server.seen).toHaveLength(1);
  });

  it('waits half a minute at most', async () => {
    server.greeting = 7;
    watched();
    for (let tries = 1; tries <= 32; tries += 1) {
      await until(() => expect([server.seen.length, clock.pending]).toEqual([tries, 1]));
      const wait = Math.min(tries, 30) * 1000;
      clock.advance(wait - 1);
      expect(clock.pending).toBe(1);
      clock.advance(1);
    }
  });

  it('what makes no identity is refused by name, and the next message is taken', async () => {
    const svid = ca.issue({ serviceAccount: 'a' });
    const { privateKey } = ca.issue({ serviceAccount: 'a' });
    server.greeting = { svids: [svidMessage({ ...svid, privateKey }, ca.roots)] };
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    server.push({ svids: [] });
    await until(() => expect(states).toHaveLength(2));
    server.push({ svids: [{ ...svidMessage(svid, ca.roots), spiffe_id: 'spiffe://td/ns/default/sa/b' }] });
    await until(() => expect(states).toHaveLength(3));
    server.push({ svids: [{ ...svidMessage(svid, ca.roots), x509_svid: Buffer.from('3010', 'hex') }] });
    await until(() => expect(states).toHaveLength(4));
    server.push(message('c'));
    await until(() => expect(states).toHaveLength(5));
    expect(accounts(states).map((text) => text.replace(`${socket}: `, ''))).toEqual([
      'the certificate of spiffe://td/ns/default/sa/a: the private key is that of another certificate',
      'it names no identity for this workload',
      'it says "spiffe://td/ns/default/sa/b" and hands out a certificate of spiffe://td/ns/default/sa/a',
      'a certificate is malformed: it ends too early',
      'c',
    ]);
  });

  it('once closed is left in peace', async () => {
    server.greeting = message('a');
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    const [stream] = server.streams;
    const cancelled = new Promise((resolve) => stream!.on('cancelled', resolve));
    left.splice(0)[0]!.close();
    await cancelled;
    expect([states.length, clock.pending]).toEqual([1, 0]);
  });
});
