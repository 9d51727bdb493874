import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The lines of Node that are promised, each at the version the tests know. */
export const NODES = { 22: '22.23.3', 24: '24.21.0', 26: '26.9.0' } as const;

const cache = join(import.meta.dirname, '../../.cache');

/** Path of a Node binary of that line, fetched through npm at first use; undefined where it cannot be had. CI does not accept that. */
export async function nodeOf(line: keyof typeof NODES): Promise<string | undefined> {
  const version = NODES[line];
  if (process.version === `v${version}`) return process.execPath;
  const platform = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const folder = join(cache, `node-${version}`);
  const binary = join(folder, 'node_modules', `node-${platform}`, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(binary)) return binary;
  try {
    await promisify(execFile)('npm', ['install', '--no-save', '--no-package-lock', '--prefix', folder, `node-${platform}@${version}`], {
      timeout: 180_000,
    });
  } catch (error) {
    if (process.env['CI'] !== undefined) throw error;
  }
  return existsSync(binary) ? binary : undefined;
}
