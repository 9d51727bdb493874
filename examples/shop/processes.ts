import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Listening, Order, Report } from './backend.ts';
import type { Role } from './services.ts';

/** Time a process may take to begin, on a machine that is busy with something else. */
const START_MS = 30_000;

/** Time it may take to end before it is killed. */
const END_MS = 3000;

/** A process of the shop, seen from the parent. */
export class Backend {
  readonly role: Role;
  readonly version: string;
  readonly port: number;
  /** `127.0.0.1:port`, as the mesh names the endpoint. */
  readonly address: string;
  /** Where its mesh tells of itself; undefined if it has none. */
  readonly admin: URL | undefined;
  /** Requests that have reached it so far, told four times a second. */
  arrived = 0;
  /** Of gRPC: how many ended with which status. */
  outcomes: Readonly<Record<string, number>> = {};
  /** Killed by the story. */
  dead = false;
  /** Of those, a second, lately; smoothed, as it is for the eye. */
  perSecond = 0;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, role: Role, version: string, { port, admin }: Listening) {
    this.#process = child;
    this.role = role;
    this.version = version;
    this.port = port;
    this.address = `127.0.0.1:${port}`;
    this.admin = admin === undefined ? undefined : new URL(admin);
    let last = { at: performance.now(), arrived: 0 };
    child.on('message', (report: Report) => {
      if ('port' in report) return;
      this.arrived = report.arrived;
      this.outcomes = report.outcomes;
      const now = performance.now();
      // Reports that were held up come together; what lies between those is no rate.
      if (now - last.at < 200) return;
      this.perSecond = (this.perSecond + ((report.arrived - last.arrived) / (now - last.at)) * 1000) / 2;
      last = { at: now, arrived: report.arrived };
    });
  }

  /** Starts it and waits until it listens. Its standard error is ours, should it have something to complain of. */
  static async start(role: Role, version: string, policy: string, ca: string): Promise<Backend> {
    const child = fork(join(import.meta.dirname, 'backend.ts'), [role, version, policy, ca], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const begun = new AbortController();
    const timer = setTimeout(() => begun.abort(), START_MS);
    try {
      const died = once(child, 'exit', { signal: begun.signal }).then(([code]) => {
        throw new Error(`${role} ${version} ended with ${code} before it listened`);
      });
      const [report] = (await Promise.race([once(child, 'message', { signal: begun.signal }), died])) as [Listening];
      died.catch(() => {});
      return new Backend(child, role, version, report);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      clearTimeout(timer);
      begun.abort();
    }
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** Holds every answer back. */
  slowDown(delayMs: number): void {
    this.#process.send({ delayMs } satisfies Order, () => {});
  }

  /** As a crash or the kernel's out-of-memory killer would: no farewell, connections cut. */
  kill(): void {
    this.dead = true;
    this.#process.kill('SIGKILL');
  }

  /** Lets it go. Resolves when the process is no more; true if it went by itself. */
  async stop(): Promise<boolean> {
    if (this.#gone) return true;
    const exit = once(this.#process, 'exit');
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), END_MS);
    await exit;
    clearTimeout(timer);
    return this.dead || this.#process.exitCode === 0;
  }

  get #gone(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
}
