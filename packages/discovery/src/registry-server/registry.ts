import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Clock, MeshError, systemClock } from '@inmesh/core';
import type { PolicySource, SourceUpdate } from '@inmesh/policy/source';
import { MemberWatch, takesMembers } from '../members/member-watch.ts';
import type { Registry } from '../registry.ts';
import type { Access } from './http.ts';
import { Link } from './link.ts';
import { Memory } from './memory.ts';
import { Registrant, type SelfRegistration } from './registration.ts';
import { serviceEntries } from './service-entries.ts';

export interface RegistryOptions {
  /** Where it listens: `http://registry:8500`, `https://…`. */
  readonly url: string | URL;
  /** Bearer token; a function is asked with each request. Default: INMESH_REGISTRY_TOKEN. */
  readonly token?: string | (() => string | undefined);
  /** PEM: whom to trust instead of the system's roots. Default: the file INMESH_REGISTRY_CA. */
  readonly ca?: string;
  /** Makes this process known there. Default: INMESH_REGISTER, such as `reviews:http=9080`, at INMESH_ADDRESS; else it stays a caller only. */
  readonly register?: SelfRegistration;
  /** Registered services that the policy does not declare can be called, too. Default true. */
  readonly services?: boolean;
  /** How long an endpoint that vanished takes calls while nobody else can. Default 30 s. */
  readonly keepMs?: number;
  /** How long a registry that lost its memory has to be told all again, until it is believed. Default 45 s, longer than a lease. */
  readonly settleMs?: number;
  /** From a request to its first word. Default 5 s. */
  readonly patienceMs?: number;
  /** Longest wait before it is tried again; the first is below a second, and each is uniform below twice as much. Default 30 s. */
  readonly longestWaitMs?: number;
  /** Between polls, where something on the way holds streams back. Default 5 s. */
  readonly pollMs?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
}

const SETTLE_MS = 45_000;

/**
 * A registry of `inmesh registry`: endpoints of the services that are called, over one connection, and if asked for this process among
 * them. While it cannot be reached the last lists stay. Throws MISUSE for settings that cannot mean anything.
 */
export function registryServer(options: RegistryOptions, env: Readonly<Record<string, string | undefined>> = process.env): Registry {
  const { services = true, keepMs, settleMs = SETTLE_MS, patienceMs = 5000, pollMs = 5000, longestWaitMs = 30_000, clock = systemClock, random = Math.random } = options; // prettier-ignore
  const access = accessOf(options, env);
  const name = access.url.origin + access.url.pathname.replace(/\/$/, '');
  const watches = new Map<string, Set<MemberWatch>>();
  const catalogs = new Set<() => void>();
  let failure = '';
  let unregistered = '';

  const tell = (host: string, watch: MemberWatch): void => {
    const members = memory.members(host);
    if (members !== undefined) watch.list(members ?? undefined);
  };
  const memory = new Memory(
    clock,
    settleMs,
    (host) => watches.get(host)?.forEach((watch) => tell(host, watch)),
    () => catalogs.forEach((hear) => hear()),
  );
  const everybody = (): MemberWatch[] => [...watches.values()].flatMap((of) => [...of]);
  const link = new Link(
    access,
    {
      meet: (epoch, index) => memory.meet(epoch, index),
      service: (answer) => {
        // One nobody wants any more may still be on its way.
        if (watches.has(answer.service)) memory.hear(answer);
      },
      catalog: (found) => memory.hearCatalog(found),
      current: (index) => {
        memory.reach(index);
        if (failure === '') return;
        failure = '';
        for (const [host, of] of watches) for (const watch of of) tell(host, watch);
        for (const hear of catalogs) hear();
      },
      failed: (reason) => {
        failure = `${name}: ${reason}`;
        for (const watch of everybody()) watch.fail(failure);
        for (const hear of catalogs) hear();
      },
    },
    { clock, random, patienceMs, pollMs, longestWaitMs },
  );
  const want = (): void => {
    link.want(new Set(watches.keys()), catalogs.size > 0);
    if (watches.size > 0 || catalogs.size > 0) return;
    memory.close();
    failure = '';
  };
  const wanted = options.register ?? registrationOf(env);
  const registrant =
    wanted === undefined ? undefined : new Registrant(access, wanted, { clock, random, tell: (reason) => (unregistered = reason) });

  return {
    name: `registry ${name}`,
    trouble: () =>
      [
        failure,
        memory.settling ? `${name} has lost what it knew: whom it knew before are kept for a while` : '',
        unregistered,
        registrant?.illness ?? '',
      ]
        .filter((one) => one !== '')
        .join('; '),
    resolver: {
      name: 'registry',
      handles: takesMembers,
      watch: (ref, onChange, tools) => {
        const { host } = ref.service;
        const watch = new MemberWatch(ref, onChange, { clock: tools.clock, keepMs });
        watches.set(host, (watches.get(host) ?? new Set()).add(watch));
        want();
        tell(host, watch);
        if (failure !== '') watch.fail(failure);
        return {
          close: () => {
            watch.close();
            const of = watches.get(host);
            of?.delete(watch);
            if (of === undefined || of.size > 0) return;
            // Not at once: a cluster whose policy changed closes one watch and opens the next.
            queueMicrotask(() => {
              if (watches.get(host)?.size !== 0) return;
              watches.delete(host);
              memory.forget(host);
              want();
            });
          },
        };
      },
    },
    ...(services ? { services: catalogSource(name, memory, catalogs, () => failure, want) } : {}),
    ...(registrant === undefined ? {} : { join: (me) => registrant.join(me), leave: () => registrant.leave() }),
    close: () => {
      registrant?.close();
      link.close();
      memory.close();
    },
  };
}

/** The registered services as a source of resources. */
function catalogSource(name: string, memory: Memory, catalogs: Set<() => void>, failure: () => string, want: () => void): PolicySource {
  return {
    name: `services of ${name}`,
    watch: (onUpdate) => {
      let told = '';
      const hear = (): void => {
        const update = updateOf(name, memory, failure());
        const words = update === undefined || update.ok ? (update?.version ?? '') : update.reason;
        if (update === undefined || words === told) return;
        told = words;
        onUpdate(update);
      };
      catalogs.add(hear);
      want();
      // What is known already is told, but not before this has returned.
      queueMicrotask(() => {
        if (catalogs.has(hear)) hear();
      });
      return {
        close: () => {
          catalogs.delete(hear);
          want();
        },
      };
    },
  };
}

function updateOf(name: string, memory: Memory, failure: string): SourceUpdate | undefined {
  if (failure !== '') return { ok: false, reason: failure, transient: true };
  if (memory.catalog === undefined) return undefined;
  const text = serviceEntries(memory.catalog, name);
  return {
    ok: true,
    texts: [{ file: `services of ${name}`, text }],
    version: createHash('sha256').update(text).digest('hex').slice(0, 12),
  };
}

function accessOf({ url, token, ca }: RegistryOptions, env: Readonly<Record<string, string | undefined>>): Access {
  if (typeof url === 'string' && !URL.canParse(url)) throw new MeshError('MISUSE', `registry "${url}" is no URL: write http://host:8500`);
  const target = new URL(url);
  if (target.protocol !== 'http:' && target.protocol !== 'https:')
    throw new MeshError('MISUSE', `registry ${target.protocol}//…: only http and https are spoken`);
  if (target.username !== '' || target.password !== '')
    throw new MeshError('MISUSE', 'a registry has no user and password: set INMESH_REGISTRY_TOKEN');
  const file = env['INMESH_REGISTRY_CA'] ?? '';
  const fixed = token ?? env['INMESH_REGISTRY_TOKEN'];
  return {
    url: target,
    token: typeof fixed === 'function' ? fixed : () => (fixed === '' ? undefined : fixed),
    ca: ca ?? (file === '' ? undefined : readRoots(file)),
  };
}

function readRoots(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new MeshError('MISUSE', `INMESH_REGISTRY_CA: ${(error as Error).message}`, { cause: error });
  }
}

/** `reviews:http=9080,admin=9090`. */
function registrationOf(env: Readonly<Record<string, string | undefined>>): SelfRegistration | undefined {
  const spec = env['INMESH_REGISTER'] ?? '';
  if (spec === '') return undefined;
  const match = /^([^:]+):([^:]+)$/.exec(spec);
  const ports = (match?.[2] ?? '').split(',').map((pair) => /^([^=]+)=(\d{1,5})$/.exec(pair.trim()));
  if (match === null || ports.includes(null))
    throw new MeshError('MISUSE', `INMESH_REGISTER is "${spec}", but must be SERVICE:NAME=PORT, as in reviews:http=9080`);
  const address = env['INMESH_ADDRESS'] ?? '';
  return {
    service: match[1]!.trim(),
    ports: Object.fromEntries(ports.map((pair) => [pair![1]!, Number(pair![2])])),
    ...(address === '' ? {} : { address }),
  };
}
