import * as v from 'valibot';
import { defaulted, documented, filled, list, must, oneLine, optional, required, text } from '../../schema/fields.ts';
import { clip, gepDuration, isHttpToken, isWildcardHost, oneOf, port, whole } from '../../schema/scalars.ts';
import { checkCorsFilter, type CorsFilter, corsFilter } from './cors-filter.ts';
import type { Partly, Path, Report } from '../kind.ts';

/** Parts that HTTPRoute, GRPCRoute, TCPRoute and TLSRoute share. */

const hostname = v.pipe(
  v.string(),
  must((value: string) =>
    value !== '*' && isWildcardHost(value)
      ? undefined
      : `"${clip(value)}" is not a host name\nwrite a domain name, or a wildcard such as *.example.com`,
  ),
);

const group = v.string();

export const parentRefs = list(
  v.object({
    group: defaulted(
      group,
      'gateway.networking.k8s.io',
      'API group of the parent: "" for a Service, networking.istio.io for a ServiceEntry.',
      { honoured: 'HG' },
    ),
    kind: defaulted(
      v.string(),
      'Gateway',
      'Kind of the parent: Service or ServiceEntry for callers in the mesh, Hostname (networking.istio.io) for a host by name.',
      {
        honoured: 'HG',
      },
    ),
    namespace: text('Namespace of the parent.', { default: 'that of the route', honoured: 'HG' }),
    name: required(v.pipe(v.string(), v.minLength(1, 'is empty')), 'Name of the parent.', { honoured: 'HG' }),
    sectionName: text('Part of the parent, such as the name of a listener.'),
    port: optional(port, 'Port of the Service the route is for.', { default: 'all', honoured: 'HG' }),
  }),
  'What the route belongs to. In the namespace of the Service it is a producer route, for all callers; elsewhere a consumer route, for callers of its own namespace.',
  { honoured: 'HG' },
);

export const hostnames = list(hostname, 'Hosts the route is for.', {
  notHonoured: 'the Gateway API ignores hostnames of a route that belongs to a Service',
});

const backendObject = {
  group: defaulted(group, '', 'API group: "" for a Service, networking.istio.io for a Hostname or ServiceEntry.', { honoured: 'HG' }),
  kind: defaulted(v.string(), 'Service', 'Service, ServiceEntry or Hostname.', { honoured: 'HG' }),
  name: required(v.pipe(v.string(), v.minLength(1, 'is empty')), 'Name of the service.', { honoured: 'HG' }),
  namespace: text('Namespace of the service.', { default: 'that of the route', honoured: 'HG' }),
  port: optional(port, 'Port of the service; needed for a Service.', { honoured: 'HG' }),
};

const weight = defaulted(whole(0, 1_000_000), 1, 'Share of the calls, relative to the sum of all weights.', { honoured: 'HG' });

const headerValue = v.object({
  name: required(
    v.pipe(
      v.string(),
      must((name: string) => (isHttpToken(name) && name.length <= 256 ? undefined : `"${clip(name)}" is not a header name`)),
    ),
    'Name of the header.',
  ),
  value: required(v.pipe(oneLine, v.minLength(1, 'is empty'), v.maxLength(4096, 'is longer than 4096 characters')), 'Its value.'),
});

const headerModifier = v.object({
  set: list(headerValue, 'Headers to overwrite.', { honoured: 'HG' }),
  add: list(headerValue, 'Headers to append.', { honoured: 'HG' }),
  remove: list(v.string(), 'Headers to remove.', { honoured: 'HG' }),
});

const pathModifier = v.object({
  type: required(oneOf('ReplaceFullPath', 'ReplacePrefixMatch'), 'What is replaced.', { honoured: 'H' }),
  replaceFullPath: optional(oneLine, 'The new path.', { honoured: 'H' }),
  replacePrefixMatch: optional(oneLine, 'What replaces the matched prefix, whole segments.', { honoured: 'H' }),
});

const extensionRef = v.object({
  group: required(group, 'API group.'),
  kind: required(v.string(), 'Kind.'),
  name: required(v.string(), 'Name.'),
});

const commonFilters = {
  requestHeaderModifier: optional(headerModifier, 'Change the headers of the request.', { honoured: 'HG' }),
  responseHeaderModifier: optional(headerModifier, 'Change the headers of the response.', { honoured: 'HG' }),
  requestMirror: optional(
    v.object({
      backendRef: required(v.object(backendObject), 'Where the copy goes.', { honoured: 'HG' }),
      percent: optional(whole(0, 100), 'Share of the calls to copy.', { default: '100', honoured: 'HG' }),
      fraction: optional(
        v.object({
          numerator: required(whole(0, 2_147_483_647), 'Calls to copy.'),
          denominator: defaulted(whole(1, 2_147_483_647), 100, 'Of so many calls.'),
        }),
        'Share of the calls to copy. Excludes percent.',
        { honoured: 'HG' },
      ),
    }),
    'Send a copy of each call elsewhere too; its answer is ignored.',
    { honoured: 'HG' },
  ),
  extensionRef: optional(extensionRef, 'A filter of another API.', { notHonoured: 'filters of other APIs are not known' }),
};

const httpFilterTypes = [
  'RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'RequestRedirect', 'URLRewrite', 'CORS', 'ExternalAuth', 'ExtensionRef',
] as const; // prettier-ignore
const grpcFilterTypes = ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'ExtensionRef'] as const;

const httpFilter = v.object({
  type: required(oneOf(...httpFilterTypes), 'What the filter does; the field of the same name says how.', { honoured: 'H' }),
  ...commonFilters,
  requestRedirect: optional(
    v.object({
      scheme: optional(oneOf('http', 'https'), 'Scheme of the new location.', { honoured: 'H' }),
      hostname: optional(hostname, 'Host of the new location.', { honoured: 'H' }),
      path: optional(pathModifier, 'Path of the new location.', { honoured: 'H' }),
      port: optional(port, 'Port of the new location.', {
        default: 'that of the scheme if one is given, else that of the call',
        honoured: 'H',
      }),
      statusCode: defaulted(v.picklist([301, 302, 303, 307, 308], 'is not one of 301, 302, 303, 307, 308'), 302, 'HTTP status.', {
        honoured: 'H',
      }),
    }),
    'Answer with a redirect.',
    { honoured: 'H' },
  ),
  urlRewrite: optional(
    v.object({
      hostname: optional(hostname, 'Replaces the Host header.', { honoured: 'H' }),
      path: optional(pathModifier, 'Replaces the path.', { honoured: 'H' }),
    }),
    'Change the call before it is sent.',
    { honoured: 'H' },
  ),
  cors: optional(corsFilter, 'Cross-origin rules for callers in a browser: obeyed where calls arrive, at the workloads of the parent.', {
    honoured: 'S',
  }),
  externalAuth: optional(
    v.object({
      protocol: required(oneOf('HTTP', 'GRPC'), 'Protocol of the authorization service.'),
      backendRef: required(v.object(backendObject), 'The authorization service.'),
      grpc: optional(v.object({ allowedHeaders: list(v.string(), 'Headers to pass on.') }), 'Settings of gRPC.'),
      http: optional(
        v.object({
          path: text('Prefix of the path.'),
          allowedHeaders: list(v.string(), 'Headers to pass on.'),
          allowedResponseHeaders: list(v.string(), 'Headers of the answer to copy.'),
        }),
        'Settings of HTTP.',
      ),
      forwardBody: optional(v.object({ maxSize: optional(whole(0, 65_535), 'Bytes to pass on.') }), 'Pass on the body.'),
    }),
    'Ask a service whether the call is allowed.',
    { notHonoured: 'external authorization is not asked for yet' },
  ),
});

const grpcFilter = v.object({
  type: required(oneOf(...grpcFilterTypes), 'What the filter does; the field of the same name says how.', { honoured: 'G' }),
  ...commonFilters,
});

export const httpFilters = v.optional(
  documented(v.pipe(v.array(httpFilter), v.maxLength(16, 'holds more than 16 filters')), 'What else happens to the call.', {
    honoured: 'H',
  }),
  [],
);
export const grpcFilters = v.optional(
  documented(v.pipe(v.array(grpcFilter), v.maxLength(16, 'holds more than 16 filters')), 'What else happens to the call.', {
    honoured: 'G',
  }),
  [],
);

export const httpBackendRefs = list(
  v.object({ ...backendObject, weight, filters: httpFilters }),
  'Where calls go. None: they are answered with 500.',
  { honoured: 'H' },
);
export const grpcBackendRefs = list(
  v.object({ ...backendObject, weight, filters: grpcFilters }),
  'Where calls go. None: they are answered with UNAVAILABLE.',
  { honoured: 'G' },
);
export const l4BackendRefs = filled(v.object({ ...backendObject, weight }), 'Where connections go.');

/** Experimental session persistence, accepted whole. */
export const sessionPersistence = optional(
  v.object({
    sessionName: text('Name of the cookie or header.'),
    absoluteTimeout: optional(gepDuration, 'Longest session.'),
    idleTimeout: optional(gepDuration, 'Longest session without a call.'),
    type: defaulted(oneOf('Cookie', 'Header'), 'Cookie', 'Where the session is kept.'),
    cookie: optional(
      v.object({
        name: text('Name of the cookie.'),
        path: text('Path of the cookie.'),
        lifetimeType: defaulted(oneOf('Permanent', 'Session'), 'Session', 'Life of the cookie.'),
      }),
      'The cookie.',
    ),
    cookieConfig: optional(
      v.object({ lifetimeType: defaulted(oneOf('Permanent', 'Session'), 'Session', 'Life of the cookie.') }),
      'The cookie, in older releases.',
    ),
    header: optional(v.object({ name: required(v.string(), 'Name of the header.') }), 'The header.'),
  }),
  'Keep the calls of a session on one endpoint.',
  { notHonoured: 'sessions are not kept yet; consistentHash of a DestinationRule is' },
);

export type SessionPersistence = NonNullable<v.InferOutput<typeof sessionPersistence>>;

export const httpHeaderMatches = list(
  v.object({
    type: defaulted(oneOf('Exact', 'RegularExpression'), 'Exact', 'How the value is compared.', { honoured: 'HG' }),
    name: required(v.string(), 'Name of the header.', { honoured: 'HG' }),
    value: required(v.string(), 'Value, or RE2 expression over the whole value.', { honoured: 'HG' }),
  }),
  'Headers that must match, all of them. Of entries of the same name the first counts.',
  { honoured: 'HG' },
);

type Filter = { readonly type?: string | undefined } & Readonly<Record<string, unknown>>;

/** The field of a filter: its type with a small first letter, save for abbreviations. */
const fieldOf = (type: string): string =>
  ({ URLRewrite: 'urlRewrite', CORS: 'cors' })[type] ?? type.charAt(0).toLowerCase() + type.slice(1);

/** A filter has the field of its type and no other; most types stand once. */
export function checkFilters(filters: readonly (Filter | undefined)[] | undefined, path: Path, report: Report): void {
  const types = new Set<string>();
  for (const [index, filter] of (filters ?? []).entries()) {
    if (filter?.type === undefined) continue;
    const { type } = filter;
    const at = [...path, index];
    const own = fieldOf(type);
    if (filter[own] === undefined) report.error([...at, own], `a filter of type ${type} needs ${own}`, `add ${own}`);
    for (const field of Object.keys(filter))
      if (field !== 'type' && field !== own && filter[field] !== undefined)
        report.conflict([...at, field], `a filter of type ${type} excludes ${field}`, 'write one filter for each');
    const repeatable = type === 'RequestMirror' || type === 'ExtensionRef';
    if (!repeatable && types.has(type)) report.error([...at, 'type'], `two filters of type ${type}`, 'merge them');
    types.add(type);
    const cors = filter['cors'] as Partly<CorsFilter> | undefined;
    if (cors !== undefined) checkCorsFilter(cors, [...at, 'cors'], report);
    const modifier =
      own === 'requestHeaderModifier' || own === 'responseHeaderModifier'
        ? (filter[own] as Partly<v.InferOutput<typeof headerModifier>> | undefined)
        : undefined;
    if (modifier !== undefined) checkModifier(modifier, [...at, own], report);
    const mirror = filter['requestMirror'] as Partly<NonNullable<v.InferOutput<typeof httpFilter>['requestMirror']>> | undefined;
    if (mirror?.percent !== undefined && mirror.fraction !== undefined)
      report.conflict([...at, 'requestMirror', 'fraction'], 'percent excludes fraction', 'keep one of them');
    const { numerator, denominator } = mirror?.fraction ?? {};
    if (numerator !== undefined && denominator !== undefined && numerator > denominator)
      report.error(
        [...at, 'requestMirror', 'fraction', 'numerator'],
        `${numerator} of ${denominator} is more than all`,
        'numerator is at most denominator',
      );
    if (mirror !== undefined) checkBackend(mirror.backendRef, [...at, 'requestMirror', 'backendRef'], report);
    for (const name of ['requestRedirect', 'urlRewrite'] as const) {
      const holder = filter[name] as { path?: Partly<v.InferOutput<typeof pathModifier>> } | undefined;
      if (holder?.path !== undefined) checkPathModifier(holder.path, [...at, name, 'path'], report);
    }
  }
  if (types.has('RequestRedirect') && types.has('URLRewrite'))
    report.conflict(path, 'RequestRedirect excludes URLRewrite', 'keep one of them');
}

function checkModifier(modifier: Partly<v.InferOutput<typeof headerModifier>>, path: Path, report: Report): void {
  for (const list of ['set', 'add'] as const) {
    const names = new Set<string>();
    for (const [index, header] of (modifier[list] ?? []).entries()) {
      const name = header?.name?.toLowerCase();
      if (name !== undefined && names.size === names.add(name).size)
        report.error([...path, list, index, 'name'], `header "${header?.name}" stands twice`, 'keep one');
    }
  }
}

function checkPathModifier(path: Partly<v.InferOutput<typeof pathModifier>>, at: Path, report: Report): void {
  const [own, other] =
    path.type === 'ReplaceFullPath'
      ? (['replaceFullPath', 'replacePrefixMatch'] as const)
      : (['replacePrefixMatch', 'replaceFullPath'] as const);
  if (path.type === undefined) return;
  if (path[own] === undefined) report.error([...at, own], `a path of type ${path.type} needs ${own}`, `add ${own}`);
  if (path[other] !== undefined) report.conflict([...at, other], `a path of type ${path.type} excludes ${other}`, `remove ${other}`);
}

/** A reference to a core Service needs its port. */
export function checkBackend(
  backend: Partly<{ group: string; kind: string; name: string; port: number | undefined }> | undefined,
  path: Path,
  report: Report,
): void {
  if (backend === undefined) return;
  if (backend.group === '' && backend.kind === 'Service' && backend.port === undefined)
    report.error([...path, 'port'], 'a reference to a Service needs a port', 'add port');
  if (
    !['', 'core', 'networking.istio.io'].includes(backend.group ?? '') ||
    !['Service', 'ServiceEntry', 'Hostname'].includes(backend.kind ?? 'Service')
  )
    report.warning(
      [...path, 'kind'],
      `a ${backend.group ?? ''}/${backend.kind ?? ''} cannot be called`,
      'refer to a Service, a ServiceEntry or a Hostname; calls drawn to this one fail',
    );
}

/** Experimental sessionPersistence: the fields that go with each type. */
export function checkSession(session: Partly<SessionPersistence> | undefined, path: Path, report: Report): void {
  if (session === undefined) return;
  if (session.type === 'Header' && session.cookie !== undefined)
    report.conflict([...path, 'cookie'], 'type Header excludes cookie', 'remove it');
  // Releases before the two blocks had sessionName and cookieConfig instead.
  const older = session.sessionName !== undefined || session.cookieConfig !== undefined;
  if (session.type === 'Header' && session.header === undefined && !older)
    report.error([...path, 'header'], 'type Header needs header', 'name the header');
  if (session.type === 'Cookie' && session.cookie === undefined && !older)
    report.error([...path, 'cookie'], 'type Cookie needs cookie', 'add cookie, or use type Header');
  const life = session.cookie?.lifetimeType ?? session.cookieConfig?.lifetimeType;
  if (life === 'Permanent' && session.absoluteTimeout === undefined)
    report.error([...path, 'absoluteTimeout'], 'a permanent cookie needs absoluteTimeout', 'add absoluteTimeout');
}

/** Every parent once: the same reference in two entries needs different ports or sections. */
export function checkParents(
  parents: readonly (Partly<NonNullable<v.InferOutput<typeof parentRefs>>[number]> | undefined)[] | undefined,
  report: Report,
): void {
  const seen = new Set<string>();
  for (const [index, parent] of (parents ?? []).entries()) {
    if (parent?.name === undefined) continue;
    const key = JSON.stringify([parent.group, parent.kind, parent.namespace, parent.name, parent.sectionName, parent.port]);
    if (seen.size === seen.add(key).size)
      report.error(['parentRefs', index], `parent "${parent.name}" stands twice`, 'tell them apart by sectionName or port, or remove one');
    if (parent.kind === 'Gateway' && parent.group === 'gateway.networking.k8s.io')
      report.info(
        ['parentRefs', index],
        `Gateway "${parent.name}" is no parent for callers in the mesh`,
        'a route governs them if its parent is a Service',
        'INM0303',
      );
  }
}
