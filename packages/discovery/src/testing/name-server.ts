import { createSocket, type Socket } from 'node:dgram';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { type Answer as Record_, decode, encode, type Packet, streamDecode, streamEncode } from 'dns-packet';

/** What is said to a question `name type` over TCP and over UDP: records, answers with more to them, or a response code. */
export type Said = readonly Record_[] | Partial<Packet> | ((id: number) => Partial<Packet>) | number | 'nothing';

export const NXDOMAIN = 3;
export const SERVFAIL = 2;
export const TRUNCATED = 1 << 9;

/** A name server of scripted answers on a port of its own. */
export class NameServer {
  tcp: Record<string, Said> = {};
  udp: Record<string, Said> | undefined = undefined;
  readonly asked: string[] = [];
  /** How much over UDP those who asked can take. */
  readonly udpSizes: number[] = [];
  #udp: Socket = createSocket('udp4');
  #tcp: Server = createServer();
  address = '';

  async open({ tcp = true } = {}): Promise<this> {
    this.#tcp.on('connection', (socket) => {
      socket.on('error', () => {});
      socket.on('data', (data) => {
        const answer = this.#answer('tcp', streamDecode(data)!);
        // In two pieces, as the network may deliver it.
        if (answer === undefined) return;
        const bytes = streamEncode(answer);
        socket.write(bytes.subarray(0, 5));
        setImmediate(() => socket.end(bytes.subarray(5)));
      });
    });
    this.#udp.on('message', (message, { port, address }) => {
      const answer = this.#answer('udp', decode(message));
      if (answer !== undefined) this.#udp.send(encode(answer), port, address);
    });
    await new Promise<void>((resolve) => this.#tcp.listen(0, '127.0.0.1', resolve));
    const { port } = this.#tcp.address() as AddressInfo;
    if (!tcp) await new Promise<unknown>((resolve) => this.#tcp.close(resolve));
    await new Promise<void>((resolve) => this.#udp.bind(port, '127.0.0.1', resolve));
    this.address = `127.0.0.1:${port}`;
    return this;
  }

  async close(): Promise<void> {
    await new Promise<unknown>((resolve) => this.#udp.close(() => resolve(undefined)));
    if (this.#tcp.listening) await new Promise<unknown>((resolve) => this.#tcp.close(resolve));
  }

  #answer(way: 'tcp' | 'udp', { id, questions = [], additionals = [] }: Packet): Packet | undefined {
    for (const record of additionals) if (record.type === 'OPT') this.udpSizes.push(record.udpPayloadSize ?? 0);
    const { type } = questions[0]!;
    const name = questions[0]!.name.toLowerCase();
    this.asked.push(`${way} ${name} ${type}`);
    const said = ((way === 'udp' ? this.udp : undefined) ?? this.tcp)[`${name} ${type}`] ?? NXDOMAIN;
    if (said === 'nothing') return undefined;
    if (typeof said === 'function') return { type: 'response', id, questions, ...said(id!) };
    const more = typeof said === 'number' ? { flags: said } : Array.isArray(said) ? { answers: [...said] } : (said as Partial<Packet>);
    return { type: 'response', id, questions, ...more };
  }
}

export const a = (name: string, data: string, ttl = 60): Record_ => ({ type: 'A', name, ttl, data });
export const aaaa = (name: string, data: string, ttl = 60): Record_ => ({ type: 'AAAA', name, ttl, data });
