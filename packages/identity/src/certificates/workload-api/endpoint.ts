import { isIP } from 'node:net';
import { MeshError } from '@inmesh/core';

/**
 * What gRPC dials for a Workload API endpoint as SPIFFE writes it (Workload Endpoint, 4): `unix:///run/spire/agent.sock` or `tcp://127.0.0.1:8000`,
 * an address and never a name. Throws MISUSE.
 */
export function endpointTarget(endpoint: string): string {
  const refused = (why: string): MeshError =>
    new MeshError(
      'MISUSE',
      `${JSON.stringify(endpoint)} is no SPIFFE Workload API endpoint: ${why}; write unix:///PATH or tcp://ADDRESS:PORT`,
    );
  let url: URL;
  try {
    url = new URL(endpoint);
  } catch (error) {
    const refusal = refused('it is no URI');
    refusal.cause = error;
    throw refusal;
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw refused('it has user info, a query or a fragment');
  switch (url.protocol) {
    case 'unix:':
      if (url.host !== '' || !/^unix:\/\/\/+[^/]/.test(endpoint)) throw refused('the path of the socket must be absolute');
      return `unix://${decodeURIComponent(url.pathname)}`;
    case 'tcp:': {
      if (url.pathname !== '') throw refused('a TCP endpoint has no path');
      const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
      if (isIP(host) === 0) throw refused('the host must be an IP address');
      if (url.port === '') throw refused('the port is missing');
      return isIP(host) === 6 ? `ipv6:[${host}]:${url.port}` : `ipv4:${host}:${url.port}`;
    }
    default:
      throw refused(`its scheme is "${url.protocol.slice(0, -1)}"`);
  }
}
