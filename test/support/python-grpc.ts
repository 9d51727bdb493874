import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

const PYTHON = '/usr/bin/python3';

function works(): boolean {
  try {
    execFileSync(PYTHON, ['-c', 'import grpc'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Debian's python3-grpcio, gRPC's C core: installed where that is possible. A text: why it is not there. */
export function pythonGrpc(): true | string {
  if (works()) return true;
  if (process.getuid?.() !== 0) return 'python3-grpcio is not installed (apt-get install python3-grpcio)';
  try {
    execFileSync('apt-get', ['install', '-y', 'python3-grpcio'], { stdio: 'ignore', timeout: 120_000 });
  } catch {
    return 'python3-grpcio could not be installed by apt-get';
  }
  return works() ? true : 'python3-grpcio does not work';
}

/** Runs a script; what it prints is JSON. */
export async function python(script: string, ...args: string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(PYTHON, ['-c', script, ...args], { timeout: 20_000 });
  return JSON.parse(stdout) as unknown;
}
