import type { MtlsMode } from '@inmesh/policy';
import { MeshError } from '../errors.ts';
import type { Received } from '../inbound/received.ts';
import type { Connection, Principal } from '../peer.ts';
import { GRPC_HEADERS, grpcTarget, headerList } from '../route/request-call.ts';
import type { ExplainInboundRequest } from './inbound-explanation.ts';

const PRINCIPAL = /^(?:spiffe:\/\/)?([a-z0-9._-]+)\/ns\/([A-Za-z0-9._-]+)\/sa\/([A-Za-z0-9._-]+)$/;
const ABSOLUTE = /^(https?|wss?):\/\/([^/?#]+)(.*)$/i;

/** The connection a described call comes on. Throws MISUSE for a principal that is none. */
export function connectionOf(request: ExplainInboundRequest, mtls: MtlsMode): Connection {
  // Nobody proves anything on a port without TLS.
  const principal = request.principal === undefined || mtls === 'DISABLE' ? undefined : principalOf(request.principal);
  return {
    principal,
    remoteAddress: request.sourceIp ?? '',
    localAddress: request.destinationIp ?? '',
    localPort: request.port,
    tls: principal !== undefined,
    sni: request.sni,
  };
}

function principalOf(text: string): Principal {
  const [, trustDomain, namespace, serviceAccount] = PRINCIPAL.exec(text) ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) {
    throw new MeshError(
      'MISUSE',
      `"${text}" is no principal; write TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, as in cluster.local/ns/default/sa/web`,
    );
  }
  return { uri: `spiffe://${text.replace('spiffe://', '')}`, trustDomain, namespace, serviceAccount };
}

/** A described request as a server would receive it. Throws MISUSE for a URL that names neither host nor path. */
export function receivedOf(request: ExplainInboundRequest, encrypted: boolean): Received {
  const lines = headerList(request.headers).flat();
  if (request.token !== undefined) lines.push('authorization', `Bearer ${request.token}`);
  const has = (wanted: string): boolean => lines.some((name, at) => at % 2 === 0 && name.toLowerCase() === wanted);
  const hosted = has('host');
  const called = grpcTarget(request);
  const { method = 'GET', url = '' } = called === undefined ? request : { method: 'POST', url: `http://${called.authority}${called.path}` };
  if (called !== undefined) for (const [name, value] of GRPC_HEADERS) if (!has(name)) lines.push(name, value);
  const absolute = ABSOLUTE.exec(url);
  if (absolute === null && (!hosted || !/^[/*]/.test(url))) {
    throw new MeshError('MISUSE', `"${url}" is neither a URL, as in http://reviews:9080/path, nor a path with a host header beside it`);
  }
  const scheme = (absolute?.[1] ?? 'http').toLowerCase();
  // What a client makes of a URL: the host goes into a header, the path stays as it was written.
  if (absolute !== null && !hosted) lines.unshift('host', absolute[2]!);
  const rest = absolute === null ? url : absolute[3]!;
  return {
    method,
    target: /^[/*]/.test(rest) ? rest : `/${rest}`,
    rawHeaders: lines,
    authority: undefined,
    scheme: encrypted || scheme === 'https' || scheme === 'wss' ? 'https' : 'http',
    upgrade: scheme.startsWith('ws'),
  };
}
