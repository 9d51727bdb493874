import * as v from 'valibot';
import { defaulted, documented, filled, flag, list, mapOf, oneLine, optional, required, text } from '../schema/fields.ts';
import {
  duration,
  exportTarget,
  host,
  labels,
  oneOf,
  percent,
  percentNumber,
  port,
  positiveDuration,
  regex,
  whole,
} from '../schema/scalars.ts';
import { originMatch, uriMatch, valueMatch } from '../schema/string-match.ts';
import { retries } from './parts/retries.ts';
import { destination } from './parts/selector.ts';

const headerOperations = v.object({
  set: mapOf(oneLine, 'Headers to overwrite.', { honoured: 'HGW' }),
  add: mapOf(oneLine, 'Headers to append.', { honoured: 'HGW' }),
  remove: list(v.string(), 'Headers to remove.', { honoured: 'HGW' }),
});

const headers = v.object({
  request: optional(headerOperations, 'Before the request is sent.', { honoured: 'HGW' }),
  response: optional(headerOperations, 'Before the response is handed over.', { honoured: 'HGW' }),
});

const callers = {
  port: optional(port, 'Port the caller addresses.', { default: 'any', honoured: 'HGWT' }),
  sourceLabels: v.optional(documented(labels, 'Labels the calling workload must carry.', { honoured: 'HGWT' }), {}),
  sourceNamespace: text('Namespace of the calling workload.', { default: 'any', honoured: 'HGWT' }),
  gateways: list(v.string(), 'Where the block applies, instead of the list of the resource; `mesh` is every workload.', {
    honoured: 'HGWT',
  }),
};

const httpMatch = v.object({
  name: text('Name of the block; appended to the name of the route.', { honoured: 'HGW' }),
  uri: optional(uriMatch, 'Path of the call, without its query.', { default: 'any', honoured: 'HGW' }),
  scheme: optional(valueMatch, 'Scheme of the URL.', { default: 'any', honoured: 'HGW' }),
  method: optional(valueMatch, 'HTTP method.', { default: 'any', honoured: 'HGW' }),
  authority: optional(valueMatch, 'Host header as sent, port included.', { default: 'any', honoured: 'HGW' }),
  headers: mapOf(valueMatch, 'Headers that must match, all of them; `{}`: must be present.', { honoured: 'HGW' }),
  withoutHeaders: mapOf(valueMatch, 'Headers that must not match; a missing header counts as empty. `{}`: must be absent.', {
    honoured: 'HGW',
  }),
  queryParams: mapOf(valueMatch, 'Query parameters that must match, all of them.', { honoured: 'HW' }),
  ignoreUriCase: flag('Compare uri exact and prefix without regard to case.', { honoured: 'HGW' }),
  ...callers,
  statPrefix: text('Prefix of extra metrics.', { notHonoured: 'metrics are labelled by route name instead' }),
});

const weightedDestination = v.object({
  destination: required(destination, 'Where the call goes.', { honoured: 'HGWT' }),
  weight: optional(whole(0, 2_147_483_647), 'Share of the calls, relative to the sum of all weights. A single destination gets all.', {
    default: '0',
    honoured: 'HGWT',
  }),
  headers: optional(headers, 'Header operations of calls that go here.', { honoured: 'HGW' }),
});

const fault = v.object({
  delay: optional(
    v.object({
      fixedDelay: optional(positiveDuration, 'Time the call is held back.', { honoured: 'HGW' }),
      exponentialDelay: optional(positiveDuration, 'Mean of a random delay.', { notHonoured: 'Istio does not implement it either' }),
      percentage: optional(percent, 'Share of the calls, by chance.', { default: '0', honoured: 'HGW' }),
      percent: optional(percentNumber, 'Share of the calls, by chance.', { deprecated: 'write percentage: { value: … }', honoured: 'HGW' }),
    }),
    'Hold calls back before they are sent.',
    { honoured: 'HGW' },
  ),
  abort: optional(
    v.object({
      httpStatus: optional(whole(200, 599), 'HTTP status of the answer.', { honoured: 'HGW' }),
      grpcStatus: optional(v.string(), 'gRPC status of the answer, such as UNAVAILABLE.', { honoured: 'HG' }),
      http2Error: optional(v.string(), 'HTTP/2 error code.', { notHonoured: 'Istio does not implement it either' }),
      percentage: optional(percent, 'Share of the calls, by chance.', { default: '0', honoured: 'HGW' }),
    }),
    'Answer calls with an error instead of sending them.',
    { honoured: 'HGW' },
  ),
});

const S = { honoured: 'S' } as const;

const corsPolicy = v.object({
  allowOrigins: list(originMatch, 'Origins that may call; exact `*`: any.', S),
  allowOrigin: list(v.string(), 'Origins that may call.', { deprecated: 'write allowOrigins', ...S }),
  allowMethods: list(v.string(), 'Methods for Access-Control-Allow-Methods.', S),
  allowHeaders: list(v.string(), 'Headers for Access-Control-Allow-Headers.', S),
  exposeHeaders: list(v.string(), 'Headers for Access-Control-Expose-Headers.', S),
  maxAge: optional(duration, 'How long the answer to a preflight may be kept.', S),
  allowCredentials: optional(v.boolean(), 'Whether callers may send credentials.', S),
  unmatchedPreflights: defaulted(
    oneOf('UNSPECIFIED', 'FORWARD', 'IGNORE'),
    'UNSPECIFIED',
    'What happens to preflights of other origins. UNSPECIFIED is FORWARD.',
    S,
  ),
});

const httpRoute = v.object({
  name: text('Name of the route in logs, metrics and explain.', { honoured: 'HGW' }),
  match: list(httpMatch, 'Alternatives; within one all conditions must hold. Empty: every call.', { honoured: 'HGW' }),
  route: list(weightedDestination, 'Where calls go.', { honoured: 'HGW' }),
  redirect: optional(
    v.object({
      uri: text('Path of the new location, as a whole.', { honoured: 'HW' }),
      prefixRewrite: text('Replaces the matched prefix of the path. Excludes uri.', { honoured: 'HW' }),
      authority: text('Host of the new location.', { honoured: 'HW' }),
      port: optional(port, 'Port of the new location.', { honoured: 'HW' }),
      derivePort: optional(
        oneOf('FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'),
        'Where the port of the new location comes from. Excludes port.',
        { honoured: 'HW' },
      ),
      scheme: text('Scheme of the new location.', { honoured: 'HW' }),
      redirectCode: defaulted(
        v.pipe(
          whole(0, 599),
          v.transform((code) => (code === 0 ? 301 : code)),
        ),
        301,
        'HTTP status: 301, 302, 303, 307 or 308.',
        { honoured: 'HW' },
      ),
    }),
    'Answer with a redirect.',
    { honoured: 'HW' },
  ),
  directResponse: optional(
    v.object({
      status: required(whole(200, 599), 'HTTP status.', { honoured: 'HGW' }),
      body: optional(
        v.object({
          string: optional(v.string(), 'Body as text.', { honoured: 'HW' }),
          bytes: optional(v.string(), 'Body as base64.', { honoured: 'HW' }),
        }),
        'Body of the answer.',
        { default: 'empty', honoured: 'HW' },
      ),
    }),
    'Answer without calling anybody.',
    { honoured: 'HGW' },
  ),
  delegate: optional(
    v.object({ name: text('Name of the VirtualService.'), namespace: text('Its namespace.', { default: 'that of this resource' }) }),
    'Take the routes from another VirtualService, one without hosts.',
    { honoured: 'HGW' },
  ),
  rewrite: optional(
    v.object({
      uri: text('Replaces the matched prefix of the path, or the whole path of an exact match.', { honoured: 'HGW' }),
      authority: text('Replaces the Host header.', { honoured: 'HGW' }),
      uriRegexRewrite: optional(
        v.object({
          match: required(regex, 'RE2 expression; every occurrence is replaced.', { honoured: 'HGW' }),
          rewrite: required(oneLine, 'Replacement; \\1 is the first group.', { honoured: 'HGW' }),
        }),
        'Replaces parts of the path. Excludes uri.',
        { honoured: 'HGW' },
      ),
    }),
    'Change the call before it is sent.',
    { honoured: 'HGW' },
  ),
  timeout: optional(duration, 'Time of the whole call, retries and pauses included; 0s: none.', { default: 'none', honoured: 'HGW' }),
  retries: optional(retries, 'When and how often a failed try is repeated.', {
    default: 'two retries of what certainly was not processed',
    honoured: 'HGW',
  }),
  fault: optional(fault, 'Faults to inject at the caller.', { honoured: 'HGW' }),
  mirror: optional(destination, 'Send a copy of each call there too; its answer is ignored. Excludes mirrors.', { honoured: 'HG' }),
  mirrorPercent: optional(percentNumber, 'Share of the calls to copy.', {
    deprecated: 'write mirrorPercentage: { value: … }',
    honoured: 'HG',
  }),
  mirror_percent: optional(percentNumber, 'Share of the calls to copy.', {
    deprecated: 'write mirrorPercentage: { value: … }',
    honoured: 'HG',
  }),
  mirrorPercentage: optional(percent, 'Share of the calls to copy to mirror.', { default: '100', honoured: 'HG' }),
  mirrors: list(
    v.object({
      destination: required(destination, 'Where the copy goes.', { honoured: 'HG' }),
      percentage: optional(percent, 'Share of the calls to copy.', { default: '100', honoured: 'HG' }),
    }),
    'Send copies of each call to several destinations.',
    { honoured: 'HG' },
  ),
  corsPolicy: optional(
    corsPolicy,
    'Cross-origin rules for callers in a browser: obeyed where calls arrive, at the workloads of the hosts and destinations.',
    S,
  ),
  headers: optional(headers, 'Header operations of the route.', { honoured: 'HGW' }),
});

const l4Destination = v.object({
  destination: required(destination, 'Where the connection goes.', { honoured: 'T' }),
  weight: optional(whole(0, 2_147_483_647), 'Share of the connections, relative to the sum of all weights.', {
    default: '0',
    honoured: 'T',
  }),
});

const l4Match = {
  destinationSubnets: list(v.string(), 'Addresses or CIDR ranges the caller dials.', { honoured: 'T' }),
  ...callers,
};

const tlsRoute = v.object({
  match: filled(
    v.object({
      sniHosts: filled(host, 'Server names of the TLS handshake; each is a host of the resource or covered by one.', { honoured: 'T' }),
      ...l4Match,
    }),
    'Alternatives; within one all conditions must hold.',
    { honoured: 'T' },
  ),
  route: list(l4Destination, 'Where connections go.', { honoured: 'T' }),
});

const tcpRoute = v.object({
  match: list(
    v.object({
      ...l4Match,
      sourceSubnet: text('Address range of the caller.', { notHonoured: 'a process has no meaningful source address of its own' }),
    }),
    'Alternatives; within one all conditions must hold. Empty: every connection.',
    { honoured: 'T' },
  ),
  route: list(l4Destination, 'Where connections go.', { honoured: 'T' }),
});

const NO_L4 = 'raw TCP and TLS connections are not routed yet';

/** Fields of a VirtualService. */
export const virtualServiceSchema = v.object({
  hosts: list(host, 'Names the rules answer for: short names (of this namespace), full names, `*.suffix`. Empty for a delegate.', {
    honoured: 'HGWT',
  }),
  gateways: list(v.string(), 'Where the rules apply; `mesh` is every workload. Naming a gateway replaces the default.', {
    default: '["mesh"]',
    honoured: 'HGWT',
  }),
  http: list(httpRoute, 'Rules for HTTP, gRPC and WebSocket; the first that matches decides.', { honoured: 'HGW' }),
  tls: list(tlsRoute, 'Rules for TLS connections that the mesh does not terminate, by server name.', { notHonoured: NO_L4 }),
  tcp: list(tcpRoute, 'Rules for other TCP connections.', { notHonoured: NO_L4 }),
  exportTo: list(exportTarget, 'Namespaces that see the rules: `.` its own, `*` all, or names.', { default: '["*"]', honoured: 'HGWT' }),
});

export type VirtualServiceSpec = v.InferOutput<typeof virtualServiceSchema>;

export type HttpRoute = VirtualServiceSpec['http'][number];
export type HttpMatch = HttpRoute['match'][number];
