import { isIP } from 'node:net';
import { addressOf, type Closeable, type Endpoint, type Resolution, type Resolver, type ServiceRef } from '@inmesh/core';
import type { EndpointSpec } from '@inmesh/policy';
import { type HostState, HostWatch } from './host.ts';
import { dnsLookup, type Family, type Lookup } from './lookup.ts';

export interface DnsResolverOptions {
  /** Default: DNS servers of the system, then its own look-up (see `dnsLookup`). */
  readonly lookup?: Lookup;
  /** Default V4_PREFERRED; only for the default look-up. */
  readonly family?: Family;
  /** Between look-ups where an answer names no TTL (MeshConfig dnsRefreshRate); a function is asked each time. Default 60 s. */
  readonly refreshMs?: number | (() => number);
  /** A look-up that takes longer has failed. Default 10 s. */
  readonly timeoutMs?: number;
}

/** An endpoint that is not a name yet to be looked up, or one that is. */
interface Member {
  readonly spec: EndpointSpec | undefined;
  readonly host: string;
  readonly port: number;
}

const UNIX = 'unix://';

/**
 * Endpoints of services whose members are DNS names: ServiceEntry `resolution: DNS` (every address is an endpoint, Envoy's STRICT_DNS),
 * `DNS_ROUND_ROBIN` (the first address only, LOGICAL_DNS) and `DYNAMIC_DNS`, once its wildcard has become a host.
 * Names are looked up again when their TTL ends; a failed look-up keeps the list and says so.
 */
export function dnsResolver({ lookup, family, refreshMs = 60_000, timeoutMs = 10_000 }: DnsResolverOptions = {}): Resolver {
  const ask = lookup ?? dnsLookup({ family });
  const hosts = new Map<string, HostWatch>();
  return {
    name: 'dns',
    handles: ({ service: { resolution } }) => resolution === 'dns' || resolution === 'dnsRoundRobin' || resolution === 'dynamicDns',
    watch: (ref, onChange, { clock, random }) => {
      const members = membersOf(ref);
      const names = [...new Set(members.filter(({ host }) => !isLiteral(host)).map(({ host }) => host))];
      const wildcard = names.find((name) => name.includes('*'));
      if (wildcard !== undefined) {
        onChange({ state: 'failed', reason: `${wildcard} is a pattern and cannot be looked up: call one of its hosts` });
        return { close: () => {} };
      }
      const watches: Closeable[] = [];
      const hostOf = (name: string): HostWatch => {
        let host = hosts.get(name);
        if (host === undefined) {
          const options = { lookup: ask, clock, random, timeoutMs, refreshMs: typeof refreshMs === 'number' ? () => refreshMs : refreshMs };
          hosts.set(name, (host = new HostWatch(name, options)));
        }
        return host;
      };
      const stateOf = (name: string): HostState => hosts.get(name)?.state ?? { addresses: undefined, failure: undefined };
      const firstOnly = ref.service.resolution === 'dnsRoundRobin';
      const tell = teller(onChange);
      const update = (): void => tell(knownOf(members, names.map(stateOf), stateOf, firstOnly));
      for (const name of names) {
        const host = hostOf(name);
        const watch = host.listen(update);
        watches.push({
          close: () => {
            watch.close();
            if (host.idle && hosts.get(name) === host) hosts.delete(name);
          },
        });
      }
      // Literals alone need no waiting, nor names another cluster already knows.
      update();
      return { close: () => watches.splice(0).forEach((watch) => watch.close()) };
    },
  };
}

/** The members a service names on this port; one without any is its own name. */
function membersOf({ service, port }: ServiceRef): Member[] {
  if (service.endpoints.length === 0) return [{ spec: undefined, host: service.host, port: port.number }];
  return service.endpoints.flatMap((spec) => {
    const dial = spec.ports[port.number] ?? (Object.keys(spec.ports).length === 0 ? port.number : undefined);
    // One that names its ports and not this one does not listen here.
    if (dial === undefined && !spec.host.startsWith(UNIX)) return [];
    return [{ spec, host: spec.host.startsWith('[') ? spec.host.slice(1, -1) : spec.host, port: dial ?? 0 }];
  });
}

const isLiteral = (host: string): boolean => isIP(host) !== 0 || host.startsWith(UNIX);

interface Known {
  readonly endpoints: readonly Endpoint[];
  /** Why the list may be old or lack members. */
  readonly failure: string | undefined;
}

/** What the answers so far amount to; undefined: wait for more. */
function knownOf(
  members: readonly Member[],
  states: readonly HostState[],
  stateOf: (name: string) => HostState,
  firstOnly: boolean,
): Known | undefined {
  const failure = states.find(({ failure: reason }) => reason !== undefined)?.failure;
  // Until each name was answered or has failed the list is not complete; a part of it would draw all the load.
  if (states.some((state) => state.addresses === undefined && state.failure === undefined)) return undefined;
  const endpoints = new Map<string, Endpoint>();
  for (const member of members) {
    const addresses = isLiteral(member.host) ? [member.host] : (stateOf(member.host).addresses ?? []);
    // DNS servers rotate their answers: sorted, the same set is the same list. Round robin wants just that rotation.
    for (const address of firstOnly ? addresses.slice(0, 1) : addresses.toSorted()) {
      const endpoint = toEndpoint(member, address);
      if (!endpoints.has(endpoint.address)) endpoints.set(endpoint.address, endpoint);
    }
  }
  return { endpoints: firstOnly ? [...endpoints.values()].slice(0, 1) : [...endpoints.values()], failure };
}

const NOWHERE = { region: '', zone: '', subzone: '' };

function toEndpoint({ spec, port }: Member, host: string): Endpoint {
  const unix = host.startsWith(UNIX);
  return {
    address: unix ? host : addressOf(host, port),
    host: unix ? host.slice(UNIX.length) : host,
    port: unix ? 0 : port,
    labels: spec?.labels ?? {},
    locality: spec?.locality ?? NOWHERE,
    network: spec?.network ?? '',
    weight: spec?.weight ?? 1,
    serviceAccount: spec?.serviceAccount ?? '',
    mtls: spec !== undefined && spec.mtls && !spec.plaintextPorts.includes(port),
    workload: spec?.workload ?? '',
    namespace: spec?.namespace ?? '',
    node: spec?.node ?? '',
    health: spec?.health ?? 'healthy',
    ...(spec?.probe === undefined ? {} : { probe: spec.probe }),
  };
}

/** Tells a list when it differs, a failure when it is a new one, and the list again when the failures are over. */
function teller(onChange: (resolution: Resolution) => void): (known: Known | undefined) => void {
  let list: string | undefined;
  let reason: string | undefined;
  return (known) => {
    if (known === undefined) return;
    const { endpoints, failure } = known;
    // Members never change within a watch, so the addresses tell a list from another.
    const next = endpoints.map(({ address }) => address).join();
    const recovered = failure === undefined && reason !== undefined;
    const news = failure !== reason;
    reason = failure;
    if ((next !== list || recovered) && (endpoints.length > 0 || failure === undefined)) {
      list = next;
      onChange({ state: 'bound', endpoints });
    }
    if (news && failure !== undefined) onChange({ state: 'failed', reason: failure });
  };
}
