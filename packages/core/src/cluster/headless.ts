import type { Service } from '@inmesh/policy';
import type { EndpointState } from '../endpoint/state.ts';
import type { Picker } from '../kind.ts';

/**
 * A pod of a headless service can be called by its own name (`db-0.db.shop.svc…`, as StatefulSets promise): such a call is
 * for that endpoint alone, ejected or not, since nobody else can answer for it. All other calls are balanced as usual.
 */
export function withPodNames<P extends Picker>(picker: P, members: readonly EndpointState[], { headless, name }: Service): P {
  if (!headless) return picker;
  const pods = new Map<string, EndpointState>();
  for (const state of members) if (state.endpoint.hostname !== undefined) pods.set(state.endpoint.hostname, state);
  if (pods.size === 0) return picker;
  const named = (host: string): EndpointState | undefined => {
    const dot = host.indexOf('.');
    const pod = dot < 0 ? undefined : pods.get(host.slice(0, dot));
    // `db.shop` is the service in its namespace, not a pod called db.
    const rest = host.slice(dot + 1);
    return pod !== undefined && (rest === name || rest.startsWith(`${name}.`)) ? pod : undefined;
  };
  return { ...picker, pick: (exchange) => named(exchange.call.host) ?? picker.pick(exchange) };
}
