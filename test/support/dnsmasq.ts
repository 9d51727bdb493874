import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Resolver } from 'node:dns/promises';

const DNSMASQ = '/usr/sbin/dnsmasq';

/** Debian's dnsmasq, a real DNS server: installed where that is possible. A text: why it is not there, which CI does not accept. */
export function dnsmasqThere(): true | string {
  const found = installed();
  if (found !== true && process.env['CI'] !== undefined) throw new Error(`not tried against a real DNS server: ${found}`);
  return found;
}

function installed(): true | string {
  if (existsSync(DNSMASQ)) return true;
  if (process.getuid?.() !== 0) return 'dnsmasq is not installed (apt-get install dnsmasq-base)';
  try {
    execFileSync('apt-get', ['install', '-y', 'dnsmasq-base'], { stdio: 'ignore', timeout: 120_000 });
  } catch {
    return 'dnsmasq could not be installed by apt-get';
  }
  return existsSync(DNSMASQ) ? true : 'dnsmasq was installed and is not there';
}

/** What the server knows; of other names below `internal` it says that they do not exist. */
export interface Zone {
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
  readonly srv?: Readonly<Record<string, readonly { target: string; port: number; priority?: number; weight?: number }[]>>;
}

export interface DnsServer extends AsyncDisposable {
  readonly address: string;
  /** Replaces addresses while it runs; SRV records by a restart, which nobody else may notice. */
  set(zone: Zone): Promise<void>;
  /** Ends the process as it stands. */
  kill(): Promise<void>;
  /** Listens, and says nothing any more. */
  freeze(): void;
  thaw(): void;
  /** Runs again, on the same port, with what it knew or with another zone. */
  start(zone?: Zone): Promise<void>;
}

/** A DNS server on loopback, UDP and TCP, whose answers hold for `ttl` seconds (default 1). */
export async function dnsmasq(first: Zone, { ttl = 1 }: { readonly ttl?: number } = {}): Promise<DnsServer> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-dns-'));
  const file = join(folder, 'hosts');
  const port = await freePort();
  let zone = first;
  let child: ChildProcess | undefined;
  let ended = Promise.resolve();
  const write = (): Promise<void> =>
    writeFile(file, Object.entries(zone.hosts ?? {}).flatMap(([name, addresses]) => addresses.map((ip) => `${ip} ${name}\n`)).join('')); // prettier-ignore
  const start = async (next: Zone = zone): Promise<void> => {
    zone = next;
    await write();
    const records = Object.entries(zone.srv ?? {}).flatMap(([name, targets]) =>
      targets.map(({ target, port: at, priority = 0, weight = 0 }) => `--srv-host=${name},${target},${at},${priority},${weight}`),
    );
    const fixed = ['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--local=/internal/', '--bind-interfaces', '--user=root', '--pid-file']; // prettier-ignore
    child = spawn(DNSMASQ, [...fixed, `--port=${port}`, '--listen-address=127.0.0.1', `--addn-hosts=${file}`, `--local-ttl=${ttl}`, ...records, '--txt-record=ready.internal,yes'], { stdio: ['ignore', 'ignore', 'inherit'] }); // prettier-ignore
    const process_ = child;
    ended = new Promise((resolve) => process_.once('exit', () => resolve()));
    await answers(port, process_);
  };
  const kill = async (): Promise<void> => {
    child?.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    address: `127.0.0.1:${port}`,
    set: async (next) => {
      const same = JSON.stringify(next.srv ?? {}) === JSON.stringify(zone.srv ?? {});
      if (!same) {
        await kill();
        return start(next);
      }
      zone = next;
      await write();
      child?.kill('SIGHUP');
      return undefined;
    },
    kill,
    start,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      await kill();
      await rm(folder, { recursive: true });
    },
  };
}

async function answers(port: number, child: ChildProcess): Promise<void> {
  const resolver = new Resolver({ timeout: 100, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  for (let left = 100; ; left -= 1) {
    if (child.exitCode !== null) throw new Error(`dnsmasq ended with ${child.exitCode}`);
    try {
      await resolver.resolveTxt('ready.internal');
      return;
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<unknown>((resolve) => server.close(resolve));
  return port;
}
