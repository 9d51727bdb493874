import { createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  loadPackageDefinition,
  type GrpcObject,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { DevSvid } from '../dev/index.ts';
import { pemBlocks } from '../verify/pem.ts';

type Stream = ServerWritableStream<object, object>;

/** A Workload API as an agent serves it, from the published proto file. */
export class WorkloadServer {
  /** Streams that are open. */
  readonly streams: Stream[] = [];
  /** Metadata of each call so far. */
  readonly seen: Metadata[] = [];
  /** What a new stream gets at once: a message, or an error with this code. */
  greeting: object | number | undefined;
  #server: Server | undefined;

  async listen(address: string): Promise<number> {
    const definition = loadSync(join(import.meta.dirname, 'workload.proto'), { keepCase: true });
    const { SpiffeWorkloadAPI } = loadPackageDefinition(definition) as GrpcObject & { SpiffeWorkloadAPI: ServiceClientConstructor };
    const server = (this.#server = new Server());
    server.addService(SpiffeWorkloadAPI.service, {
      FetchX509SVID: (stream: Stream) => {
        this.seen.push(stream.metadata);
        if (typeof this.greeting === 'number') {
          stream.emit('error', { code: this.greeting, details: `refused with ${this.greeting}` });
          return;
        }
        this.streams.push(stream);
        if (this.greeting !== undefined) stream.write(this.greeting);
      },
    });
    return new Promise((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
    });
  }

  /** Sends a message on all streams, and to whoever comes. */
  push(message: object): void {
    this.greeting = message;
    for (const stream of this.streams) stream.write(message);
  }

  /** Ends all streams in peace. */
  end(): void {
    for (const stream of this.streams.splice(0)) stream.end();
  }

  /** As a process that dies. */
  kill(): void {
    this.streams.length = 0;
    this.#server?.forceShutdown();
    this.#server = undefined;
  }
}

/** An X509SVID message of a certificate. */
export function svidMessage({ principal, certificate, privateKey }: DevSvid, roots: string, hint = ''): object {
  return {
    spiffe_id: principal.uri,
    x509_svid: derOf(certificate),
    x509_svid_key: createPrivateKey(privateKey).export({ format: 'der', type: 'pkcs8' }),
    bundle: derOf(roots),
    hint,
  };
}

/** Certificates of a PEM, one after the other. */
export const derOf = (pem: string): Buffer => {
  const blocks = pemBlocks(pem, 'CERTIFICATE');
  if (typeof blocks === 'string') throw new Error(blocks);
  return Buffer.concat(blocks);
};
