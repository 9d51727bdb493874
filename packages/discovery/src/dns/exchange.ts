import { createSocket } from 'node:dgram';
import { randomInt } from 'node:crypto';
import { connect, isIPv6 } from 'node:net';
import { type Answer, decode, encode, type Packet, RECURSION_DESIRED, streamDecode, streamEncode } from 'dns-packet';
import { isNone, lookupError, type LookupCode, type LookupError } from './errors.ts';
import type { Server } from './servers.ts';

/** What a server that knows said to a question. */
export interface Reply {
  readonly answers: readonly Answer[];
  readonly additionals: readonly Answer[];
}

export type QuestionType = 'A' | 'AAAA' | 'SRV';

export interface AskOptions {
  readonly servers: readonly Server[];
  /** For each server: half of it by UDP, half by TCP. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** What goes over UDP unfragmented on any path (DNS flag day 2020). */
const UDP_BYTES = 1232;

const CODES: Readonly<Record<string, LookupCode>> = {
  NXDOMAIN: 'ENOTFOUND',
  SERVFAIL: 'ESERVFAIL',
  REFUSED: 'EREFUSED',
  NOTIMP: 'ENOTIMP',
};

/** As node:dns names its questions in errors. */
const WORDS = { A: 'queryA', AAAA: 'queryAaaa', SRV: 'querySrv' } as const;

/** After these the other way to the same server may do better. */
const OTHER_WAY: ReadonlySet<LookupCode> = new Set(['ETIMEOUT', 'ECONNREFUSED', 'ETRUNCATED']);

/**
 * Asks one server after another until one knows, or knows that there is nothing: by UDP, and by TCP where that is silent or too small.
 * SRV records by TCP first: Consul answers over UDP with as many as fit, and does not say that it left some out. Half an answer is
 * a failure. Not by node:dns, whose questions keep a process alive that has nothing else to do. Rejects with the error of the last server.
 */
export async function ask(name: string, type: QuestionType, { servers, timeoutMs, signal }: AskOptions): Promise<Reply> {
  const fault = (code: LookupCode): LookupError => lookupError(code, WORDS[type], name);
  const asked: Question = { type, name: name.replace(/\.$/, ''), fault };
  let failure = fault('ECONNREFUSED');
  for (const server of servers) {
    for (const way of type === 'SRV' ? [overTcp, overUdp] : [overUdp, overTcp]) {
      try {
        return replyOf(await way(asked, server, timeoutMs / 2, signal), fault);
      } catch (error) {
        failure = error as LookupError;
        if (isNone(error) || failure.code === 'ECANCELLED') throw error;
        if (!OTHER_WAY.has(failure.code)) break;
      }
    }
  }
  throw failure;
}

interface Question {
  readonly type: QuestionType;
  readonly name: string;
  readonly fault: (code: LookupCode) => LookupError;
}

function replyOf(packet: Packet & { readonly rcode?: string; readonly flag_tc?: boolean }, fault: Question['fault']): Reply {
  const { rcode = 'NOERROR', answers = [], additionals = [] } = packet;
  if (rcode !== 'NOERROR') throw fault(CODES[rcode] ?? 'EBADRESP');
  if (packet.flag_tc === true) throw fault('ETRUNCATED');
  return { answers, additionals };
}

type Way = (question: Question, server: Server, timeoutMs: number, signal?: AbortSignal) => Promise<Packet>;

const packetOf = ({ type, name }: Question): Packet => ({
  type: 'query',
  id: randomInt(65_536),
  flags: RECURSION_DESIRED,
  questions: [{ type, name }],
  additionals: [
    { type: 'OPT', name: '.', udpPayloadSize: UDP_BYTES, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
  ],
});

/** Only who answers this question is heard. */
function answers(packet: Packet, { id }: Packet, { type, name }: Question): boolean {
  const heard = packet.questions?.[0];
  return packet.type === 'response' && packet.id === id && heard?.type === type && heard.name.toLowerCase() === name.toLowerCase();
}

const overTcp: Way = (question, { host, port }, timeoutMs, signal) =>
  settled(question, timeoutMs, signal, (resolve, reject) => {
    const asked = packetOf(question);
    const socket = connect({ host, port }).unref();
    let received = Buffer.alloc(0);
    socket.on('connect', () => socket.write(streamEncode(asked)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < received.readUInt16BE(0) + 2) return;
      const packet = readable(() => streamDecode(received));
      if (packet !== null && answers(packet, asked, question)) resolve(packet);
      else reject(question.fault('EBADRESP'));
    });
    socket.on('error', () => reject(question.fault('ECONNREFUSED')));
    socket.on('close', () => reject(question.fault('ECONNREFUSED')));
    return () => socket.destroy();
  });

const overUdp: Way = (question, { host, port }, timeoutMs, signal) =>
  settled(question, timeoutMs, signal, (resolve, reject) => {
    const asked = packetOf(question);
    // A connected socket hears its server only, from a port nobody can guess.
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4').unref();
    socket.on('error', () => reject(question.fault('ECONNREFUSED')));
    socket.on('message', (message) => {
      const packet = readable(() => decode(message));
      // Anything else may be forged: the answer may still come.
      if (packet !== null && answers(packet, asked, question)) resolve(packet);
    });
    socket.connect(port, host, () => socket.send(encode(asked)));
    return () => socket.close();
  });

/** One ending, by answer, time or `signal`, after which nothing is left open. */
async function settled(
  question: Question,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  open: (resolve: (packet: Packet) => void, reject: (error: Error) => void) => () => void,
): Promise<Packet> {
  if (signal?.aborted === true) throw question.fault('ECANCELLED');
  let close: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let aborted: (() => void) | undefined;
  try {
    return await new Promise<Packet>((resolve, reject) => {
      timer = setTimeout(() => reject(question.fault('ETIMEOUT')), timeoutMs).unref();
      aborted = () => reject(question.fault('ECANCELLED'));
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
