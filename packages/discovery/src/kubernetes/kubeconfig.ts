import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Access, Credentials } from './access.ts';
import { type ExecPlugin, execCredentials } from './exec-plugin.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Something of a kubeconfig, with the folder its relative paths start from. */
interface Entry {
  readonly fields: Fields;
  readonly folder: string;
}

/**
 * Access as kubectl has it: of several files the first that names a thing wins. Tokens and certificates (given or in files), and plugins
 * that print them. Files are read again for every request. Rejects with what is missing.
 */
export async function accessFromKubeconfig(paths: readonly string[], context: string | undefined): Promise<Access> {
  const { parse } = await import('yaml');
  const files = await Promise.all(
    paths.map(async (path) => ({ path, folder: dirname(path), fields: fieldsOf(parse(await readFile(path, 'utf8'))) })),
  );
  const where = paths.join(', ');
  const find = (list: string, part: string, name: unknown): Entry => {
    for (const { fields, folder } of files)
      for (const one of Array.isArray(fields[list]) ? (fields[list] as unknown[]) : [])
        if (fieldsOf(one)['name'] === name) return { fields: fieldsOf(fieldsOf(one)[part]), folder };
    throw new Error(`kubeconfig ${where}: ${list} has no ${String(name)}`);
  };
  const current = context ?? files.map(({ fields }) => textOf(fields, 'current-context')).find((name) => name !== undefined);
  if (current === undefined) throw new Error(`kubeconfig ${where}: no current-context; name one: kubectl config use-context`);
  const { fields: chosen } = find('contexts', 'context', current);
  const cluster = find('clusters', 'cluster', chosen['cluster']);
  const user = chosen['user'] === undefined ? undefined : find('users', 'user', chosen['user']);
  const server = textOf(cluster.fields, 'server');
  if (server === undefined || !URL.canParse(server)) throw new Error(`kubeconfig ${where}: the cluster of ${current} has no server`);
  if (cluster.fields['proxy-url'] !== undefined) throw new Error(`kubeconfig ${where}: proxy-url is not supported`);
  for (const field of ['auth-provider', 'username', 'as'])
    if (user?.fields[field] !== undefined)
      throw new Error(`kubeconfig ${where}: ${field} of users is not supported; use a token, a certificate or exec`);
  const { exec } = user?.fields ?? {};
  const plugin = exec === undefined ? undefined : execCredentials(pluginOf(fieldsOf(exec)), user!.folder);
  return {
    server: new URL(server),
    from: `context ${current} of ${where}`,
    namespace: textOf(chosen, 'namespace') ?? 'default',
    credentials: async () => {
      const tls: Credentials['tls'] = {
        ...given('ca', await dataOf(cluster, 'certificate-authority')),
        ...given('servername', textOf(cluster.fields, 'tls-server-name')),
        ...(cluster.fields['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
      };
      if (user === undefined) return { headers: {}, tls };
      const printed = await plugin?.();
      const token = printed?.token ?? textOf(user.fields, 'token') ?? (await fileOf(user, 'tokenFile'))?.trim();
      return {
        headers: given('authorization', token === undefined ? undefined : `Bearer ${token}`),
        tls: {
          ...tls,
          ...given('cert', printed?.cert ?? (await dataOf(user, 'client-certificate'))),
          ...given('key', printed?.key ?? (await dataOf(user, 'client-key'))),
        },
      };
    },
  };
}

const fieldsOf = (value: unknown): Fields => (value !== null && typeof value === 'object' ? (value as Fields) : {});

const given = (name: string, value: string | undefined): Record<string, string> => (value === undefined ? {} : { [name]: value });

function textOf(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** `NAME-data` in base64, else the file `NAME`. */
async function dataOf(entry: Entry, name: string): Promise<string | undefined> {
  const data = textOf(entry.fields, `${name}-data`);
  return data === undefined ? fileOf(entry, name) : Buffer.from(data, 'base64').toString('utf8');
}

async function fileOf({ fields, folder }: Entry, name: string): Promise<string | undefined> {
  const path = textOf(fields, name);
  return path === undefined ? undefined : readFile(resolve(folder, path), 'utf8');
}

function pluginOf(exec: Fields): ExecPlugin {
  const command = textOf(exec, 'command');
  const apiVersion = textOf(exec, 'apiVersion');
  if (command === undefined || apiVersion === undefined) throw new Error('kubeconfig: exec of a user needs command and apiVersion');
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
  const env = list(exec['env']).map((one) => [String(fieldsOf(one)['name']), String(fieldsOf(one)['value'])] as const);
  return { command, apiVersion, args: list(exec['args']).map(String), env: Object.fromEntries(env) };
}
