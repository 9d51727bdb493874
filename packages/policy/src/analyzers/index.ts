import type { Resource } from '../document.ts';
import type { Finding } from '../parse/finding.ts';
import { World, type Analyzer } from './analyzer.ts';
import { conflictingHosts } from './conflicting-hosts.ts';
import { emptySubsets } from './empty-subsets.ts';
import { gatewayOnly } from './gateway-only.ts';
import { meshConfigs } from './mesh-configs.ts';
import { conflictingProtocols, unnamedProtocols } from './protocols.ts';
import { references } from './references.ts';
import { sidecars } from './sidecars.ts';
import { splitRules } from './split-rules.ts';
import { failoverWithoutDetection, hiddenByPort, serverVerification } from './traffic-policies.ts';
import { unknownHosts } from './unknown-hosts.ts';
import { unknownSubsets } from './unknown-subsets.ts';
import { unreachableRules } from './unreachable-rules.ts';

const analyzers: readonly Analyzer[] = [
  unknownHosts,
  unknownSubsets,
  emptySubsets,
  references,
  conflictingHosts,
  unreachableRules,
  splitRules,
  sidecars,
  serverVerification,
  failoverWithoutDetection,
  hiddenByPort,
  conflictingProtocols,
  unnamedProtocols,
  gatewayOnly,
  meshConfigs,
];

/** Lints over a whole document of sound resources. They warn and inform; they never reject. */
export function analyze(resources: readonly Resource[], tell: (resource: Resource, finding: Finding) => void): void {
  const world = new World(resources);
  for (const analyzer of analyzers)
    analyzer(world, (resource, severity, code, path, message, hint) => tell(resource, { severity, code, path, message, hint }));
}
