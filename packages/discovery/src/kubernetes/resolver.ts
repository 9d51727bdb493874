import { addressOf, type Endpoint, type Resolution, type Resolver, type ServiceRef, staticEndpoints } from '@inmesh/core';
import { Damping } from '../damping.ts';
import { tellAll } from './group.ts';
import { type MembersTools, MembersWatch } from './members.ts';
import { inScope, type Scope } from './scope.ts';

export interface ResolverOptions {
  readonly name: string;
  readonly scope: Scope;
  /** Hosts of services that are not called `NAME.NAMESPACE.svc.…`, and the Service (`namespace/name`) that serves each. */
  readonly hosts: Readonly<Record<string, string>>;
  readonly priority: number;
}

/** What is followed at the moment, for status. */
export interface FollowingResolver extends Resolver {
  readonly troubles: () => Iterable<string>;
}

/** Endpoints of the Services that are called, as their EndpointSlices tell them. Ports of one Service share what is followed. */
export function sliceResolver({ name, scope, hosts, priority }: ResolverOptions, tools: MembersTools): FollowingResolver {
  const watches = new Map<string, MembersWatch>();
  const place = ({ service: { host, location } }: ServiceRef): readonly [namespace: string, name: string] | undefined => {
    const given = hosts[host];
    const [, ownName, ownNamespace] = /^([^.*]+)\.([^.]+)\.svc\./.exec(host) ?? [];
    const [namespace, service] = given === undefined ? [ownNamespace, ownName] : given.split('/');
    if (namespace === undefined || service === undefined || !inScope(scope, namespace)) return undefined;
    // An ExternalName is another name of a place elsewhere.
    return given === undefined && location === 'external' ? undefined : [namespace, service];
  };
  return {
    name,
    priority,
    handles: (ref) => place(ref) !== undefined,
    watch: (ref, onChange, { clock }) => {
      const [namespace, service] = place(ref)!;
      const key = `${namespace}/${service}`;
      let members = watches.get(key);
      if (members === undefined) watches.set(key, (members = new MembersWatch(namespace, service, tools)));
      const followed = members;
      const damping = new Damping<Endpoint>({ clock, keyOf: ({ address }) => address, onOver: () => update() });
      const tell = teller(onChange);
      const update = (): void => {
        const { state, endpoints, spoken, troubles } = followed.members;
        const trouble = tellAll(troubles);
        if (state === 'absent') return tell('absent', trouble);
        if (state === 'unknown') return tell(trouble === '' ? undefined : virtualEndpoints(ref), trouble);
        const listed = staticEndpoints({ ...ref.service, endpoints }, ref.port.number);
        tell(damping.list(listed, { isExplained: ({ address }) => spoken.has(address) }), trouble);
      };
      const listening = followed.listen(update);
      return {
        close: () => {
          listening.close();
          damping.close();
          if (followed.idle && watches.get(key) === followed) watches.delete(key);
        },
      };
    },
    *troubles() {
      for (const { members } of watches.values()) yield* members.troubles;
    },
  };
}

/**
 * While the API server has never said who the members are: the Service's virtual address, behind which kube-proxy knows them. Undefined
 * where there is none.
 */
function virtualEndpoints({ service, port }: ServiceRef): readonly Endpoint[] | undefined {
  const [host] = service.addresses;
  if (host === undefined || !service.resource.startsWith('Service ')) return undefined;
  const nowhere = { region: '', zone: '', subzone: '' };
  const rest = { labels: {}, locality: nowhere, network: '', weight: 1, serviceAccount: '', mtls: false, workload: '', node: '' } as const;
  const { namespace } = service;
  return [{ address: addressOf(host, port.number), host, port: port.number, namespace, health: 'healthy', ...rest }];
}

/** Tells a list when it differs, a failure when it is a new one, and the list again when the failures are over. */
function teller(onChange: (resolution: Resolution) => void): (list: readonly Endpoint[] | 'absent' | undefined, trouble: string) => void {
  let told = '';
  let reason = '';
  return (list, trouble) => {
    const text = list === undefined ? told : JSON.stringify(list);
    const recovered = trouble === '' && reason !== '';
    const news = trouble !== reason;
    reason = trouble;
    if (list !== undefined && (text !== told || recovered)) {
      told = text;
      onChange(list === 'absent' ? { state: 'absent' } : { state: 'bound', endpoints: list });
    }
    if (news && trouble !== '') onChange({ state: 'failed', reason: trouble });
  };
}
