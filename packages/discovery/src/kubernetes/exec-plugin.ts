import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

/** A program that prints credentials (client.authentication.k8s.io), as clouds have it. */
export interface ExecPlugin {
  readonly command: string;
  readonly apiVersion: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Printed {
  readonly token: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

const TIMEOUT_MS = 30_000;
/** Printed credentials are not used up to their last moment. */
const EARLY_MS = 60_000;

/** Runs the plugin when there are no credentials, or they are about to expire; one run serves all who wait. Rejects with what it printed. */
export function execCredentials(plugin: ExecPlugin, folder: string): () => Promise<Printed> {
  let known: { readonly printed: Printed; readonly until: number } | undefined;
  let running: Promise<Printed> | undefined;
  const run = async (): Promise<Printed> => {
    const { status, until } = await runPlugin(plugin, folder);
    const text = (name: string): string | undefined => (typeof status[name] === 'string' ? status[name] : undefined);
    const printed = { token: text('token'), cert: text('clientCertificateData'), key: text('clientKeyData') };
    known = { printed, until };
    return printed;
  };
  return async () => {
    if (known !== undefined && Date.now() < known.until) return known.printed;
    return (running ??= run().finally(() => (running = undefined)));
  };
}

async function runPlugin({ command, apiVersion, args, env }: ExecPlugin, folder: string) {
  const info = { apiVersion, kind: 'ExecCredential', spec: { interactive: false } };
  // As kubectl: a path is relative to the kubeconfig, a bare name is looked up in PATH.
  const file = /[\\/]/.test(command) ? resolve(folder, command) : command;
  const { stdout } = await promisify(execFile)(file, [...args], {
    timeout: TIMEOUT_MS,
    env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
  }).catch((error: Error) => {
    throw new Error(`credential plugin ${command}: ${error.message.split('\n', 2).join(': ')}`, { cause: error });
  });
  const { status } = JSON.parse(stdout) as { status?: Record<string, unknown> };
  if (status === undefined) throw new Error(`credential plugin ${command}: printed no status`);
  const expires = typeof status['expirationTimestamp'] === 'string' ? Date.parse(status['expirationTimestamp']) : Number.NaN;
  return { status, until: Number.isNaN(expires) ? Infinity : expires - EARLY_MS };
}
