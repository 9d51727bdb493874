import { kinds } from '../kinds/index.ts';
import type { Kind } from '../kinds/kind.ts';

/** Whether a kind is obeyed, known but not obeyed yet, unknown although its group is ours, or somebody else's. */
export type Standing =
  | { readonly is: 'ours'; readonly kind: Kind }
  | { readonly is: 'version'; readonly kind: Kind }
  | { readonly is: 'later'; readonly why: string }
  /** guards: kinds of the group keep callers out, so that none may be lost. */
  | { readonly is: 'unknown'; readonly known: readonly string[]; readonly guards: boolean }
  | { readonly is: 'foreign'; readonly name: string };

const byName = new Map(kinds.map((kind) => [`${kind.group}/${kind.kind}`, kind]));

const OUR_GROUPS: ReadonlySet<string> = new Set([
  'networking.istio.io', 'security.istio.io', 'telemetry.istio.io', 'extensions.istio.io', 'gateway.networking.k8s.io', 'inmesh.dev',
]); // prettier-ignore

const LATER = new Map([
  ['networking.istio.io/EnvoyFilter', 'there is no Envoy to configure'],
  ['networking.istio.io/ProxyConfig', 'there is no proxy to configure'],
  ['extensions.istio.io/WasmPlugin', 'there is no proxy to extend'],
  ['gateway.networking.k8s.io/Gateway', 'nothing plays the gateway'],
  ['gateway.networking.k8s.io/GatewayClass', 'nothing plays the gateway'],
  ['gateway.networking.k8s.io/ListenerSet', 'nothing plays the gateway'],
  ['gateway.networking.k8s.io/UDPRoute', 'UDP is not routed'],
]);

export function standing(apiVersion: string, kind: string): Standing {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  const name = `${group}/${kind}`;
  const ours = byName.get(name);
  if (ours !== undefined) return { is: ours.versions.includes(version) ? 'ours' : 'version', kind: ours };
  const why = LATER.get(name);
  if (why !== undefined) return { is: 'later', why };
  if (!OUR_GROUPS.has(group)) return { is: 'foreign', name: `${group === '' ? 'core' : group}/${kind}` };
  const known = [...byName.keys(), ...LATER.keys()].filter((one) => one.startsWith(`${group}/`)).map((one) => one.slice(group.length + 1));
  return { is: 'unknown', known, guards: group === 'security.istio.io' };
}
