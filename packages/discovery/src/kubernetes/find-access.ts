import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Access } from './access.ts';
import { accessFromKubeconfig } from './kubeconfig.ts';

export interface AccessOptions {
  /** Path of a kubeconfig. Default: the pod's service account, else KUBECONFIG, else ~/.kube/config. */
  readonly kubeconfig?: string;
  /** Context of the kubeconfig. Default: its current one. */
  readonly context?: string;
  /** Where the files of the service account are. Default: where Kubernetes mounts them. */
  readonly serviceAccountFolder?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The cluster this process is in, or the one of the developer's kubeconfig. A kubeconfig that is named (option, KUBECONFIG)
 * wins. Rejects with what was looked for where there is none, or where a file cannot be read.
 */
export async function findAccess(options: AccessOptions = {}): Promise<Access> {
  const { env = process.env, serviceAccountFolder = SERVICE_ACCOUNT, context } = options;
  const named = options.kubeconfig ?? env['KUBECONFIG'];
  if (named !== undefined && named !== '')
    return accessFromKubeconfig(
      named.split(delimiter).filter((path) => path !== ''),
      context,
    );
  const [host, port = '443'] = [env['KUBERNETES_SERVICE_HOST'], env['KUBERNETES_SERVICE_PORT']];
  const token = join(serviceAccountFolder, 'token');
  if (host !== undefined && host !== '' && existsSync(token)) return inCluster(host, port, serviceAccountFolder);
  const home = join(env['HOME'] ?? homedir(), '.kube', 'config');
  if (existsSync(home)) return accessFromKubeconfig([home], context);
  throw new Error(
    `kubernetes: no cluster to ask: neither KUBERNETES_SERVICE_HOST with ${token} (automountServiceAccountToken), nor KUBECONFIG, nor ${home}`,
  );
}

async function inCluster(host: string, port: string, folder: string): Promise<Access> {
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const namespace = await read('namespace').then(
    (text) => text.trim(),
    () => 'default',
  );
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    from: 'the service account of the pod',
    namespace,
    // The kubelet replaces both files while the process runs; requests are rare, and a read costs little.
    credentials: async () => ({ headers: { authorization: `Bearer ${(await read('token')).trim()}` }, tls: { ca: await read('ca.crt') } }),
  };
}
