import type { AuthorizationPolicy, MtlsMode } from '@inmesh/policy';
import type { Clock } from '../clock.ts';
import type { GrpcStatusName } from '../errors.ts';
import type { TokenVerifiers } from '../ports/tokens.ts';
import type { RequestDescription } from '../route/request-call.ts';

/** A call to a workload, as a person writes it down. */
export interface ExplainInboundRequest {
  /** Default http. A TCP connection needs no URL. */
  readonly protocol?: 'http' | 'tcp';
  /** As on the wire: case counts. Default GET; of gRPC, POST. */
  readonly method?: string;
  /**
   * Absolute, or a path (then a `host` header says for whom). Taken as it is written: what is odd about a path is the question. A call of
   * gRPC is `grpc://ratings/shop.Ratings/Get`.
   */
  readonly url?: string;
  readonly headers?: RequestDescription['headers'];
  /** Port of the workload, not of the service. */
  readonly port: number;
  /** Whom the caller proves to be by mutual TLS, `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. Without it the caller comes in plaintext. */
  readonly principal?: string;
  /** Address of the TCP peer; '' is nobody's. */
  readonly sourceIp?: string;
  readonly destinationIp?: string;
  /** Server name of the TLS handshake. */
  readonly sni?: string;
  /** Shorthand for the header `Authorization: Bearer TOKEN`. */
  readonly token?: string;
}

export interface ExplainInboundTools {
  /** Without it a token is one that nobody verified. */
  readonly tokens?: TokenVerifiers;
  /** Time by which tokens are judged. Default: the system's. */
  readonly clock?: Clock;
}

/** What would become of a call to a workload, and why. Plain JSON; what is absent is null or an empty list. */
export interface InboundExplanation {
  readonly decision: 'allow' | 'deny';
  /** Of the answer the mesh gives itself; null where the program answers, or where the connection is closed without a word. */
  readonly status: number | null;
  /** Of calls of gRPC only: what `status` is to the caller. */
  readonly grpcStatus?: GrpcStatusName | null;
  /** Rule that decided, `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`; null if none did (an ALLOW set of which none matches, a bad token, …). */
  readonly policy: string | null;
  /** What the deciding policies do; null where no AuthorizationPolicy decided. */
  readonly action: AuthorizationPolicy['action'] | null;
  /** What decided: `PeerAuthentication ns/name`, `RequestAuthentication ns/name`, `AuthorizationPolicy ns/name`, the resource of a cross-origin rule; null if no single one. */
  readonly resource: string | null;
  /** What the caller is told; null if nothing. */
  readonly body: string | null;
  readonly mtls: MtlsMode;
  /** Proven by mutual TLS. */
  readonly principal: string | null;
  /** `ISSUER/SUBJECT` of the verified token. */
  readonly requestPrincipal: string | null;
  /** AUDIT rules that match. */
  readonly audited: readonly string[];
  /** What policies in dry run would decide: `deny ns[…]…`, `allow ns[…]…`, `deny [none]`. */
  readonly dryRun: readonly string[];
  /** As the program will see it; null if it does not. Names of headers in lower case, several values joined with a comma. */
  readonly request: {
    readonly method: string;
    readonly authority: string;
    /** Normalized, with its query. */
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
  } | null;
  /** Sentences, in the order in which things are decided. */
  readonly why: readonly string[];
}
