import type { Client, ClientReadableStream, Metadata, ServiceClientConstructor } from '@grpc/grpc-js';
import { MeshError } from '@inmesh/core';

/** An X509SVIDResponse of the Workload API: the whole state, never a change to it. */
export interface SvidResponse {
  readonly svids: readonly {
    readonly spiffe_id: string;
    /** DER, leaf first, one after the other. */
    readonly x509_svid: Uint8Array;
    /** DER of a PKCS #8 key. */
    readonly x509_svid_key: Uint8Array;
    /** DER of the roots of its trust domain, one after the other. */
    readonly bundle: Uint8Array;
    readonly hint: string;
  }[];
  readonly crl: readonly Uint8Array[];
  /** Trust domain, as a SPIFFE ID → DER of its roots. */
  readonly federated_bundles: Readonly<Record<string, Uint8Array>>;
}

/** One connection to a Workload API, and the stream of X509SVIDResponses on it. */
export interface WorkloadClient {
  readonly stream: ClientReadableStream<SvidResponse>;
  close(): void;
}

/** The part of workload.proto that is used here, as protobufjs reads it: no file to ship, none to parse. */
const WORKLOAD = {
  nested: {
    X509SVIDRequest: { fields: {} },
    X509SVIDResponse: {
      fields: {
        svids: { rule: 'repeated', type: 'X509SVID', id: 1 },
        crl: { rule: 'repeated', type: 'bytes', id: 2 },
        federated_bundles: { keyType: 'string', type: 'bytes', id: 3 },
      },
    },
    X509SVID: {
      fields: {
        spiffe_id: { type: 'string', id: 1 },
        x509_svid: { type: 'bytes', id: 2 },
        x509_svid_key: { type: 'bytes', id: 3 },
        bundle: { type: 'bytes', id: 4 },
        hint: { type: 'string', id: 5 },
      },
    },
    SpiffeWorkloadAPI: {
      methods: { FetchX509SVID: { requestType: 'X509SVIDRequest', responseType: 'X509SVIDResponse', responseStream: true, comment: '' } },
    },
  },
};

interface GeneratedClient extends Client {
  FetchX509SVID(request: object, metadata: Metadata): ClientReadableStream<SvidResponse>;
}

const OPTIONS = {
  // A socket of this machine is never reached through a proxy.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_retries': 0,
};

/** Loads gRPC, which nobody else needs to install, and makes clients of `target`. */
export async function workloadClients(target: string): Promise<() => WorkloadClient> {
  const { grpc, loader } = await load();
  const { SpiffeWorkloadAPI } = loader.fromJSON(WORKLOAD, { keepCase: true, defaults: true });
  const Service = grpc.makeClientConstructor(SpiffeWorkloadAPI as never, 'SpiffeWorkloadAPI') as ServiceClientConstructor;
  return () => {
    const client = new Service(target, grpc.credentials.createInsecure(), OPTIONS) as unknown as GeneratedClient;
    // A guard against requests forged through a server that can be made to call URLs (Workload API, 4.1).
    const metadata = new grpc.Metadata();
    metadata.set('workload.spiffe.io', 'true');
    const stream = client.FetchX509SVID({}, metadata);
    return {
      stream,
      close: () => {
        // A channel that is closed still waits for its streams.
        stream.cancel();
        client.close();
      },
    };
  };
}

async function load() {
  try {
    return { grpc: await import('@grpc/grpc-js'), loader: await import('@grpc/proto-loader') };
  } catch (error) {
    throw new MeshError('MISUSE', 'the SPIFFE Workload API needs gRPC: npm install @grpc/grpc-js @grpc/proto-loader', { cause: error });
  }
}
