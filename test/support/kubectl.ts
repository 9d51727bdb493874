import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let found: string | undefined;

function works(path: string): boolean {
  try {
    execFileSync(path, ['version', '--client', '-o', 'json'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

/** The real kubectl: of this machine, else of Debian's package kubernetes-client, unpacked without being installed. A text: why there is none. */
export function kubectlHere(): true | string {
  const kept = join(import.meta.dirname, '../../.cache/kubectl');
  const unpacked = join(kept, 'usr/bin/kubectl');
  found = ['kubectl', unpacked].find((path) => (path === 'kubectl' || existsSync(path)) && works(path));
  if (found !== undefined) return true;
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-deb-'));
  try {
    execFileSync('apt-get', ['download', 'kubernetes-client'], { cwd: folder, stdio: 'ignore', timeout: 180_000 });
    const deb = readdirSync(folder).find((name) => name.endsWith('.deb'));
    execFileSync('dpkg', ['-x', join(folder, deb!), kept], { stdio: 'ignore', timeout: 60_000 });
  } catch {
    return 'kubectl is not installed, and its package (apt-get download kubernetes-client) could not be had';
  } finally {
    rmSync(folder, { recursive: true });
  }
  found = works(unpacked) ? unpacked : undefined;
  return found === undefined ? 'kubectl of the package kubernetes-client does not work' : true;
}

const envOf = (kubeconfig: string) => ({ ...process.env, KUBECONFIG: kubeconfig, HOME: join(kubeconfig, '..') });

/** Runs kubectl with a kubeconfig; what it prints. Rejects with what it complains of. */
export function kubectl(kubeconfig: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(found!, [...args], { env: envOf(kubeconfig), timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`kubectl ${args.join(' ')}: ${stderr}`, { cause: error }));
    });
    child.stdin!.end(input);
  });
}

/** Starts a kubectl that goes on, such as `get -w`. */
export function kubectlStarted(kubeconfig: string, args: readonly string[]): { readonly child: ChildProcess; readonly lines: string[] } {
  const child = spawn(found!, [...args], { env: envOf(kubeconfig), stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop()!;
    lines.push(...parts);
  });
  return { child, lines };
}
