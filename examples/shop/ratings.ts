import { Client, type sendUnaryData, type Server, ServerCredentials, type ServerUnaryCall, type ServiceError, status, type StatusObject } from '@grpc/grpc-js'; // prettier-ignore
import type { Mesh } from 'inmesh';

export interface Rating {
  readonly stars: number;
}

interface Book {
  readonly id: number;
}

/** The method by its full name, which is what policies call it by. */
export const GET = '/shop.Ratings/Get';

const serialize = (message: Book | Rating): Buffer => Buffer.from(JSON.stringify(message));
const deserialize = <T>(bytes: Buffer): T => JSON.parse(bytes.toString()) as T;

/** As protoc makes it of a .proto; JSON stands for protobuf, so that it can be read here. */
const SERVICE = {
  Get: {
    path: GET,
    requestStream: false,
    responseStream: false,
    requestSerialize: serialize,
    requestDeserialize: deserialize<Book>,
    responseSerialize: serialize,
    responseDeserialize: deserialize<Rating>,
  },
} as const;

/** Every so many calls it has a moment of weakness, and says so. */
const WEAK_EVERY = 50;

/** Serves ratings behind the mesh on a free port of loopback. */
export function serveRatings(mesh: Mesh, rate: () => Promise<Rating>): Promise<number> {
  // The one line that protects a server of gRPC.
  const server: Server = mesh.grpc.server();
  let calls = 0;
  server.addService(SERVICE, {
    Get: (_call: ServerUnaryCall<Book, Rating>, done: sendUnaryData<Rating>) => {
      calls += 1;
      if (calls % WEAK_EVERY === 0) return done({ code: status.UNAVAILABLE, details: 'a moment of weakness' });
      rate().then(
        (rating) => done(null, rating),
        (error: unknown) => done({ code: status.INTERNAL, details: String(error) }),
      );
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
  });
}

/** Asks ratings by the name of the service. Rejects with the status of the call. */
export function ratingsClient(mesh: Pick<Mesh, 'grpc'>): { readonly get: (id: number) => Promise<Rating>; readonly close: () => void } {
  const client = new Client('mesh:///ratings', mesh.grpc.credentials(), mesh.grpc.options());
  return {
    get: (id) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(GET, serialize, deserialize<Rating>, { id }, (error: ServiceError | null, rating) =>
          error === null ? resolve(rating!) : reject(error),
        );
      }),
    close: () => client.close(),
  };
}

/** `UNAVAILABLE: no healthy upstream`: how a call ended that did not end well. */
export const told = (error: unknown): { readonly status: string; readonly body: string } => {
  const { code, details } = error as StatusObject;
  return { status: status[code] ?? 'UNKNOWN', body: details };
};

/** How many calls to this process have ended with which status, as its mesh has counted them. */
export function outcomes(metrics: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [, code, count] of metrics.matchAll(
    /^istio_requests_total\{reporter="destination",.*grpc_response_status="(\d+)".*\} (\d+)$/gm,
  )) {
    const name = status[Number(code)] ?? 'UNKNOWN';
    counts[name] = (counts[name] ?? 0) + Number(count);
  }
  return counts;
}
