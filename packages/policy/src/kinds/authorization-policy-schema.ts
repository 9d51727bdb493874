import * as v from 'valibot';
import type { Attribute } from '../inbound.ts';
import { defaulted, list, listOf, optional, required } from '../schema/fields.ts';
import { dnsLabel, oneOf } from '../schema/scalars.ts';
import { selector, targets } from './parts/attachment.ts';

const S = { honoured: 'S' } as const;
const HTTP_ONLY = 'A connection without HTTP has none.';

/** Values, any of which fits; empty: not asked for. */
const values = (meaning: string) => list(v.string(), meaning, S);

const accounts = (meaning: string) => listOf(16, 'service accounts', v.string(), meaning, S);

const source = v.object({
  principals: values('Identities of callers, `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` without scheme; `*`: any.'),
  notPrincipals: values('Identities callers must not have. A caller without one passes.'),
  requestPrincipals: values(`Subjects of tokens, \`ISSUER/SUBJECT\`; \`*\`: any valid token. ${HTTP_ONLY}`),
  notRequestPrincipals: values('Subjects of tokens callers must not have. A caller without a token passes.'),
  namespaces: values('Namespaces of callers, by their identities.'),
  notNamespaces: values('Namespaces callers must not be in. A caller without identity passes.'),
  serviceAccounts: accounts(
    'Service accounts of callers, `NAMESPACE/NAME`, or `NAME` for one of the own namespace. No wildcards. Excludes principals and namespaces.',
  ),
  notServiceAccounts: accounts('Service accounts callers must not have. A caller without identity passes.'),
  ipBlocks: values('Addresses or CIDR ranges of the peer of the connection.'),
  notIpBlocks: values('Addresses or CIDR ranges the peer must not be in.'),
  remoteIpBlocks: values('Addresses or CIDR ranges of the client, as X-Forwarded-For tells it behind trusted proxies.'),
  notRemoteIpBlocks: values('Addresses or CIDR ranges the client must not be in.'),
  trustDomains: values('Trust domains of callers; one `*` at the beginning or the end.'),
  notTrustDomains: values('Trust domains callers must not be of. A caller without identity passes.'),
});

const operation = v.object({
  hosts: values(`Host header, port included, in any case: \`example.com\` is not \`example.com:8080\`. ${HTTP_ONLY}`),
  notHosts: values('Host headers calls must not have.'),
  ports: values('Ports of the workload (not of the service) the call arrives at.'),
  notPorts: values('Ports of the workload the call must not arrive at.'),
  methods: values(`HTTP methods. ${HTTP_ONLY}`),
  notMethods: values('HTTP methods calls must not have.'),
  paths: values(
    `Paths without query, as normalised: \`/a\`, \`/a/*\`, \`*.html\`, \`*\`, or templates with \`{*}\` (one segment) and \`{**}\` (any number, the last operator). ${HTTP_ONLY}`,
  ),
  notPaths: values('Paths calls must not have.'),
});

const condition = v.object({
  key: required(
    v.string(),
    'What is asked of the call, such as `request.headers[x-user]`, `source.ip` or `request.auth.claims[group]`.',
    S,
  ),
  values: values('Any of these fits.'),
  notValues: values('None of these may fit. A call without the attribute passes.'),
});

const MOST = 512;
const empty = 'is empty\nadd an entry, or remove the field: without it every call fits';

const rule = v.object({
  from: optional(
    v.pipe(
      v.array(v.object({ source: required(source, 'Who calls; all fields must fit.', S) })),
      v.minLength(1, empty),
      v.maxLength(MOST, `holds more than ${MOST} sources`),
    ),
    'Who may call, any of these.',
    { default: 'everybody', ...S },
  ),
  to: optional(
    v.pipe(v.array(v.object({ operation: required(operation, 'What is called; all fields must fit.', S) })), v.minLength(1, empty)),
    'What may be called, any of these.',
    { default: 'everything', ...S },
  ),
  when: list(condition, 'Further conditions, all of which must hold.', S),
});

/** Fields of an AuthorizationPolicy. */
export const authorizationPolicySchema = v.object({
  selector,
  ...targets,
  action: defaulted(
    oneOf('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
    'ALLOW',
    'ALLOW: a workload with such policies takes only calls one of them matches. DENY: calls it matches are refused, whatever allows them. AUDIT: calls it matches are reported. CUSTOM: the provider decides about them; until one can be asked they are refused.',
    S,
  ),
  provider: optional(
    v.object({ name: required(dnsLabel, 'Name of the extension provider.', S) }),
    'Who decides about calls that match. With action CUSTOM only.',
    S,
  ),
  rules: listOf(
    MOST,
    'rules',
    rule,
    'The policy matches a call if any of these does; `{}` matches every call. ALLOW without rules allows nothing.',
    S,
  ),
});

export type AuthorizationPolicySpec = v.InferOutput<typeof authorizationPolicySchema>;
export type PolicyRule = AuthorizationPolicySpec['rules'][number];
export type PolicySource = v.InferOutput<typeof source>;
export type PolicyOperation = v.InferOutput<typeof operation>;

/** A field, the field of what must not fit, and the attribute both are about. */
export interface Pair<Name extends string> {
  readonly field: Name;
  readonly not: Name;
  readonly attribute: PlainAttribute;
}
type PlainAttribute = Exclude<
  Attribute,
  { readonly header: string } | { readonly claim: readonly string[] } | { readonly key: string }
>['name'];

/** Fields of `from[].source`. */
export const SOURCE_FIELDS: readonly Pair<keyof PolicySource>[] = [
  { field: 'principals', not: 'notPrincipals', attribute: 'source.principal' },
  { field: 'requestPrincipals', not: 'notRequestPrincipals', attribute: 'request.auth.principal' },
  { field: 'namespaces', not: 'notNamespaces', attribute: 'source.namespace' },
  { field: 'serviceAccounts', not: 'notServiceAccounts', attribute: 'source.serviceAccount' },
  { field: 'ipBlocks', not: 'notIpBlocks', attribute: 'source.ip' },
  { field: 'remoteIpBlocks', not: 'notRemoteIpBlocks', attribute: 'remote.ip' },
  { field: 'trustDomains', not: 'notTrustDomains', attribute: 'source.trustDomain' },
];

/** Fields of `to[].operation`. */
export const OPERATION_FIELDS: readonly Pair<keyof PolicyOperation>[] = [
  { field: 'hosts', not: 'notHosts', attribute: 'host' },
  { field: 'ports', not: 'notPorts', attribute: 'destination.port' },
  { field: 'methods', not: 'notMethods', attribute: 'method' },
  { field: 'paths', not: 'notPaths', attribute: 'path' },
];
