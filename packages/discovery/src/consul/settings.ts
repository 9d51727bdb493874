import { readFileSync } from 'node:fs';
import { MeshError } from '@inmesh/core';

/** Where Consul is, and who asks. What is left out is found in the environment, under the names Consul's own tools use. */
export interface ConsulConnection {
  /** `http://127.0.0.1:8500`, `https://…`, `host:port` or `unix:///path`. Default: CONSUL_HTTP_ADDR (with CONSUL_HTTP_SSL), else the agent on this machine. */
  readonly address?: string;
  /** ACL token; a function is asked before each request, so that tokens can rotate. Default: CONSUL_HTTP_TOKEN, else what CONSUL_HTTP_TOKEN_FILE holds at the time. */
  readonly token?: string | (() => string);
  /** PEM: whom to trust instead of the system's roots. Default: the file CONSUL_CACERT. */
  readonly ca?: string;
  /** PEM: who we are. Default: the files CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY. */
  readonly cert?: string;
  readonly key?: string;
  /** Consul Enterprise. Default: CONSUL_NAMESPACE. */
  readonly namespace?: string;
  /** Consul Enterprise. Default: CONSUL_PARTITION. */
  readonly partition?: string;
  /** Whose catalog is asked. Default: that of the agent. */
  readonly datacenter?: string;
  /** How long Consul holds a question that has no news. Default 60 s. A connection that died without a word is found after that time. */
  readonly waitMs?: number;
  /** Connections held for news; services beyond are asked every 5 s. Default 64: an agent takes 200 from one address (`http_max_conns_per_client`). */
  readonly connections?: number;
}

/** The same, complete. */
export interface ConsulSettings {
  /** For people, without secrets. */
  readonly name: string;
  readonly url: URL;
  /** Path of the agent's Unix socket, '' for TCP. */
  readonly socketPath: string;
  /** The token now, '' for none. May throw: a token file that cannot be read. */
  readonly token: () => string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly namespace: string;
  readonly partition: string;
  readonly datacenter: string;
  readonly waitMs: number;
  readonly connections: number;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Completes a connection from the environment. Throws MISUSE for an address that is none, and for files that cannot be read. */
export function consulSettings(given: ConsulConnection = {}, env: Env = process.env): ConsulSettings {
  const { waitMs = 60_000, connections = 64 } = given;
  const wanted = given.address ?? said(env['CONSUL_HTTP_ADDR']) ?? '127.0.0.1:8500';
  const secure = given.address === undefined && /^(?:1|t|true)$/i.test(env['CONSUL_HTTP_SSL'] ?? '');
  const unix = wanted.startsWith('unix://');
  const text = unix ? 'http://localhost' : /^https?:\/\//i.test(wanted) ? wanted : `${secure ? 'https' : 'http'}://${wanted}`;
  if (!URL.canParse(text)) throw new MeshError('MISUSE', `Consul's address is "${wanted}", but must be host:port or a URL`);
  if (!(waitMs >= 1000 && waitMs <= 600_000)) throw new MeshError('MISUSE', `waitMs of Consul is ${waitMs}, but must be 1000 to 600000`);
  if (!(connections >= 1)) throw new MeshError('MISUSE', `connections of Consul is ${connections}, but must be at least 1`);
  const file = (name: string): string | undefined => {
    const path = said(env[name]);
    return path === undefined ? undefined : read(path, name);
  };
  const url = new URL(text);
  const { datacenter = '' } = given;
  return {
    name: `consul ${unix ? wanted : url.origin}${datacenter === '' ? '' : ` (${datacenter})`}`,
    url,
    socketPath: unix ? wanted.slice('unix://'.length) : '',
    token: tokenOf(given.token, env),
    ca: given.ca ?? file('CONSUL_CACERT'),
    cert: given.cert ?? file('CONSUL_CLIENT_CERT'),
    key: given.key ?? file('CONSUL_CLIENT_KEY'),
    namespace: given.namespace ?? env['CONSUL_NAMESPACE'] ?? '',
    partition: given.partition ?? env['CONSUL_PARTITION'] ?? '',
    datacenter,
    waitMs,
    connections,
  };
}

const said = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

function tokenOf(given: ConsulConnection['token'], env: Env): () => string {
  if (typeof given === 'function') return given;
  const fixed = given ?? said(env['CONSUL_HTTP_TOKEN']);
  const path = said(env['CONSUL_HTTP_TOKEN_FILE']);
  if (fixed !== undefined || path === undefined) return () => fixed ?? '';
  return () => read(path, 'CONSUL_HTTP_TOKEN_FILE').trim();
}

function read(path: string, name: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new MeshError('MISUSE', `${name}: ${(cause as Error).message}`, { cause });
  }
}
