import type { Mesh, Placement, Wire } from '@inmesh/core';
import type { ClusterPolicy } from '@inmesh/policy';
import type { Credentials } from './credentials.ts';
import { type MutualPlan, noIdentity, secureNaming, servernameOf, wantsMutual } from './mutual.ts';
import { planTls, type TlsPlan } from './tls.ts';

type Identity = MutualPlan['identity'];

/** How connections for an attempt are secured: by the workload's certificate, as the policy says, or not at all. */
export interface ConnectionPlan {
  /** The certificate they are made with; undefined where it is not the workload's. */
  readonly identity: Identity | undefined;
  /** Plans of one endpoint that are equal have equal keys; certificates come and go under one key. */
  readonly key: string;
  readonly tls: TlsPlan | undefined;
}

/** Asked for each call. Throws CONNECT_FAILED where a policy demands the workload's certificate and there is none. */
export function planConnection(
  credentials: Credentials | undefined,
  placement: Placement,
  scheme: string,
  authority: string,
): ConnectionPlan {
  const { policy, endpoint } = placement;
  const identity = wantsMutual(policy, endpoint, scheme) ? credentials?.identity() : undefined;
  if (identity !== undefined) return { identity, key: 'mutual', tls: undefined };
  if (policy.tls.mode === 'ISTIO_MUTUAL') throw noIdentity();
  const tls = planTls(policy, scheme, authority);
  return { identity, key: tls === undefined ? 'plain' : tls.key, tls };
}

/** What connections depend on. Equal text, same connections. */
function settingsOf({ policy, endpoint }: Placement, { identity }: ConnectionPlan, mesh: Mesh): string {
  const { connectionsPerEndpoint, trustDomain, trustDomainAliases } = mesh.settings;
  const proven =
    identity === undefined ? [] : [identity.version, trustDomain, trustDomainAliases, endpoint.namespace, endpoint.serviceAccount];
  return JSON.stringify([policy.connection, policy.tls, policy.http, connectionsPerEndpoint, ...proven]);
}

/** What a new connection is made by; undefined: in plaintext. */
export function tlsOf(
  { policy, endpoint }: Placement,
  plan: ConnectionPlan,
  mesh: Mesh,
  credentials: Credentials | undefined,
): TlsPlan | MutualPlan | undefined {
  const { identity, tls } = plan;
  if (identity === undefined) return tls;
  return {
    identity,
    verifier: credentials!.verifier,
    clock: mesh.clock,
    servername: servernameOf(policy),
    refuses: secureNaming(policy, endpoint, mesh.settings),
  };
}

/** Connections to one endpoint, with what they were made for. */
export interface KeptWire extends Wire {
  policy: ClusterPolicy;
  identity: Identity | undefined;
  readonly settings: string;
}

/** Names and settings under which one endpoint is kept connected: a wildcard host would have no end of them. */
const WIRES = 64;

/** The connections to an endpoint by a key of the transport's own, made anew where a policy, or the workload's certificate, changed what they depend on. */
export function keptWire<W extends KeptWire>(
  placement: Placement,
  key: string,
  plan: ConnectionPlan,
  mesh: Mesh,
  make: (settings: string) => W,
): W {
  const { policy, wires } = placement;
  const { identity } = plan;
  const wire = wires.get(key) as W | undefined;
  if (wire !== undefined && wire.policy === policy && wire.identity === identity) return wire;
  const settings = settingsOf(placement, plan, mesh);
  if (wire !== undefined && wire.settings === settings) {
    // The document changed, these settings did not: remember the new one so that the next call asks no further.
    wire.policy = policy;
    wire.identity = identity;
    return wire;
  }
  // After a rotation too: calls under way finish on the connections of the old certificate, no new one begins there.
  wire?.close();
  if (wire === undefined && wires.size >= WIRES) {
    // A Map keeps the order of insertion: the oldest makes room. Calls on it finish.
    const [oldest, left] = [...wires][0]!;
    wires.delete(oldest);
    left.close();
  }
  const made = make(settings);
  wires.set(key, made);
  return made;
}
