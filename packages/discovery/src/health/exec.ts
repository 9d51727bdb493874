import { spawn } from 'node:child_process';
import type { MachineProbe } from '@inmesh/policy';

/**
 * Healthy if a command ends with 0, as the kubelet sees it; there is no shell, and nobody reads what it prints. One that is late is killed with
 * all it started, where the system has groups of processes. The process does not live on for it.
 */
export const askExec = ({ command }: Extract<MachineProbe['ask'], { readonly kind: 'exec' }>, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const [file = '', ...args] = command;
    const grouped = process.platform !== 'win32';
    const child = spawn(file, args, { stdio: 'ignore', detached: grouped, windowsHide: true });
    child.unref();
    const kill = (): void => {
      reject(new Error(`${file} did not end in time`));
      if (!grouped || child.pid === undefined) return void child.kill('SIGKILL');
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended at the same moment.
      }
    };
    const end = (error?: Error): void => {
      signal.removeEventListener('abort', kill);
      if (error === undefined) resolve();
      else reject(error);
    };
    signal.addEventListener('abort', kill, { once: true });
    child.once('error', end);
    child.once('exit', (code, by) => end(code === 0 ? undefined : new Error(`${file} ended with ${code ?? by}`)));
  });
