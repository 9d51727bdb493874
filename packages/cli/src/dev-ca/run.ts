import { MeshError } from '@inmesh/core';
import { createDevCa, loadDevCa, saveDevCa, writeSvid } from '@inmesh/identity/dev';
import { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { paintFor } from '../output/paint.ts';

export interface InitDevCaArgs {
  readonly directory: string;
  readonly trustDomain: string;
  readonly ttlMs: number;
  readonly output: 'text' | 'json';
}

/** `inmesh dev-ca init`: `createDevCa` and `saveDevCa` of @inmesh/identity/dev. */
export async function initDevCa({ directory, trustDomain, ttlMs, output }: InitDevCaArgs, io: Io): Promise<Exit> {
  const made = await attempt(() => createDevCa({ trustDomain, ttlMs }));
  if (!made.ok) return failed(io, made.reason, Exit.USAGE);
  const saved = await attempt(() => saveDevCa(directory, made.value));
  if (!saved.ok) return failed(io, saved.reason, Exit.CANNOT_CREATE);
  tell(io, output, { trustDomain, directory }, [
    `a development CA of ${trustDomain} in ${directory}`,
    `inmesh dev-ca issue -d ${directory} --to default/storefront --out certs/storefront`,
  ]);
  return Exit.OK;
}

export interface IssueFromDevCaArgs {
  readonly directory: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly ttlMs: number;
  /** Default: standard output. */
  readonly out?: string | undefined;
  readonly replace: boolean;
  readonly output: 'text' | 'json';
}

/** `inmesh dev-ca issue`: `issue` of a development CA, and `writeSvid`. */
export async function issueFromDevCa(args: IssueFromDevCaArgs, io: Io): Promise<Exit> {
  const { directory, namespace, serviceAccount, ttlMs, out, replace, output } = args;
  const loaded = await attempt(() => loadDevCa(directory));
  if (!loaded.ok) return failed(io, loaded.reason, Exit.UNREADABLE);
  const ca = loaded.value;
  const issued = await attempt(() => ca.issue({ namespace, serviceAccount, ttlMs }));
  if (!issued.ok) return failed(io, issued.reason, Exit.USAGE);
  const svid = issued.value;
  const facts = { principal: svid.principal.uri, expiresAt: new Date(svid.expiresAt).toISOString() };
  if (out === undefined) {
    const { certificate, privateKey } = svid;
    io.stdout.write(
      output === 'json'
        ? `${JSON.stringify({ ...facts, certificate, privateKey, roots: ca.roots }, null, 2)}\n`
        : `${certificate}${privateKey}${ca.roots}`,
    );
    return Exit.OK;
  }
  const written = await attempt(() => writeSvid(out, svid, ca.roots, { replace }));
  if (!written.ok) {
    const hint = written.reason.endsWith('exists already') ? `${written.reason}: renew it with --replace` : written.reason;
    return failed(io, hint, Exit.CANNOT_CREATE);
  }
  tell(io, output, { ...facts, files: written.value }, [
    `${facts.principal}, valid until ${facts.expiresAt}`,
    ...Object.values(written.value),
  ]);
  return Exit.OK;
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/** What misuse and the file system have against it, as a sentence; anything else is a fault of ours. */
async function attempt<T>(make: () => T | Promise<T>): Promise<Attempt<T>> {
  try {
    return { ok: true, value: await make() };
  } catch (error) {
    if (!(MeshError.is(error) && error.code === 'MISUSE') && (error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return { ok: false, reason: (error as Error).message };
  }
}

function failed(io: Io, reason: string, exit: Exit): Exit {
  io.stderr.write(`inmesh: ${reason}\n`);
  return exit;
}

function tell(io: Io, output: 'text' | 'json', value: object, [first = '', ...rest]: readonly string[]): void {
  const text = [`${paintFor(io, 'stdout')('green', '✔')} ${first}`, ...rest.map((line) => `  ${line}`)].join('\n');
  io.stdout.write(`${output === 'json' ? JSON.stringify(value, null, 2) : text}\n`);
}
