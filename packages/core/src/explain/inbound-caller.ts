import type { MtlsMode } from '@inmesh/policy';
import { MeshError } from '../errors.ts';
import type { Received } from '../inbound/received.ts';
import type { Connection, Principal } from '../peer.ts';
import { headerList } from '../route/request-call.ts';
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
export function receivedOf({ method = 'GET', url = '', headers, token }: ExplainInboundRequest, encrypted: boolean): Received {
  const lines = headerList(headers).flat();
  if (token !== undefined) lines.push('authorization', `Bearer ${token}`);
  const hosted = lines.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'host');
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
