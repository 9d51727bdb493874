import { GRPC_STATUS } from '../resolve/grpc-status.ts';
import { covers, overlap } from '../resolve/hosts.ts';
import { isDnsLabel, isHttpToken, isIpOrCidr } from '../schema/scalars.ts';
import type { Check, Partly, Path, Report } from './kind.ts';
import { checkExportTo } from './parts/export-to.ts';
import { checkRetries } from './parts/retries.ts';
import type { HttpMatch, HttpRoute, VirtualServiceSpec } from './virtual-service-schema.ts';

/** Rules over several fields of a VirtualService, as Istio's pkg/config/validation/virtualservice.go has them. */

/** Callers in the mesh obey it: `gateways` is empty or names `mesh`. */
const governsMesh = (gateways: readonly (string | undefined)[] | undefined): boolean =>
  (gateways ?? []).length === 0 || (gateways ?? []).includes('mesh');

const hosts: Check<VirtualServiceSpec> = (spec, report) => {
  const all = spec.hosts ?? [];
  if (all.length === 0) return delegated(spec, report);
  for (const [index, host] of all.entries()) {
    if (host === undefined) continue;
    if (host === '*' && governsMesh(spec.gateways))
      report.error(['hosts', index], 'host "*" cannot govern callers in the mesh', 'name the hosts, or list gateways without mesh');
    const twin = all.findIndex((other) => other !== undefined && overlap(other.toLowerCase(), host.toLowerCase()));
    if (twin >= 0 && twin < index)
      report.error(['hosts', index], `hosts "${all[twin]}" and "${host}" overlap`, 'keep one, or use two resources');
  }
  checkGateways(spec.gateways, ['gateways'], report);
};

/** Without hosts it is a delegate: others include its HTTP routes. */
function delegated(spec: Partly<VirtualServiceSpec>, report: Report): void {
  if ((spec.gateways ?? []).length > 0)
    report.error(['gateways'], 'without hosts the resource is a delegate, which has no gateways', 'add hosts, or remove gateways');
  for (const list of ['tls', 'tcp'] as const)
    if ((spec[list] ?? []).length > 0)
      report.error([list], `without hosts the resource is a delegate, which has no ${list} routes`, `add hosts, or remove ${list}`);
  if ((spec.http ?? []).length === 0) report.error(['hosts'], 'hosts are missing', 'name the hosts the rules are for');
  for (const [index, route] of (spec.http ?? []).entries())
    if (route?.delegate !== undefined)
      report.error(['http', index, 'delegate'], 'a delegate cannot delegate further', 'write the routes here');
}

const content: Check<VirtualServiceSpec> = (spec, report) => {
  const { http = [], tls = [], tcp = [] } = spec;
  if (http.length + tls.length + tcp.length === 0 && (spec.hosts ?? []).length > 0)
    report.error(['http'], 'there is no route', 'add http, tls or tcp');
};

const httpRoutes: Check<VirtualServiceSpec> = (spec, report) => {
  for (const [index, route] of (spec.http ?? []).entries()) if (route !== undefined) checkHttpRoute(route, spec, ['http', index], report);
};

function checkHttpRoute(route: Partly<HttpRoute>, spec: Partly<VirtualServiceSpec>, at: Path, report: Report): void {
  const { redirect, directResponse, delegate, rewrite, fault, mirror, mirrors = [] } = route;
  const destinations = route.route ?? [];

  const exclude = (owner: string, others: readonly (keyof HttpRoute)[]): void => {
    for (const other of others) {
      const value = route[other];
      if (value !== undefined && !(Array.isArray(value) && value.length === 0))
        report.conflict([...at, other], `${owner} excludes ${other}`, 'keep one of them');
    }
  };
  if (delegate !== undefined) {
    exclude('delegate', ['route', 'redirect', 'directResponse']);
    if (delegate.name === undefined) report.error([...at, 'delegate', 'name'], 'the delegate has no name', 'name the VirtualService');
    if (delegate.namespace !== undefined && !isDnsLabel(delegate.namespace))
      report.error([...at, 'delegate', 'namespace'], `"${delegate.namespace}" is not a namespace`);
  } else if (redirect !== undefined) exclude('redirect', ['route', 'fault', 'rewrite', 'directResponse']);
  else if (directResponse !== undefined) exclude('directResponse', ['route', 'fault', 'rewrite']);
  else if (destinations.length === 0)
    report.error([...at, 'route'], 'the route leads nowhere', 'add route, redirect, directResponse or delegate');

  if (redirect !== undefined) checkRedirect(redirect, [...at, 'redirect'], report);
  if (directResponse !== undefined) checkDirectResponse(directResponse, [...at, 'directResponse'], report);
  if (fault !== undefined) checkFault(fault, [...at, 'fault'], report);
  checkRetries(route.retries, [...at, 'retries'], report);
  checkHeaders(route.headers, [...at, 'headers'], report);
  checkWeights(destinations, [...at, 'route'], report);
  for (const [index, one] of destinations.entries()) checkHeaders(one?.headers, [...at, 'route', index, 'headers'], report);

  if (rewrite !== undefined) {
    const { uri, authority, uriRegexRewrite } = rewrite;
    if (uri === undefined && authority === undefined && uriRegexRewrite === undefined)
      report.error([...at, 'rewrite'], 'the rewrite changes nothing', 'add uri, authority or uriRegexRewrite');
    if (uri !== undefined && uriRegexRewrite !== undefined)
      report.conflict([...at, 'rewrite', 'uriRegexRewrite'], 'uri excludes uriRegexRewrite', 'keep one of them');
  }

  if (mirror !== undefined && mirrors.length > 0)
    report.conflict([...at, 'mirrors'], 'mirror excludes mirrors', 'move mirror into mirrors');
  for (const share of ['mirrorPercent', 'mirror_percent', 'mirrorPercentage'] as const)
    if (route[share] !== undefined && mirror === undefined)
      report.warning(
        [...at, share],
        `${share} has no effect without mirror`,
        'add mirror, or write percentage into the entries of mirrors',
      );

  const { retries, timeout } = route;
  if (retries?.perTryTimeout !== undefined && timeout !== undefined && timeout > 0 && retries.perTryTimeout >= timeout)
    report.warning(
      [...at, 'retries', 'perTryTimeout'],
      'perTryTimeout is not shorter than the timeout of the route, so it is ignored',
      'shorten it, or remove it',
    );
  checkCors(route.corsPolicy, [...at, 'corsPolicy'], report);

  const names = new Set<string>();
  for (const [index, match] of (route.match ?? []).entries()) {
    if (match === undefined) continue;
    checkHttpMatch(match, spec, [...at, 'match', index], report);
    if (match.name !== undefined && names.size === names.add(match.name).size)
      report.error([...at, 'match', index, 'name'], `match name "${match.name}" is used twice`, 'rename one');
  }
}

function checkHttpMatch(match: Partly<HttpMatch>, spec: Partly<VirtualServiceSpec>, at: Path, report: Report): void {
  for (const part of ['uri', 'scheme', 'method', 'authority'] as const)
    if (match[part]?.kind === 'present')
      report.warning(
        [...at, part],
        `${part} names neither exact, prefix nor regex, so every value matches`,
        'add one, or remove the field',
      );
  if (match.ignoreUriCase === true && match.uri?.kind === 'regex')
    report.warning([...at, 'ignoreUriCase'], 'ignoreUriCase has no effect on a regex', 'begin the expression with (?i)');
  for (const list of ['headers', 'withoutHeaders'] as const)
    for (const name of Object.keys(match[list] ?? {})) {
      if (name.startsWith('@request.auth.claims')) {
        if (governsMesh((match.gateways ?? []).length > 0 ? match.gateways : spec.gateways))
          report.error([...at, list, name], 'JWT claims can be matched by gateways only', 'bind the rule to a gateway, or match a header');
      } else if (!isHttpToken(name.replace(/^:/, ''))) report.error([...at, list, name], `"${name}" is not a header name`);
    }
  for (const name of Object.keys(match.queryParams ?? {}))
    if (name === '') report.error([...at, 'queryParams', name], 'the parameter has no name');
  if ((match.gateways ?? []).length > 0)
    for (const condition of ['sourceLabels', 'sourceNamespace'] as const)
      if (match[condition] !== undefined && (typeof match[condition] === 'string' || Object.keys(match[condition]).length > 0))
        report.warning(
          [...at, condition],
          `${condition} is not looked at where the match names gateways`,
          'Istio evaluates one or the other; split the match',
        );
  checkGateways(match.gateways, [...at, 'gateways'], report);
}

function checkRedirect(redirect: Partly<NonNullable<HttpRoute['redirect']>>, at: Path, report: Report): void {
  const { uri, prefixRewrite, authority, port, derivePort, scheme, redirectCode } = redirect;
  if ([uri, prefixRewrite, authority, port, derivePort, scheme].every((part) => part === undefined))
    report.error(at, 'the redirect leads to where it comes from', 'add uri, prefixRewrite, authority, port, derivePort or scheme');
  if (uri !== undefined && prefixRewrite !== undefined)
    report.conflict([...at, 'prefixRewrite'], 'uri excludes prefixRewrite', 'keep one of them');
  if (port !== undefined && derivePort !== undefined)
    report.conflict([...at, 'derivePort'], 'port excludes derivePort', 'keep one of them');
  if (redirectCode === undefined || [301, 302, 303, 307, 308].includes(redirectCode)) return;
  if (redirectCode < 300 || redirectCode > 399)
    report.error([...at, 'redirectCode'], `${redirectCode} is not a redirect`, 'write 301, 302, 303, 307 or 308');
  else report.warning([...at, 'redirectCode'], `${redirectCode} leaves the route without an action`, 'write 301, 302, 303, 307 or 308');
}

const LARGEST_BODY = 1_048_576;
const LARGE_BODY = 102_400;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function checkDirectResponse(direct: Partly<NonNullable<HttpRoute['directResponse']>>, at: Path, report: Report): void {
  const { string, bytes } = direct.body ?? {};
  if (string !== undefined && bytes !== undefined) report.conflict([...at, 'body', 'bytes'], 'string excludes bytes', 'keep one of them');
  const field = string === undefined ? 'bytes' : 'string';
  if (bytes !== undefined && !BASE64.test(bytes)) report.error([...at, 'body', 'bytes'], 'the body is not base64');
  const size = string !== undefined ? Buffer.byteLength(string) : Math.floor(((bytes ?? '').length * 3) / 4);
  if (size > LARGEST_BODY)
    report.error([...at, 'body', field], `the body has ${size} bytes, more than ${LARGEST_BODY}`, 'serve it from a service');
  else if (size > LARGE_BODY)
    report.warning([...at, 'body', field], `the body has ${size} bytes, more than ${LARGE_BODY}`, 'every process keeps it in memory');
}

function checkFault(fault: Partly<NonNullable<HttpRoute['fault']>>, at: Path, report: Report): void {
  const { delay, abort } = fault;
  if (delay === undefined && abort === undefined) report.error(at, 'the fault has neither delay nor abort', 'add one of them');
  if (delay !== undefined) {
    if (delay.fixedDelay !== undefined && delay.exponentialDelay !== undefined)
      report.conflict([...at, 'delay', 'exponentialDelay'], 'fixedDelay excludes exponentialDelay', 'keep fixedDelay');
    if (delay.fixedDelay === undefined && delay.exponentialDelay === undefined)
      report.error([...at, 'delay', 'fixedDelay'], 'the delay has no length', 'add fixedDelay');
    if (delay.percentage === undefined && delay.percent === undefined)
      report.warning([...at, 'delay'], 'without a percentage no call is delayed', 'add percentage: { value: 100 }');
  }
  if (abort === undefined) return;
  const { httpStatus, grpcStatus, http2Error } = abort;
  const kinds = (['httpStatus', 'grpcStatus', 'http2Error'] as const).filter((kind) => abort[kind] !== undefined);
  if (kinds.length === 0) report.error([...at, 'abort', 'httpStatus'], 'the abort has no status', 'add httpStatus or grpcStatus');
  if (kinds.length > 1) report.conflict([...at, 'abort', kinds[1] ?? ''], `${kinds.join(', ')} exclude each other`, 'keep one of them');
  if (grpcStatus !== undefined && !Object.hasOwn(GRPC_STATUS, grpcStatus))
    report.error(
      [...at, 'abort', 'grpcStatus'],
      `"${grpcStatus}" is not a gRPC status`,
      `it is one of ${Object.keys(GRPC_STATUS)
        .filter((name) => /^[A-Z]/.test(name))
        .join(', ')}`,
    );
  if (abort.percentage === undefined && (httpStatus ?? grpcStatus ?? http2Error) !== undefined)
    report.warning([...at, 'abort'], 'without a percentage no call is aborted', 'add percentage: { value: 100 }');
}

function checkHeaders(headers: Partly<NonNullable<HttpRoute['headers']>> | undefined, at: Path, report: Report): void {
  for (const side of ['request', 'response'] as const)
    for (const op of ['set', 'add', 'remove'] as const) {
      const named = headers?.[side]?.[op];
      if (named === undefined) continue;
      const names = Array.isArray(named)
        ? named.map((name: string | undefined, index) => [index, name] as const)
        : Object.keys(named).map((name) => [name, name] as const);
      for (const [key, name] of names) {
        if (name === undefined) continue;
        const path = [...at, side, op, key];
        const lower = name.toLowerCase();
        const authority = op !== 'remove' && side === 'request' && [':authority', 'authority', 'host'].includes(lower);
        if (!isHttpToken(name.replace(/^:/, ''))) report.error(path, `"${name}" is not a header name`);
        else if (!authority && (lower.startsWith(':') || lower === 'host'))
          report.warning(path, `"${name}" cannot be changed, the operation has no effect`, 'use rewrite');
      }
    }
}

function checkWeights(destinations: readonly (Partly<{ weight: number | undefined }> | undefined)[], at: Path, report: Report): void {
  if (destinations.length < 2 || destinations.includes(undefined)) return;
  const sum = destinations.reduce((total, one) => total + (one?.weight ?? 0), 0);
  if (sum === 0) report.error(at, 'all weights are zero', 'give at least one destination a weight');
  if (sum > 4_294_967_295) report.error(at, 'the weights add up to more than 4294967295', 'use smaller ones');
}

function checkCors(cors: Partly<NonNullable<HttpRoute['corsPolicy']>> | undefined, at: Path, report: Report): void {
  if (cors === undefined) return;
  for (const [index, method] of (cors.allowMethods ?? []).entries())
    if (method !== undefined && method !== '*' && !/^(?:GET|HEAD|POST|PUT|PATCH|DELETE|CONNECT|OPTIONS|TRACE)$/.test(method))
      report.error([...at, 'allowMethods', index], `"${method}" is not an HTTP method`, 'methods are written in capitals');
  for (const list of ['allowHeaders', 'exposeHeaders'] as const)
    for (const [index, name] of (cors[list] ?? []).entries())
      if (name !== undefined && !isHttpToken(name)) report.error([...at, list, index], `"${name}" is not a header name`);
  if (cors.maxAge !== undefined && cors.maxAge % 1000 !== 0)
    report.error([...at, 'maxAge'], 'maxAge is not in whole seconds', 'write such as 10s');
}

const l4Routes: Check<VirtualServiceSpec> = (spec, report) => {
  for (const list of ['tls', 'tcp'] as const)
    for (const [index, route] of (spec[list] ?? []).entries()) {
      if (route === undefined) continue;
      const at = [list, index];
      if ((route.route ?? []).length === 0) report.error([...at, 'route'], 'the route leads nowhere', 'add route');
      checkWeights(route.route ?? [], [...at, 'route'], report);
      for (const [matchIndex, match] of (route.match ?? []).entries()) {
        const where = [...at, 'match', matchIndex];
        for (const [subnetIndex, subnet] of (match?.destinationSubnets ?? []).entries())
          if (subnet !== undefined && !isIpOrCidr(subnet))
            report.error([...where, 'destinationSubnets', subnetIndex], `"${subnet}" is neither an IP address nor a CIDR range`);
        checkGateways(match?.gateways, [...where, 'gateways'], report);
      }
    }
  for (const [index, route] of (spec.tls ?? []).entries())
    for (const [matchIndex, match] of (route?.match ?? []).entries())
      for (const [hostIndex, name] of (match?.sniHosts ?? []).entries()) {
        const at = ['tls', index, 'match', matchIndex, 'sniHosts', hostIndex];
        const all = spec.hosts ?? [];
        if (
          name !== undefined &&
          all.length > 0 &&
          !all.includes(undefined) &&
          !all.some((host) => host !== undefined && covers(host.toLowerCase(), name.toLowerCase()))
        )
          report.error(at, `"${name}" is covered by no host of the resource`, 'add it to hosts');
      }
};

function checkGateways(gateways: readonly (string | undefined)[] | undefined, at: Path, report: Report): void {
  for (const [index, gateway] of (gateways ?? []).entries())
    if (gateway !== undefined && (gateway.split('/').length > 2 || !gateway.split('/').every((part) => part.split('.').every(isDnsLabel))))
      report.error([...at, index], `"${gateway}" is not the name of a gateway`, 'write mesh, name or namespace/name');
}

const visibility: Check<VirtualServiceSpec> = (spec, report) => checkExportTo(spec.exportTo, report, false);

export const virtualServiceChecks: readonly Check<VirtualServiceSpec>[] = [hosts, content, httpRoutes, l4Routes, visibility];
