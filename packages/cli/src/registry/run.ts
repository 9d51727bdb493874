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
export async function runRegistry({ tls, tokens, output, ...options }: RegistryArgs, io: Io): Promise<Exit> {
  const fromEnv = io.env['INMESH_REGISTRY_TOKEN'] ?? '';
  let registry: RegistryServer;
  try {
    registry = await startRegistry({
      ...options,
      tokens: tokens ?? (fromEnv === '' ? [] : [fromEnv]),
      ...(tls === undefined ? {} : { tls: { cert: readFileSync(tls.cert, 'utf8'), key: readFileSync(tls.key, 'utf8') } }),
    });
  } catch (error) {
    const exit = exitOf(error as NodeJS.ErrnoException);
    if (exit === undefined) throw error;
    io.stderr.write(`inmesh: ${(error as Error).message}\n`);
    return exit;
  }
  const { url, registrations } = registry;
  io.stdout.write(
    output === 'json'
      ? `${JSON.stringify({ url, registrations, data: options.data ?? null })}\n`
      : `${paintFor(io, 'stdout')('green', '✔')} a registry at ${url}, ${registrations} registrations${options.data === undefined ? ', kept in memory only' : ` kept in ${options.data}`}\n`,
  );
  await io.stopped();
  await registry.close();
  return Exit.OK;
}

/** undefined: a fault of ours. */
function exitOf(error: NodeJS.ErrnoException): Exit | undefined {
  if (error instanceof UnreadableError) return Exit.UNREADABLE;
  if (MeshError.is(error) && error.code === 'MISUSE') return Exit.USAGE;
  // What OpenSSL says of a certificate that is none.
  if (error.code?.startsWith('ERR_OSSL') === true) return Exit.UNREADABLE;
  if (error.syscall === undefined) return undefined;
  return error.syscall === 'listen' || error.syscall === 'mkdir' || error.code === 'EADDRINUSE' ? Exit.CANNOT_CREATE : Exit.UNREADABLE;
}
