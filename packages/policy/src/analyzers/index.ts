import type { Resource } from '../document.ts';
import type { Finding } from '../parse/finding.ts';
import { World, type Analyzer } from './analyzer.ts';
import { conflictingHosts } from './conflicting-hosts.ts';
import { customProviders } from './custom-providers.ts';
import { dryRunOnly } from './dry-run-only.ts';
import { emptySubsets } from './empty-subsets.ts';
import { gatewayOnly } from './gateway-only.ts';
import { headRequests } from './head-requests.ts';
import { hostPorts } from './host-ports.ts';
import { latencyThresholds } from './latency-thresholds.ts';
import { meshConfigs } from './mesh-configs.ts';
import { mtlsConflicts } from './mtls-conflicts.ts';
import { plaintextCallers } from './plaintext-callers.ts';
import { conflictingProtocols, unnamedProtocols } from './protocols.ts';
import { references } from './references.ts';
import { servicePorts } from './service-ports.ts';
import { sidecars } from './sidecars.ts';
import { splitRules } from './split-rules.ts';
import { tcpDenied } from './tcp-denied.ts';
import { telemetries } from './telemetries.ts';
import { telemetryProviders } from './telemetry-providers.ts';
import { failoverWithoutDetection, hiddenByPort, serverVerification } from './traffic-policies.ts';
import { uncheckedTokens } from './unchecked-tokens.ts';
import { unknownHosts } from './unknown-hosts.ts';
import { unknownSubsets } from './unknown-subsets.ts';
import { unmatchedSelectors } from './unmatched-selectors.ts';
import { unreachableRules } from './unreachable-rules.ts';
import { writtenPaths } from './written-paths.ts';

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
  unmatchedSelectors,
  plaintextCallers,
  hostPorts,
  writtenPaths,
  headRequests,
  tcpDenied,
  dryRunOnly,
  uncheckedTokens,
  customProviders,
  mtlsConflicts,
  servicePorts,
  telemetries,
  telemetryProviders,
  latencyThresholds,
];

/** Lints over a whole document of sound resources. They warn and inform; they never reject. */
export function analyze(resources: readonly Resource[], tell: (resource: Resource, finding: Finding) => void): void {
  const world = new World(resources);
  for (const analyzer of analyzers)
    analyzer(world, (resource, severity, code, path, message, hint) => tell(resource, { severity, code, path, message, hint }));
}
