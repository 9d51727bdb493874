/** Calls of gRPC, as client.ts measures them: plain grpc-js, grpc-js with its xDS plugin, and grpc-js through the mesh. */
import type { ChannelCredentials, ClientDuplexStream, ClientOptions, ClientReadableStream, Metadata } from '@grpc/grpc-js';
import type { Mesh } from 'inmesh';
import { ECHO } from './echo.ts';

interface EchoStub {
  Say(message: Buffer, metadata: Metadata, callback: (error: Error | null) => void): void;
  Repeat(message: Buffer, metadata: Metadata): ClientReadableStream<Buffer>;
  Chat(metadata: Metadata): ClientDuplexStream<Buffer, Buffer>;
}

/** Messages of one stream: enough for its beginning and its end not to count. */
export const STREAMED = 500;
const ROUND_ROBIN = { 'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }) };
const message = Buffer.from('ratings/7'.padEnd(100));

/**
 * `scenario`: who calls (`bare`, `xds`, `mesh`) and what (`unary`, `repeat`: server streaming, `chat`: bidirectional), as `mesh-chat-grpc`.
 * `ports`: of the endpoints; of the management server for xds.
 */
export async function grpcCall(
  scenario: string,
  ports: readonly number[],
  traceparent: string,
  createMesh: () => Promise<Mesh>,
): Promise<() => Promise<void>> {
  const { credentials, makeClientConstructor, Metadata } = await import('@grpc/grpc-js');
  const [who, what] = scenario.split('-');
  const metadata = new Metadata();
  metadata.set('traceparent', traceparent);

  const connect = async (): Promise<[string, ChannelCredentials, ClientOptions]> => {
    if (who === 'mesh') {
      const mesh = await createMesh();
      return ['mesh:///echo.example.com', mesh.grpc.credentials(), mesh.grpc.options()];
    }
    if (who === 'xds') {
      process.env['GRPC_XDS_BOOTSTRAP_CONFIG'] = JSON.stringify({
        xds_servers: [{ server_uri: `127.0.0.1:${ports[0]}`, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] }],
        node: { id: 'bench', cluster: 'bench', locality: {}, metadata: {} },
      });
      const { register } = await import('@grpc/grpc-js-xds');
      register();
      return ['xds:///echo.example.com', credentials.createInsecure(), {}];
    }
    return [`ipv4:${ports.map((port) => `127.0.0.1:${port}`).join()}`, credentials.createInsecure(), ROUND_ROBIN];
  };
  const Client = makeClientConstructor(ECHO, 'Echo');
  const client = new Client(...(await connect())) as unknown as EchoStub;

  const received = (stream: ClientReadableStream<Buffer>): Promise<void> =>
    new Promise((resolve, reject) => {
      let count = 0;
      stream.on('data', () => (count += 1));
      stream.on('error', reject);
      stream.on('end', () => (count === STREAMED ? resolve() : reject(new Error(`${count} of ${STREAMED} messages`))));
    });
  switch (what) {
    case 'unary':
      return () =>
        new Promise((resolve, reject) => {
          client.Say(message, metadata, (error) => (error === null ? resolve() : reject(error)));
        });
    case 'repeat':
      return () => received(client.Repeat(Buffer.from(String(STREAMED)), metadata));
    case 'chat':
      return () => {
        const stream = client.Chat(metadata);
        let left = STREAMED;
        const write = (): void => {
          while (left > 0) {
            left -= 1;
            if (!stream.write(message)) return void stream.once('drain', write);
          }
          stream.end();
        };
        const all = received(stream);
        write();
        return all;
      };
    default:
      throw new Error(`no scenario "${scenario}"`);
  }
}
