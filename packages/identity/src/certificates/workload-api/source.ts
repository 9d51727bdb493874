import type { ServiceError } from '@grpc/grpc-js';
import { type CertificateSource, type Clock, type IdentityState, MeshError } from '@inmesh/core';
import { endpointTarget } from './endpoint.ts';
import { identityOf } from './identity.ts';
import { type SvidResponse, workloadClients, type WorkloadClient } from './protocol.ts';

export interface WorkloadApiOptions {
  /** `unix:///PATH` or `tcp://ADDRESS:PORT`. Default: the environment variable SPIFFE_ENDPOINT_SOCKET. */
  readonly socket?: string;
  /** Which identity, where the workload has several. Default: the first. */
  readonly hint?: string;
  /** Other names of the own trust domain: whoever has one of them is verified against the same roots. */
  readonly aliases?: readonly string[];
}

/** As go-spiffe: a second longer each time. */
const STEP_MS = 1000;
const LONGEST_MS = 30_000;

/** Codes that repeating does not cure (SPIFFE Workload API, 4.4). */
const FINAL: ReadonlySet<number> = new Set([3 /* INVALID_ARGUMENT */, 12 /* UNIMPLEMENTED */]);

/**
 * The SPIFFE Workload API (SPIRE, istio-agent, cert-manager's csi-driver-spiffe …) as the source of a workload's certificate. Each message is
 * the whole state: a federated trust domain it leaves out is believed no more.
 */
export function workloadApi({
  socket = process.env['SPIFFE_ENDPOINT_SOCKET'],
  hint,
  aliases = [],
}: WorkloadApiOptions = {}): CertificateSource {
  if (socket === undefined || socket === '') {
    throw new MeshError('MISUSE', 'workloadApi needs a socket: set SPIFFE_ENDPOINT_SOCKET, or pass { socket: "unix:///PATH" }');
  }
  const target = endpointTarget(socket);
  return {
    name: socket,
    watch: (onChange, tools) => {
      const watching = new Watching({ socket, target, hint, aliases }, onChange, tools);
      void watching.start();
      return { close: () => watching.close() };
    },
  };
}

interface Asked {
  readonly socket: string;
  readonly target: string;
  readonly hint: string | undefined;
  readonly aliases: readonly string[];
}

class Watching {
  readonly #asked: Asked;
  readonly #onChange: (state: IdentityState) => void;
  readonly #clock: Clock;
  readonly #random: () => number;
  #connect: (() => WorkloadClient) | undefined;
  #client: WorkloadClient | undefined;
  #timer: ReturnType<Clock['after']> | undefined;
  /** Connections in a row that gave nothing. */
  #fruitless = 0;
  #version: string | undefined;
  #failure: string | undefined;
  #closed = false;

  constructor(
    asked: Asked,
    onChange: (state: IdentityState) => void,
    { clock, random }: { readonly clock: Clock; readonly random: () => number },
  ) {
    this.#asked = asked;
    this.#onChange = onChange;
    this.#clock = clock;
    this.#random = random;
  }

  async start(): Promise<void> {
    try {
      this.#connect = await workloadClients(this.#asked.target);
    } catch (error) {
      this.#fail((error as Error).message);
      return;
    }
    this.#open();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    const client = this.#client;
    this.#client = undefined;
    client?.close();
  }

  #open(): void {
    if (this.#closed) return;
    // A client for each try: a channel that failed has a backoff of its own.
    const client = (this.#client = this.#connect!());
    const ended = (reason: string, final: boolean): void => {
      if (client !== this.#client) return;
      this.#client = undefined;
      client.close();
      if (this.#closed) return;
      this.#fail(`${this.#asked.socket}: ${reason}`);
      if (!final) this.#retry();
    };
    client.stream.on('data', (response: SvidResponse) => this.#take(response));
    client.stream.on('error', (error: ServiceError) =>
      ended((error.details || error.message).replace(/ Resolution note: $/, ''), FINAL.has(error.code)),
    );
    client.stream.on('end', () => ended('it ended the stream', false));
  }

  #retry(): void {
    this.#fruitless += 1;
    const jitter = 0.9 + 0.2 * this.#random();
    this.#timer = this.#clock.after(Math.min(this.#fruitless * STEP_MS, LONGEST_MS) * jitter, () => this.#open());
  }

  #take(response: SvidResponse): void {
    if (this.#closed) return;
    const { hint, aliases, socket } = this.#asked;
    const made = identityOf(response, hint, aliases, this.#clock.wall());
    if (!made.ok) {
      this.#fail(`${socket}: ${made.reason}`);
      return;
    }
    this.#fruitless = 0;
    const { version } = made.identity;
    const news = version !== this.#version || this.#failure !== undefined;
    this.#version = version;
    this.#failure = undefined;
    if (news) this.#onChange({ state: 'ready', identity: made.identity });
  }

  #fail(reason: string): void {
    if (this.#closed || reason === this.#failure) return;
    this.#failure = reason;
    this.#onChange({ state: 'failed', reason });
  }
}
