import { createSocket } from 'node:dgram';
import { randomInt } from 'node:crypto';
import { connect, isIPv6 } from 'node:net';
import { type Answer, decode, encode, type Packet, RECURSION_DESIRED, streamDecode, streamEncode } from 'dns-packet';
import { isNone, lookupError, type LookupCode } from './errors.ts';
import type { Server } from './servers.ts';

/** What a server said to a question it could answer. */
export interface Reply {
  readonly answers: readonly Answer[];
  readonly additionals: readonly Answer[];
}

/** What goes over UDP unfragmented on any path (DNS flag day 2020). */
const UDP_BYTES = 1232;

const CODES: Readonly<Record<string, LookupCode>> = {
  NXDOMAIN: 'ENOTFOUND',
  SERVFAIL: 'ESERVFAIL',
  REFUSED: 'EREFUSED',
  NOTIMP: 'ENOTIMP',
};

/**
 * Asks for SRV records, by TCP: Consul answers over UDP with three of them, or as many as fit, and does not say that it left some out.
 * Where TCP is shut, by UDP, and then a truncated answer is a failure: half a list is none. One server after another is asked until
 * one knows, or knows that there are none; `timeoutMs` is for each. Rejects with the error of the last.
 */
export async function askForServices(name: string, servers: readonly Server[], timeoutMs: number, signal?: AbortSignal): Promise<Reply> {
  let failure = lookupError('ECONNREFUSED', 'querySrv', name);
  for (const server of servers) {
    for (const way of [overTcp, overUdp]) {
      signal?.throwIfAborted();
      try {
        return replyOf(await way(name, server, timeoutMs / 2, signal), name);
      } catch (error) {
        failure = error as typeof failure;
        if (isNone(error)) throw error;
        // It did answer, and UDP would not make it say more.
        if (failure.code !== 'ETIMEOUT' && failure.code !== 'ECONNREFUSED') break;
      }
    }
  }
  throw failure;
}

function replyOf(packet: Packet & { readonly rcode?: string; readonly flag_tc?: boolean }, name: string): Reply {
  const { rcode = 'NOERROR', answers = [], additionals = [] } = packet;
  if (rcode !== 'NOERROR') throw lookupError(CODES[rcode] ?? 'EBADRESP', 'querySrv', name);
  if (packet.flag_tc === true) throw lookupError('ETRUNCATED', 'querySrv', name);
  return { answers, additionals };
}

type Ask = (name: string, server: Server, timeoutMs: number, signal?: AbortSignal) => Promise<Packet>;

function question(name: string): Packet & { readonly id: number } {
  return {
    type: 'query',
    id: randomInt(65_536),
    flags: RECURSION_DESIRED,
    questions: [{ type: 'SRV', name }],
    additionals: [
      { type: 'OPT', name: '.', udpPayloadSize: UDP_BYTES, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
    ],
  };
}

/** Only who answers this question is heard. */
function answers(packet: Packet, asked: Packet): boolean {
  const [sent, heard] = [asked.questions![0]!, packet.questions?.[0]];
  return (
    packet.type === 'response' &&
    packet.id === asked.id &&
    heard?.type === 'SRV' &&
    heard.name.toLowerCase() === sent.name.toLowerCase().replace(/\.$/, '')
  );
}

const overTcp: Ask = (name, { host, port }, timeoutMs, signal) =>
  settled(name, timeoutMs, signal, (resolve, reject) => {
    const asked = question(name);
    const socket = connect({ host, port }).unref();
    let received = Buffer.alloc(0);
    socket.on('connect', () => socket.write(streamEncode(asked)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < received.readUInt16BE(0) + 2) return;
      const packet = readable(() => streamDecode(received));
      if (packet !== null && answers(packet, asked)) resolve(packet);
      else reject(lookupError('EBADRESP', 'querySrv', name));
    });
    socket.on('error', () => reject(lookupError('ECONNREFUSED', 'querySrv', name)));
    socket.on('close', () => reject(lookupError('ECONNREFUSED', 'querySrv', name)));
    return () => socket.destroy();
  });

const overUdp: Ask = (name, { host, port }, timeoutMs, signal) =>
  settled(name, timeoutMs, signal, (resolve, reject) => {
    const asked = question(name);
    // A connected socket hears its server only, from a port nobody can guess.
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4').unref();
    socket.on('error', () => reject(lookupError('ECONNREFUSED', 'querySrv', name)));
    socket.on('message', (message) => {
      const packet = readable(() => decode(message));
      // Anything else may be forged: the answer may still come.
      if (packet !== null && answers(packet, asked)) resolve(packet);
    });
    socket.connect(port, host, () => socket.send(encode(asked)));
    return () => socket.close();
  });

/** One ending, by answer, time or `signal`, after which nothing is left open. */
async function settled(
  name: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  open: (resolve: (packet: Packet) => void, reject: (error: Error) => void) => () => void,
): Promise<Packet> {
  let close: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let aborted: (() => void) | undefined;
  try {
    return await new Promise<Packet>((resolve, reject) => {
      timer = setTimeout(() => reject(lookupError('ETIMEOUT', 'querySrv', name)), timeoutMs).unref();
      aborted = () => reject(lookupError('ECANCELLED', 'querySrv', name));
      signal?.addEventListener('abort', aborted, { once: true });
      close = open(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
    if (aborted !== undefined) signal?.removeEventListener('abort', aborted);
    close?.();
  }
}

function readable(read: () => Packet | null): Packet | null {
  try {
    return read();
  } catch {
    return null;
  }
}
