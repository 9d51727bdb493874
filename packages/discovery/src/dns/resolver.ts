import { isIP } from 'node:net';
import { addressOf, type Closeable, type Endpoint, type Resolution, type Resolver, type ServiceRef } from '@inmesh/core';
import type { EndpointSpec } from '@inmesh/policy';
import { type HostState, HostWatch } from './host.ts';
import { Damping } from '../damping.ts';
import type { Answer } from './answer.ts';
import { dnsLookup, isSrvName, type Lookup, type LookupOptions } from './lookup.ts';

/** `family` and `servers` are for the default look-up. */
export interface DnsResolverOptions extends Omit<LookupOptions, 'timeoutMs'> {
  /** Default: DNS servers of the system, then its own look-up (see `dnsLookup`). */
  readonly lookup?: Lookup;
  /** Between look-ups where an answer names no TTL (MeshConfig dnsRefreshRate); a function is asked each time. Default 60 s. */
  readonly refreshMs?: number | (() => number);
  /** A look-up that takes longer has failed. Default 10 s. */
  readonly timeoutMs?: number;
  /**
   * So long, and three times at least, a name that had addresses must be said to have none (NXDOMAIN, or no records) before that is
   * believed. Infinity: never. Default 60 s.
   */
  readonly confirmMs?: number;
  /** So long an address that is no longer among the answers drains: it takes calls only when nobody is healthy. Default 30 s. */
  readonly drainMs?: number;
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
 * `DNS_ROUND_ROBIN` (the first address only, LOGICAL_DNS) and `DYNAMIC_DNS`, once its wildcard has become a host. A name may be one
 * of SRV records (RFC 2782): ports, weights and priorities are then theirs. Names are looked up again when their TTL ends; a look-up
 * that fails keeps the list and says so. Throws RangeError for a server it cannot read.
 */
export function dnsResolver(options: DnsResolverOptions = {}): Resolver {
  const { refreshMs = 60_000, timeoutMs = 10_000, confirmMs = 60_000, drainMs = 30_000 } = options;
  const ask = options.lookup ?? dnsLookup({ family: options.family, servers: options.servers });
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
          const refresh = typeof refreshMs === 'number' ? () => refreshMs : refreshMs;
          hosts.set(name, (host = new HostWatch(name, { lookup: ask, clock, random, timeoutMs, confirmMs, refreshMs: refresh })));
        }
        return host;
      };
      const stateOf = (name: string): HostState => hosts.get(name)?.state ?? { answers: undefined, failure: undefined };
      const firstOnly = ref.service.resolution === 'dnsRoundRobin';
      const tell = teller(onChange);
      // Where only the first counts, servers rotate it, and the others are no less alive for it.
      const damping = new Damping<Endpoint>({
        clock,
        keyOf: ({ address }) => address,
        keepMs: firstOnly ? 0 : drainMs,
        onOver: () => update(),
      });
      const update = (): void => {
        const known = knownOf(members, names.map(stateOf), stateOf, firstOnly);
        if (known !== undefined) tell({ ...known, endpoints: damping.list(known.endpoints) });
      };
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
      return {
        close: () => {
          damping.close();
          watches.splice(0).forEach((watch) => watch.close());
        },
      };
    },
  };
}

/** The members a service names on this port; one without any is its own name. */
function membersOf({ service, port }: ServiceRef): Member[] {
  if (service.endpoints.length === 0) return [{ spec: undefined, host: service.host, port: port.number }];
  const ports = new Set(service.ports.map(({ name }) => name.toLowerCase()));
  return service.endpoints.flatMap((spec) => {
    // `_http._tcp.reviews.internal` is about the port called http, if there is one of that name.
    const about = isSrvName(spec.host) ? spec.host.slice(1, spec.host.indexOf('.')).toLowerCase() : '';
    if (ports.has(about) && about !== port.name.toLowerCase()) return [];
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
  if (states.some((state) => state.answers === undefined && state.failure === undefined)) return undefined;
  const endpoints = new Map<string, Endpoint>();
  for (const member of members) {
    const answers = isLiteral(member.host) ? [{ address: member.host, ttlMs: undefined }] : (stateOf(member.host).answers ?? []);
    // DNS servers rotate their answers: sorted, the same set is the same list. Round robin wants just that rotation.
    for (const answer of firstOnly ? answers.slice(0, 1) : answers.toSorted(byAddress)) {
      const endpoint = toEndpoint(member, answer);
      if (!endpoints.has(endpoint.address)) endpoints.set(endpoint.address, endpoint);
    }
  }
  return { endpoints: firstOnly ? [...endpoints.values()].slice(0, 1) : [...endpoints.values()], failure };
}

/** By priority first, so that of an address named twice the better one counts. */
function byAddress(a: Answer, b: Answer): number {
  if (a.priority !== b.priority) return (a.priority ?? 0) - (b.priority ?? 0);
  return a.address < b.address ? -1 : Number(a.address > b.address);
}

const NOWHERE = { region: '', zone: '', subzone: '' };

function toEndpoint({ spec, port: declared }: Member, { address: host, port = declared, weight = 1, priority = 0 }: Answer): Endpoint {
  const unix = host.startsWith(UNIX);
  return {
    address: unix ? host : addressOf(host, port),
    host: unix ? host.slice(UNIX.length) : host,
    port: unix ? 0 : port,
    labels: spec?.labels ?? {},
    locality: spec?.locality ?? NOWHERE,
    network: spec?.network ?? '',
    // What the document gives a member, its targets share out among themselves.
    weight: (spec?.weight ?? 1) * weight,
    ...(priority === 0 ? {} : { priority }),
    serviceAccount: spec?.serviceAccount ?? '',
    mtls: spec?.mtls ?? false,
    workload: spec?.workload ?? '',
    namespace: spec?.namespace ?? '',
    node: spec?.node ?? '',
    health: spec?.health ?? 'healthy',
    ...(spec?.probe === undefined ? {} : { probe: spec.probe }),
  };
}

/** Tells a list when it differs, a failure when it is a new one, and the list again when the failures are over. */
function teller(onChange: (resolution: Resolution) => void): (known: Known) => void {
  let list: string | undefined;
  let reason: string | undefined;
  return ({ endpoints, failure }) => {
    // Members never change within a watch: this is all that tells one list from another.
    const next = endpoints.map(({ address, weight, priority = 0, health }) => `${address} ${weight} ${priority} ${health}`).join();
    const recovered = failure === undefined && reason !== undefined;
    const news = failure !== reason;
    reason = failure;
    // Without an answer yet there is no list, rather than an empty one.
    const listed = (next !== list || recovered) && (list !== undefined || endpoints.length > 0 || failure === undefined);
    if (listed) {
      list = next;
      onChange({ state: 'bound', endpoints });
    }
    // Again after a list, which hides it.
    if (failure !== undefined && (news || listed)) onChange({ state: 'failed', reason: failure });
  };
}
