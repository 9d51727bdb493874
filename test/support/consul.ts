import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { fetched } from './debian.ts';
import { freePorts } from './ports.ts';

const found = fetched('Consul', 'scripts/get-consul.sh');
export const noConsul: boolean = found.skip;
export const REAL_CONSUL: string = found.title;

export interface TestConsul extends AsyncDisposable {
  readonly url: string;
  readonly address: string;
  /** Any request below /v1; rejects unless it was answered with 200. */
  call(method: 'GET' | 'PUT' | 'DELETE', path: string, body?: unknown, token?: string): Promise<unknown>;
  register(service: object): Promise<void>;
  /** As `kill -9`. All it knew is forgotten. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Stops in the middle of whatever it is doing, and goes on. */
  freeze(): void;
  thaw(): void;
}

/** A Consul of its own in development mode: one server in memory. `config`: any of its settings. */
export async function consulAgent(config: object = {}, token?: string): Promise<TestConsul> {
  if (found.missing !== '') throw new Error(`there is no Consul: ${found.missing}`);
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-consul-'));
  const [http, grpc, lan, wan, server] = await freePorts(5);
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ ports: { http, grpc, serf_lan: lan, serf_wan: wan, server, dns: -1 }, ...config }),
  );
  const url = `http://127.0.0.1:${http}`;
  let child: ChildProcess | undefined;
  const call: TestConsul['call'] = async (method, path, body, own = token) => {
    const answer = await request(`${url}/v1${path}`, {
      method,
      headers: own === undefined ? {} : { 'x-consul-token': own },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  };
  const start = async (): Promise<void> => {
    child = spawn(
      found.path,
      ['agent', '-dev', '-bind', '127.0.0.1', '-client', '127.0.0.1', '-node', 'test', '-config-file', join(folder, 'config.json')],
      { stdio: 'ignore' },
    );
    for (let tries = 0; ; tries += 1) {
      const leader = await call('GET', '/status/leader').catch(() => '');
      // Its own node comes into the catalog a moment after the leader.
      const nodes = leader === '' ? [] : await call('GET', '/catalog/nodes').catch(() => []);
      if ((nodes as unknown[]).length > 0) return;
      if (tries > 400 || child.exitCode !== null) throw new Error(`Consul did not start (exit code ${child.exitCode})`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    url,
    address: `127.0.0.1:${http}`,
    call,
    register: async (service) => void (await call('PUT', '/agent/service/register', service)),
    kill,
    start,
    freeze: () => void child!.kill('SIGSTOP'),
    thaw: () => void child!.kill('SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
