import type { IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Server } from 'node:net';

/** Listens on loopback, and tells where. */
export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', () => resolve()));
  return (server.address() as AddressInfo).port;
}

/** Sends bytes, and gives back all that comes until the connection ends, or `ms` have passed without an end. */
export const talk = (port: number, bytes: string, ms = 1000, host = '127.0.0.1'): Promise<string> =>
  new Promise((resolve) => {
    let heard = '';
    const socket = connect(port, host, () => socket.write(bytes, 'latin1'));
    const timer = setTimeout(() => socket.destroy(), ms);
    socket.on('data', (chunk) => (heard += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(heard);
    });
  });

/** A GET, or what `lines` make of it. */
export const get = (target: string, lines: readonly string[] = [], first = `GET ${target} HTTP/1.1`): string =>
  [first, 'Host: shop', ...lines, '', ''].join('\r\n');

/** Status of the first answer; 0: there was none. */
export const statusOf = (heard: string): number => Number(/^HTTP\/1\.[01] (\d{3})/.exec(heard)?.[1] ?? 0);

/** Every form in which a program may read the headers of a request. */
export const formsOf = ({ headers, headersDistinct, rawHeaders }: IncomingMessage) => ({
  headers,
  distinct: headersDistinct,
  raw: rawHeaders,
});

/** A policy that denies paths. */
export const denyPaths = (...paths: string[]): string => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no, namespace: default }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: ${JSON.stringify(paths)} } }] }] }
`;

export const peerAuthentication = (mode: string): string => `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: ${mode} } }
`;
