import type { Locality, Probe } from '@inmesh/policy';

/** A place that answers, as a resolver reports it. Comparable by value; what is learned of it lives in EndpointState. */
export interface Endpoint {
  /** `ip:port`, `[ip6]:port`, `name:port` or `unix:///path`. The key by which it is found again. */
  readonly address: string;
  /** Host part to dial, or the socket's path. */
  readonly host: string;
  /** 0 for Unix sockets. */
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  readonly network: string;
  readonly weight: number;
  /** Takes calls when those of lower numbers are not healthy enough; within one priority locality decides. Default 0. */
  readonly priority?: number;
  readonly serviceAccount: string;
  /** It takes mutual TLS: what a policy of no opinion (`auto`) goes by. Resolvers say whether it can; `Model.peers` may turn it off for its port. */
  readonly mtls: boolean;
  readonly workload: string;
  readonly namespace: string;
  readonly node: string;
  readonly health: 'healthy' | 'draining' | 'unhealthy';
  /** Name of a pod of a headless service; calls to `hostname.SERVICE…` are for it alone. */
  readonly hostname?: string;
  /** How to find out whether it is well, where whoever reports it does not know. */
  readonly probe?: Probe;
}
