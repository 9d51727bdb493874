import type { ClientRequest, IncomingMessage } from 'node:http';
import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import type { BlockedAddresses } from './addresses.ts';

// Nothing here is `fetch`, and both `request`s are taken when this module loads: the mesh may later take over the process's
// clients, and the keys by which it judges callers must not come through itself. `node:http` is not imported: an import
// reads all its exports, among them WebSocket, which loads the built-in fetch.
const { request: requestHttp } = process.getBuiltinModule('node:http');
const { request: requestHttps } = process.getBuiltinModule('node:https');

export interface Fetching {
  readonly blocked: BlockedAddresses;
  /** PEM: whom to trust instead of the system's roots. */
  readonly ca: string | undefined;
  readonly lookup: LookupFunction | undefined;
}

const BIGGEST = 2 ** 20;
const MOST_REDIRECTS = 3;

/** The body a URL answers with. Rejects with the reason for anything but a 200, and if `signal` aborts. */
export async function fetchBytes(start: URL, fetching: Fetching, signal: AbortSignal): Promise<Buffer> {
  let url = start;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
    const { status, location, body } = await once(url, fetching, signal);
    if (status === 200) return body;
    if (status < 300 || status >= 400 || location === undefined) throw new Error(`it answered ${status}`);
    const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
    // Whoever can make the issuer redirect must not choose where this process goes.
    if (next?.origin !== url.origin)
      throw new Error(`it redirects to another origin, ${next?.origin ?? 'which is none'}: name that URL instead`);
    url = next;
  }
  throw new Error(`it redirects more than ${MOST_REDIRECTS} times`);
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: Buffer;
}

function once(url: URL, { blocked, ca, lookup = systemLookup as LookupFunction }: Fetching, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // Node looks up names only: an address is dialed as it stands.
    if (isIP(host) !== 0 && blocked.has(host)) return reject(new Error(`${host} is an address that must not be asked`));
    const options = {
      // No connection is kept: twenty minutes pass until the next one.
      agent: false,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'inmesh' },
      lookup: guarded(lookup, blocked),
      signal,
    } as const;
    const request: ClientRequest =
      url.protocol === 'https:' ? requestHttps(url, { ...options, ca, rejectUnauthorized: true }) : requestHttp(url, options);
    const fail = (error: Error): void => {
      reject(signal.aborted ? (signal.reason as Error) : error);
      request.destroy();
    };
    // A process may end while nobody but us waits.
    request.on('socket', (socket) => socket.unref());
    request.on('error', (error: NodeJS.ErrnoException) =>
      fail(new Error(error.message || error.code || 'unknown error', { cause: error })),
    );
    request.on('response', (message) => collect(message, resolve, fail));
    request.end();
  });
}

function collect(message: IncomingMessage, resolve: (answer: Answer) => void, fail: (error: Error) => void): void {
  const { statusCode: status = 0, headers } = message;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    return fail(new Error(`its answer is packed (${encoding}), though it was asked not to`));
  const chunks: Buffer[] = [];
  let bytes = 0;
  message.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > BIGGEST) fail(new Error(`it answered more than ${BIGGEST} bytes`));
    else chunks.push(chunk);
  });
  message.on('error', fail);
  message.on('aborted', () => fail(new Error('its answer was cut off')));
  message.on('end', () => resolve({ status, location: headers.location, body: Buffer.concat(chunks) }));
}

/** Looks a name up and refuses it if any of its addresses is blocked. What was judged is what is dialed, so no second answer can differ. */
function guarded(lookup: LookupFunction, blocked: BlockedAddresses): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '', 0);
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const wrong = addresses.find(({ address }) => blocked.has(address));
      if (wrong !== undefined) return callback(new Error(`${hostname} is ${wrong.address}, an address that must not be asked`), '', 0);
      const [first] = addresses;
      if (first === undefined) return callback(new Error(`${hostname} has no address`), '', 0);
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
