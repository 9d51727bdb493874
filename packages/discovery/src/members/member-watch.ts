import { type Clock, type Closeable, type Endpoint, type Resolution, type ServiceRef, staticEndpoints } from '@inmesh/core';
import { type Member, memberEndpoint } from '@inmesh/policy';
import { Damping } from '../damping.ts';

/** A member and whose it is. */
export interface KnownMember {
  readonly member: Member;
  readonly workload: string;
  readonly namespace: string;
}

export interface MemberWatchOptions {
  readonly clock: Clock;
  /** Default 30 s. */
  readonly keepMs?: number | undefined;
}

/** What one cluster is told of the members of its service: endpoints of its port, once for each change, damped. */
export class MemberWatch implements Closeable {
  readonly ref: ServiceRef;
  readonly #onChange: (resolution: Resolution) => void;
  readonly #damping: Damping<Endpoint>;
  #registered = false;
  #told = '';
  #closed = false;

  constructor(ref: ServiceRef, onChange: (resolution: Resolution) => void, { clock, keepMs }: MemberWatchOptions) {
    this.ref = ref;
    this.#onChange = onChange;
    this.#damping = new Damping({ clock, keepMs, keyOf: ({ address }) => address, onOver: () => this.#tell(this.#damping.current()) });
  }

  /** The complete list; undefined: the registry does not know the service. */
  list(members: readonly KnownMember[] | undefined): void {
    this.#registered = members !== undefined;
    this.#tell(this.#damping.list(members === undefined ? [] : endpointsOf(this.ref, members)));
  }

  /** The list stays; before there was any, calls wait no longer for it. */
  fail(reason: string): void {
    this.#say({ state: 'failed', reason });
  }

  close(): void {
    this.#closed = true;
    this.#damping.close();
  }

  #tell(endpoints: readonly Endpoint[]): void {
    if (!this.#registered && endpoints.length === 0) this.#say({ state: 'absent' });
    else this.#say({ state: 'bound', endpoints });
  }

  #say(resolution: Resolution): void {
    const words = JSON.stringify(resolution);
    if (this.#closed || words === this.#told) return;
    this.#told = words;
    this.#onChange(resolution);
  }
}

/** Each address once: the same machine may have registered under two names. */
function endpointsOf({ service, port }: ServiceRef, members: readonly KnownMember[]): readonly Endpoint[] {
  const specs = members.flatMap(({ member, workload, namespace }) => {
    const spec = memberEndpoint(member, [port], { location: service.location, workload, namespace });
    return spec === undefined ? [] : [spec];
  });
  const endpoints = new Map<string, Endpoint>();
  for (const endpoint of staticEndpoints({ ...service, endpoints: specs }, port.number))
    if (!endpoints.has(endpoint.address)) endpoints.set(endpoint.address, endpoint);
  return [...endpoints.values()];
}

/** Services whose members can be listed: not those whose caller says where he wants to go. */
export const takesMembers = ({ service: { resolution, host } }: ServiceRef): boolean =>
  resolution !== 'none' && resolution !== 'dynamicDns' && !host.startsWith('*');

/** The names under which a list may stand: the host, and `name.namespace` of a service of the cluster. */
export function namesOf({ host }: ServiceRef['service']): readonly string[] {
  const at = host.indexOf('.svc.');
  return at < 0 ? [host] : [host, host.slice(0, at)];
}
