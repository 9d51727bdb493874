import type { Connection, EndedCall, Endpoint, InboundInfo, Peer, RouteInfo } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';

/** What log lines and expressions say of a call that ended, in the meaning a sidecar would give the words: on both sides "downstream" is who asks. */
export type CallInfo = RouteInfo | InboundInfo;

/** The caller of an inbound call; undefined of those we make. */
export const peerOf = ({ call }: EndedCall): Peer | undefined => call?.peer;

export const connectionOf = ({ call }: EndedCall): Connection | undefined => call?.peer?.connection;

/** Path and query, as in the request line; undefined of TCP. */
export function fullPath({ call }: EndedCall): string | undefined {
  if (call === undefined || call.protocol === 'tcp') return undefined;
  return call.query === '' ? call.path : `${call.path}?${call.query}`;
}

export function httpProtocol({ call, http2 }: EndedCall): string | undefined {
  if (call === undefined || call.protocol === 'tcp') return undefined;
  return http2 || call.protocol === 'grpc' ? 'HTTP/2' : 'HTTP/1.1';
}

/** Where the call went: the endpoint; of one that came in, our own port, once the program had it. */
export function upstreamAddress(call: EndedCall, info: CallInfo): string | undefined {
  return info.side === 'client' ? call.endpoint?.address : call.details === 'via_upstream' ? localAddress(call) : undefined;
}

/** Of what came in: the address it came to. */
export function localAddress(call: EndedCall): string | undefined {
  const connection = connectionOf(call);
  return connection === undefined ? undefined : joined(connection.localAddress, connection.localPort);
}

/** Of what came in: the client, behind proxies that are trusted (then without its port, which Envoy writes as 0). */
export function remoteAddress(call: EndedCall): string | undefined {
  const peer = peerOf(call);
  if (peer === undefined) return undefined;
  const { remoteAddress: address, remotePort = 0 } = peer.connection;
  return joined(peer.clientAddress, peer.clientAddress === address ? remotePort : 0);
}

/** undefined where there is none: Unix sockets, servers that do not say. */
function joined(address: string, port: number): string | undefined {
  if (address === '') return undefined;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `10.0.0.1` of `10.0.0.1:80`, `[::1]` of `[::1]:80`. */
export const withoutPort = (address: string | undefined): string | undefined => address?.replace(/:\d+$/, '');

/** `80` of `10.0.0.1:80`. */
export function portOf(address: string | undefined): number | undefined {
  const port = address === undefined ? undefined : /:(\d+)$/.exec(address)?.[1];
  return port === undefined ? undefined : Number(port);
}

/** Milliseconds since 1970 at which the call began. */
export const startOf = ({ ms }: EndedCall, endedAt: number): number => endedAt - ms;

/** Who proved to be the caller; undefined where nobody did. */
export function callerUri(call: EndedCall, info: CallInfo, workload: Workload, trustDomain: string): string | undefined {
  if (info.side === 'server') return peerOf(call)?.principal?.uri;
  return call.mutual ? uriOf(workload, trustDomain) : undefined;
}

/** Who proved to be the one that is called; undefined where nobody did. */
export function calledUri(call: EndedCall, info: CallInfo, workload: Workload, trustDomain: string): string | undefined {
  if (!call.mutual) return undefined;
  return info.side === 'server'
    ? uriOf(workload, trustDomain)
    : call.endpoint === undefined
      ? undefined
      : uriOf(call.endpoint, trustDomain);
}

/** SPIFFE ID of a workload, from what is said of it: Istio's form, or its own where a registry names it whole. undefined: nobody says. */
export function uriOf(
  { namespace, serviceAccount }: Pick<Endpoint, 'namespace' | 'serviceAccount'>,
  trustDomain: string,
): string | undefined {
  if (serviceAccount.startsWith('spiffe://')) return serviceAccount;
  return serviceAccount === '' || namespace === '' ? undefined : `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** Milliseconds from the request's going out to the headers of the answer, as Envoy's router says them in x-envoy-upstream-service-time. */
export function upstreamServiceTime(call: EndedCall): string | undefined {
  return call.upstreamMs < 0 ? call.responseHeader('x-envoy-upstream-service-time') : String(Math.floor(call.upstreamMs));
}

/** A header of the request, pseudo headers among them. */
export function requestHeader(ended: EndedCall, name: string): string | undefined {
  const { call, trace } = ended;
  if (call === undefined || call.protocol === 'tcp') return undefined;
  switch (name) {
    case ':method':
      return call.method;
    case ':path':
      return fullPath(ended);
    case ':authority':
    case 'host':
      return call.authority;
    case ':scheme':
      return call.scheme;
    case 'x-request-id':
      // Where the caller sent none, the mesh has made one.
      return call.header(name) ?? (trace?.requestId || undefined);
    default:
      return call.header(name);
  }
}

/** A header of the answer, `:status` among them. */
export function responseHeader(call: EndedCall, name: string): string | undefined {
  if (name === ':status') return call.status === 0 ? undefined : String(call.status);
  return name === 'x-envoy-upstream-service-time' ? upstreamServiceTime(call) : call.responseHeader(name);
}

export interface TraceIds {
  readonly traceId: string;
  readonly spanId: string;
}

/** The trace of a call; where nobody traces, the one its request says it belongs to (W3C Trace Context, traceparent version 00). */
export function traceOfCall({ call, trace }: EndedCall): TraceIds | undefined {
  if (trace !== undefined) return trace.traceId === '' ? undefined : trace;
  const found = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}/.exec(call?.header('traceparent') ?? '');
  return found === null ? undefined : { traceId: found[1]!, spanId: found[2]! };
}
