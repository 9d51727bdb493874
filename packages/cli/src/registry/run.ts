import { readFileSync } from 'node:fs';
import { MeshError } from '@inmesh/core';
import { type RegistryServer, startRegistry, UnreadableError } from '@inmesh/server';
import { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { paintFor } from '../output/paint.ts';

export interface RegistryArgs {
  readonly port: number;
  readonly host: string;
  readonly data?: string | undefined;
  /** Default: INMESH_REGISTRY_TOKEN, if it is set. */
  readonly tokens?: readonly string[] | undefined;
  /** Files. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly domain: string;
  readonly output: 'text' | 'json';
}

/** `inmesh registry`: `startRegistry` of @inmesh/server, until it is asked to end. */
export async function runRegistry({ tls: files, tokens, output, ...options }: RegistryArgs, io: Io): Promise<Exit> {
  const fromEnv = io.env['INMESH_REGISTRY_TOKEN'] ?? '';
  const failed = (error: unknown, exit: Exit): Exit => {
    io.stderr.write(`inmesh: ${(error as Error).message}\n`);
    return exit;
  };
  let tls: { cert: string; key: string } | undefined;
  try {
    if (files !== undefined) tls = { cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') };
  } catch (error) {
    return failed(error, Exit.UNREADABLE);
  }
  let registry: RegistryServer;
  try {
    registry = await startRegistry({
      ...options,
      tokens: tokens ?? (fromEnv === '' ? [] : [fromEnv]),
      ...(tls === undefined ? {} : { tls }),
    });
  } catch (error) {
    const exit = exitOf(error as NodeJS.ErrnoException);
    if (exit === undefined) throw error;
    return failed(error, exit);
  }
  const { url, registrations } = registry;
  const kept = options.data === undefined ? ', kept in memory only' : ` kept in ${options.data}`;
  io.stdout.write(
    output === 'json'
      ? `${JSON.stringify({ url, registrations, data: options.data ?? null })}\n`
      : `${paintFor(io, 'stdout')('green', '✔')} a registry at ${url}, ${registrations} registrations${kept}\n`,
  );
  await io.stopped();
  await registry.close();
  return Exit.OK;
}

/** undefined: a fault of ours. */
function exitOf(error: NodeJS.ErrnoException): Exit | undefined {
  // Besides what was kept that may be a certificate of which OpenSSL says that it is none.
  if (error instanceof UnreadableError || error.code?.startsWith('ERR_OSSL') === true) return Exit.UNREADABLE;
  if (MeshError.is(error) && error.code === 'MISUSE') return Exit.USAGE;
  // The folder, or the address.
  return error.syscall === undefined ? undefined : Exit.CANNOT_CREATE;
}
