import type { ResourceOf } from '../kinds/index.ts';
import type { JwtRule, TokenLocation } from '../inbound.ts';
import type { Workload } from '../model.ts';
import { attachedTo } from './attached.ts';
import { compareText, labelOf } from './order.ts';

type RequestAuthentication = ResourceOf<'RequestAuthentication'>;
type Given = RequestAuthentication['spec']['jwtRules'][number];

/** The token rules of all RequestAuthentications that hold for a workload, by issuer (Istio policy_applier.go merges them so). */
export const jwtRulesFor = (policies: readonly RequestAuthentication[], workload: Workload, rootNamespace: string): readonly JwtRule[] =>
  attachedTo(policies, workload, rootNamespace)
    .flatMap((policy) => policy.spec.jwtRules.map((rule) => ruleOf(rule, labelOf(policy))))
    .sort((a, b) => compareText(a.issuer, b.issuer) || compareText(a.resource, b.resource));

const ruleOf = (given: Given, resource: string): JwtRule => ({
  resource,
  issuer: given.issuer ?? '',
  audiences: [...new Set(given.audiences)].sort(compareText),
  keys: keysOf(given),
  locations: locationsOf(given),
  outputPayloadToHeader: given.outputPayloadToHeader?.toLowerCase() ?? null,
  outputClaimToHeaders: given.outputClaimToHeaders.map(({ header, claim }) => ({ header: header.toLowerCase(), claim: claim.split('.') })),
  forwardOriginalToken: given.forwardOriginalToken,
  timeoutMs: given.timeout,
  spaceDelimitedClaims: [...new Set(given.spaceDelimitedClaims)].sort(compareText),
});

function keysOf({ jwksUri, jwks_uri, jwks }: Given): JwtRule['keys'] {
  const uri = jwksUri ?? jwks_uri;
  if (uri !== undefined) return { kind: 'uri', uri };
  return jwks === undefined ? { kind: 'discovery' } : { kind: 'inline', jwks };
}

const DEFAULT_LOCATIONS: readonly TokenLocation[] = [
  { in: 'header', name: 'authorization', prefix: 'Bearer ' },
  { in: 'query', name: 'access_token' },
];

/** Where a rule names no place at all, the two of RFC 6750 hold. */
function locationsOf({ fromHeaders, fromParams, fromCookies }: Given): readonly TokenLocation[] {
  const locations: TokenLocation[] = [
    ...fromHeaders.map(({ name, prefix = '' }) => ({ in: 'header', name: name.toLowerCase(), prefix }) as const),
    ...fromParams.map((name) => ({ in: 'query', name }) as const),
    ...fromCookies.map((name) => ({ in: 'cookie', name }) as const),
  ];
  return locations.length === 0 ? DEFAULT_LOCATIONS : locations;
}
