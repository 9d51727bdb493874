import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A program of the tests in a process of its own, run from its source. */
export interface Child extends AsyncDisposable {
  readonly process: ChildProcess;
  /** What it sent first: that it is ready. */
  readonly ready: unknown;
  signal(signal: NodeJS.Signals): void;
  /** Ends it, by SIGKILL unless said otherwise, and waits until it is gone. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

export async function child(program: string, options: object): Promise<Child> {
  const started = fork(join(import.meta.dirname, '..', program), [JSON.stringify(options)], {
    execArgv: ['--conditions=@inmesh/source', '--no-warnings'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const gone = once(started, 'exit');
  const [ready] = (await Promise.race([
    once(started, 'message'),
    gone.then(([code]) => Promise.reject(new Error(`${program} ended with ${String(code)} before it was ready`))),
  ])) as unknown[];
  const end = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    started.kill(signal);
    // One that is frozen hears nothing else.
    if (signal === 'SIGKILL') started.kill('SIGCONT');
    await gone;
  };
  return { process: started, ready, signal: (signal) => void started.kill(signal), end, [Symbol.asyncDispose]: () => end() };
}
