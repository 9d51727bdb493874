import { GRPC_STATUS } from './grpc-status.ts';
import type {
  Destination,
  Fault,
  HashKey,
  HeaderMatch,
  Mirror,
  PathMatch,
  PathRewrite,
  RetryPolicy,
  Route,
  RouteAction,
  RouteMatch,
  StringMatch,
  Workload,
} from '../model.ts';
import type { HttpMatch, HttpRule, OwnedRule } from './delegates.ts';
import { clusterName, type Destinations, type Target } from './destinations.ts';
import { authorityOf, headerOps, mergeHeaderOps, type HeaderEdits } from './headers.ts';
import { fullName } from './hosts.ts';
import { retryPolicy } from './retries.ts';
import { selects } from './visibility.ts';

/** For whom and on which port rules are translated. */
export interface RouteContext {
  readonly workload: Workload;
  readonly domain: string;
  /** Port the client addresses; null: any port of a host no registry knows. */
  readonly port: number | null;
  readonly defaultRetries: RetryPolicy | null;
  readonly destinations: Destinations;
  /** `VirtualService ns/name`, for Route.resource. */
  readonly resource: string;
  /** Sentences for explain. */
  readonly notes: string[];
}

export const MATCH_ALL: RouteMatch = { path: null, method: null, scheme: null, authority: null, headers: [], query: [] };

/**
 * The rules of a VirtualService as routes, in list order, one for each match block (Istio route.go,
 * BuildHTTPRoutesForVirtualService). Static conditions are decided here: a block that fails does not exist. Behind a
 * route that matches everything the list ends. Empty: the VirtualService says nothing on this port.
 */
export function translateRules(rules: readonly OwnedRule[], context: RouteContext): readonly Route[] {
  const routes: Route[] = [];
  for (const { rule, namespace } of rules) {
    const blocks = rule.match.length === 0 ? [undefined] : rule.match.filter((block) => statically(block, context));
    if (blocks.length === 0) continue;
    const rest = translateRule(rule, namespace, context);
    for (const block of blocks) {
      const route = rest(block);
      routes.push(route);
      if (matchesAll(route.match)) return routes;
    }
  }
  return routes;
}

/** Istio's sourceMatchHTTP is if/else-if: gateways in a block switch sourceLabels and sourceNamespace off. */
function statically(block: HttpMatch, { workload, port }: RouteContext): boolean {
  if (block.port !== undefined && block.port !== port) return false;
  if (block.gateways.length > 0) return block.gateways.includes('mesh');
  return (
    selects(block.sourceLabels, workload.labels) && (block.sourceNamespace === undefined || block.sourceNamespace === workload.namespace)
  );
}

export const matchesAll = ({ path, method, scheme, authority, headers, query }: RouteMatch): boolean =>
  method === null && scheme === null && authority === null && headers.length === 0 && query.length === 0 && everyPath(path);

const everyPath = (path: PathMatch | null): boolean =>
  path === null || (path.kind === 'prefix' && (path.value === '/' || path.value === '')) || (path.kind === 'segments' && path.value === '') || (path.kind === 'regex' && path.value === '.*'); // prettier-ignore

/** What all match blocks of a rule share is worked out once; the rest depends on the block. */
function translateRule(rule: HttpRule, namespace: string, context: RouteContext): (block: HttpMatch | undefined) => Route {
  const timeoutMs = rule.timeout === undefined || rule.timeout === 0 ? null : rule.timeout;
  const forwarding = rule.redirect === undefined && rule.directResponse === undefined;
  const { action, hash } = forwarding ? forward(rule, namespace, context) : { action: undefined, hash: [] };
  const shared = {
    resource: context.resource,
    timeoutMs: forwarding ? timeoutMs : null,
    retries: forwarding ? retryPolicy(rule.retries, context.defaultRetries, timeoutMs, rule.route.length === 1 && hash.length > 0) : null,
    fault: faultOf(rule.fault),
    mirrors: forwarding ? mirrorsOf(rule, namespace, context) : [],
    responseHeaders: forwarding ? [] : headerOps(rule.headers?.response),
    hash,
  };
  return (block) => {
    const match = block === undefined ? MATCH_ALL : matchOf(block);
    return {
      ...shared,
      name: nameOf(rule.name, block?.name),
      match,
      action: action ?? localAction(rule, match.path),
      rewrite: forwarding ? rewriteOf(rule.rewrite, match.path) : null,
    };
  };
}

const nameOf = (rule: string | undefined, block: string | undefined): string =>
  block === undefined ? (rule ?? '') : `${rule ?? ''}.${block}`;

// ── match ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The conditions of a match block that are asked of each call. */
export function matchOf(block: HttpMatch): RouteMatch {
  return {
    path: pathOf(block.uri, block.ignoreUriCase),
    method: block.method ?? null,
    scheme: block.scheme ?? null,
    authority: block.authority ?? null,
    headers: [...conditions(block.headers, false, true), ...conditions(block.withoutHeaders, true, true)],
    query: conditions(block.queryParams, false, false),
  };
}

/** ignoreUriCase has no effect on a regex. */
function pathOf(uri: StringMatch | undefined, ignoreCase: boolean): PathMatch | null {
  if (uri === undefined || uri.kind === 'present') return null;
  return uri.kind === 'regex' ? { kind: 'regex', value: uri.value } : { kind: uri.kind, value: uri.value, ignoreCase };
}

const conditions = (of: Readonly<Record<string, StringMatch>>, invert: boolean, header: boolean): HeaderMatch[] =>
  Object.entries(of).map(([name, match]) => ({ name: header ? name.toLowerCase() : name, match, invert }));

// ── action ───────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Forwarding {
  readonly action: RouteAction;
  readonly hash: readonly HashKey[];
}

function forward(rule: HttpRule, namespace: string, context: RouteContext): Forwarding {
  const choices = rule.route.map(({ destination, weight, headers }) => ({
    target: { host: fullName(destination.host, namespace, context.domain), subset: destination.subset, port: destination.port?.number },
    weight: weight ?? 0,
    headers,
  }));
  return forwardTo(choices, { edits: rule.headers, authority: rule.rewrite?.authority ?? null, missingStatus: 503 }, context);
}

/** One weighted choice of a rule. */
export interface Choice {
  readonly target: Target;
  readonly weight: number;
  readonly headers: HeaderEdits | undefined;
  /** Why it cannot be called, whatever its target. */
  readonly invalid?: string | undefined;
}

/** What a rule does to every choice. `missingStatus`: what a choice answers whose cluster does not exist. */
export interface ChoiceRules {
  readonly edits: HeaderEdits | undefined;
  readonly authority: string | null;
  readonly missingStatus: number;
}

/** A weighted choice. One destination takes all; of several those of weight 0 are left out, and the sum need not be 100. */
export function forwardTo(choices: readonly Choice[], { edits, authority, missingStatus }: ChoiceRules, context: RouteContext): Forwarding {
  const single = choices.length === 1;
  const live = single ? choices : choices.filter(({ weight }) => weight > 0);
  if (live.length === 0)
    return { action: { kind: 'refuse', status: missingStatus, why: 'every destination of the rule has weight 0' }, hash: [] };
  const destinations = live.map(({ target, weight, headers, invalid }): Destination => {
    const { cluster, missing } =
      invalid === undefined
        ? context.destinations.reach(target, context.port)
        : { cluster: clusterName(target.port ?? context.port ?? 0, target.subset, target.host), missing: invalid };
    if (missing !== null) note(context.notes, `${context.resource}: ${missing}; calls to it are answered with ${missingStatus}`);
    return {
      cluster,
      weight: single ? 1 : weight,
      missing: missing === null ? null : { status: missingStatus, why: missing },
      requestHeaders: mergeHeaderOps(edits?.request, headers?.request, single),
      responseHeaders: mergeHeaderOps(edits?.response, headers?.response, single),
      // The rewrite beats header operations, and the route's beat the destination's.
      authority: authority ?? authorityOf(edits?.request) ?? authorityOf(headers?.request),
    };
  });
  // Istio adds one hash policy per destination that has one: two with the same key hash it twice.
  return { action: { kind: 'forward', destinations }, hash: live.flatMap(({ target }) => context.destinations.hashKeys(target)) };
}

/** The same sentence holds for every match block and port; once is enough. */
export function note(notes: string[], sentence: string): void {
  if (!notes.includes(sentence)) notes.push(sentence);
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

function localAction({ redirect, directResponse }: HttpRule, path: PathMatch | null): RouteAction {
  if (redirect !== undefined) {
    const { uri, prefixRewrite, authority, port, derivePort, scheme, redirectCode } = redirect;
    // Envoy has no other codes; Istio leaves such a route without an action.
    if (!REDIRECTS.has(redirectCode)) return { kind: 'refuse', status: 500, why: `a redirect with status ${redirectCode} is not possible` };
    return {
      kind: 'redirect',
      status: redirectCode,
      scheme: scheme ?? null,
      authority: authority ?? null,
      port: port ?? (derivePort === undefined ? null : derivePort === 'FROM_REQUEST_PORT' ? 'requestPort' : 'protocolDefault'),
      path: uri !== undefined ? { kind: 'full', value: uri } : prefixRewrite !== undefined ? replaceMatched(path, prefixRewrite) : null,
    };
  }
  const body = directResponse?.body;
  return {
    kind: 'direct',
    status: directResponse?.status ?? 500,
    body: body?.string ?? body?.bytes ?? '',
    bodyEncoding: body?.string === undefined && body?.bytes !== undefined ? 'base64' : 'utf8',
  };
}

/** Envoy's prefix_rewrite: the matched prefix, or the whole path of an exact or regex route. No path condition is prefix `/`. */
function replaceMatched(path: PathMatch | null, value: string): PathRewrite {
  if (path === null) return { kind: 'prefix', prefix: '/', value, ignoreCase: false };
  return path.kind === 'prefix' ? { kind: 'prefix', prefix: path.value, value, ignoreCase: path.ignoreCase } : { kind: 'full', value };
}

function rewriteOf(rewrite: HttpRule['rewrite'], path: PathMatch | null): PathRewrite | null {
  if (rewrite?.uriRegexRewrite !== undefined)
    return { kind: 'regex', pattern: rewrite.uriRegexRewrite.match, substitution: rewrite.uriRegexRewrite.rewrite };
  return rewrite?.uri === undefined ? null : replaceMatched(path, rewrite.uri);
}

// ── around the action ────────────────────────────────────────────────────────────────────────────────────────────────

/** An absent percentage is 0 (Istio TranslateFault), unlike that of a mirror. */
function faultOf(fault: HttpRule['fault']): Fault | null {
  const { delay, abort } = fault ?? {};
  const ms = delay?.fixedDelay;
  const grpcStatus = abort?.grpcStatus === undefined ? null : (GRPC_STATUS[abort.grpcStatus.toUpperCase()] ?? null);
  const httpStatus = abort?.httpStatus ?? null;
  const result: Fault = {
    delay: ms === undefined ? null : { ms, percent: delay?.percentage ?? delay?.percent ?? 0 },
    abort: httpStatus === null && grpcStatus === null ? null : { httpStatus, grpcStatus, percent: abort?.percentage ?? 0 },
  };
  return result.delay === null && result.abort === null ? null : result;
}

/** `mirror` and `mirrors` both hold; an absent percentage is 100, and 0 is no mirror. */
function mirrorsOf(rule: HttpRule, namespace: string, context: RouteContext): readonly Mirror[] {
  const all = rule.mirrors.map(({ destination, percentage }) => ({ destination, percent: percentage ?? 100 }));
  if (rule.mirror !== undefined)
    all.unshift({ destination: rule.mirror, percent: rule.mirrorPercentage ?? rule.mirrorPercent ?? rule.mirror_percent ?? 100 });
  return all.flatMap(({ destination, percent }) =>
    mirrorTo(
      { host: fullName(destination.host, namespace, context.domain), subset: destination.subset, port: destination.port?.number },
      percent,
      context,
    ),
  );
}

/** One mirror, or none if its share is 0 or nobody is there (Envoy drops shadows to unknown clusters in silence; we say so). */
export function mirrorTo(target: Target, percent: number, context: RouteContext): readonly Mirror[] {
  if (percent <= 0) return [];
  const { cluster, missing } = context.destinations.reach(target, context.port);
  if (missing === null) return [{ cluster, percent }];
  note(context.notes, `${context.resource}: no copies are sent: ${missing}`);
  return [];
}
