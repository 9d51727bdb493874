import type { AuthorizationPolicy, Model, MtlsMode } from '@inmesh/policy';
import type { Call } from '../call.ts';
import { systemClock, systemRandom } from '../clock.ts';
import { corsOf } from '../compile-inbound.ts';
import { ERRORS, grpcStatusName, MeshError } from '../errors.ts';
import { grpcStatusOf } from '../filters/answers.ts';
import { ACCESS_DENIED } from '../filters/authorize.ts';
import { isPreflight, judgeCors } from '../filters/cors.ts';
import { patienceOf } from '../filters/deadline.ts';
import { applyHeaderOps } from '../filters/header-ops.ts';
import { type Authorization, compileAuthorization, decide, firstMatch, NO_CALL } from '../inbound/authorization.ts';
import { EditedCall } from '../inbound/edited-call.ts';
import { dryRunVerdicts, matching, requestPrincipal } from '../inbound/ledger.ts';
import { type InboundCall, isGrpc, readCall, type Received } from '../inbound/received.ts';
import { describePlace, findTokens, tokenPlaces } from '../inbound/tokens.ts';
import { afterTokens, forgeable, NOBODY_VERIFIES, type Verified } from '../inbound/verified.ts';
import type { Connection, Peer } from '../peer.ts';
import type { TokenOutcome } from '../ports/tokens.ts';
import { connectionOf, receivedOf } from './inbound-caller.ts';
import type { ExplainInboundRequest, ExplainInboundTools, InboundExplanation } from './inbound-explanation.ts';
import { type Asked, explainRules } from './rules.ts';

/**
 * What would become of a call to this workload under a policy, decided by the very functions the inbound stack is made of,
 * in its order. Nothing is sent; only keys of tokens may be fetched, by `tools.tokens`. Throws MISUSE for a call that cannot be meant.
 */
export async function explainInbound(
  model: Model,
  request: ExplainInboundRequest,
  tools: ExplainInboundTools = {},
): Promise<InboundExplanation> {
  const { mtls: required } = model.inbound;
  const mtls = required.ports[request.port] ?? required.mode;
  const connection = connectionOf(request, mtls);
  const base: InboundExplanation = {
    decision: 'allow',
    status: null,
    policy: null,
    action: null,
    resource: null,
    body: null,
    mtls,
    principal: connection.principal?.uri ?? null,
    requestPrincipal: null,
    audited: [],
    dryRun: [],
    request: null,
    why: greet(model, request, mtls, connection),
  };
  if (mtls === 'STRICT' && connection.principal === undefined) {
    return deny(base, 'the connection is closed without an answer', { resource: required.resources[0] ?? null });
  }
  if (request.protocol === 'tcp') return explainConnection(model, connection, base);
  const received = receivedOf(request, connection.tls);
  const { target } = received;
  try {
    return asSeen(received, await explainCall(model, readCall(received, connection, model), received, target, tools, base));
  } catch (error) {
    if (!MeshError.is(error) || error.code !== 'BAD_REQUEST') throw error;
    return asSeen(received, deny(base, error.message, { status: error.status, body: error.answer?.body ?? null }));
  }
}

/** With the status of gRPC, if its caller speaks that. */
function asSeen({ method, rawHeaders }: Received, told: InboundExplanation): InboundExplanation {
  if (!isGrpc(method, rawHeaders)) return told;
  const { status } = told;
  if (status === null) return { ...told, grpcStatus: null };
  // An inbound 504 is a deadline, unlike one that came from upstream.
  return { ...told, grpcStatus: grpcStatusName(status === EXPIRED ? ERRORS.DEADLINE_EXCEEDED.grpc : grpcStatusOf(status)) };
}

const EXPIRED = ERRORS.DEADLINE_EXCEEDED.status;

/** In the order of the inbound stack. */
async function explainCall(
  model: Model,
  call: InboundCall,
  received: Received,
  target: string,
  tools: ExplainInboundTools,
  before: InboundExplanation,
): Promise<InboundExplanation> {
  const { inbound, settings } = model;
  const { peer } = call;
  const path = withQuery(call.path, call.query);
  let told =
    path === target ? before : tell(before, `the path "${target}" is read as "${path}" (pathNormalization ${settings.pathNormalization})`);

  const cors = judgeCors(call, corsOf(inbound));
  if (cors.kind === 'answer') {
    const { resource } = cors;
    return cors.headers.length > 0
      ? { ...tell(told, `${resource} answers the preflight of ${call.header('origin')!}: it may ask`), status: 200, resource }
      : deny(told, `${resource} answers the preflight of ${call.header('origin')!} without permission`, { status: 200, resource });
  }
  if (cors.kind === 'edit') told = tell(told, `${cors.resource} allows the origin ${call.header('origin')!}`);
  else if (isPreflight(call)) told = tell(told, 'the preflight is answered by no cross-origin rule: no token is asked of it, all else is');

  const authorization = compileAuthorization(inbound.authorization);
  const asked = { call, peer, protocol: 'http' } as const;
  told = tell(told, ...sentences(model, 'CUSTOM', asked));
  const custom = firstMatch(authorization.custom, call, peer);
  if (custom !== undefined) return denyByRule(told, 'CUSTOM', custom.id, NO_PROVIDER, asked);

  const { verified, why, resource } = await verify(model, call, tools);
  told = tell(told, ...why);
  if (!verified.ok) return deny(told, `refused: ${verified.reason}`, { status: verified.status, body: verified.reason, resource });
  peer.claims = verified.claims;
  const edited = verified.ops.length === 0 ? call : new EditedCall(call, verified.ops);
  told = judge({ ...told, requestPrincipal: requestPrincipal(peer) || null }, model, authorization, { ...asked, call: edited });
  if (told.decision === 'deny') return told;

  const patience = patienceOf(call);
  if (patience <= 0) return deny(told, 'not begun: the time its caller waits is over', { status: EXPIRED });
  if (patience < Infinity) told = tell(told, `the caller waits ${patience} ms: work that takes longer is ended`);
  return { ...told, request: seen(call, received, verified) };
}

function explainConnection({ inbound }: Model, connection: Connection, before: InboundExplanation): InboundExplanation {
  const authorization = compileAuthorization(inbound.authorization, 'tcp');
  const peer: Peer = {
    connection,
    principal: connection.principal,
    metadata: undefined,
    clientAddress: connection.remoteAddress,
    claims: undefined,
    policy: '',
  };
  const asked: Asked = { call: NO_CALL, peer, protocol: 'tcp' };
  const told = tell(before, ...sentences({ inbound }, 'CUSTOM', asked));
  const custom = firstMatch(authorization.custom, NO_CALL, peer);
  if (custom !== undefined) return denyByRule(told, 'CUSTOM', custom.id, NO_PROVIDER, asked);
  return judge(told, { inbound }, authorization, asked);
}

/** AUDIT, DENY, ALLOW. */
function judge(before: InboundExplanation, model: Pick<Model, 'inbound'>, authorization: Authorization, asked: Asked): InboundExplanation {
  const { audit, deny: denials, allow, dryDeny, dryAllow } = authorization;
  const { call, peer } = asked;
  const { allowed, rule } = decide(denials, allow, call, peer);
  const noted = {
    ...tell(before, ...sentences(model, 'AUDIT', asked), ...sentences(model, 'DENY', asked)),
    audited: matching(audit, call, peer),
    dryRun: dryRunVerdicts(dryDeny, dryAllow, call, peer),
  };
  if (!allowed && rule !== '')
    return denyByRule(noted, 'DENY', rule, 'a denial that matches decides: policies that allow are not asked', asked);
  const told = tell(noted, ...sentences(model, 'ALLOW', asked));
  if (allow === undefined) return tell(told, 'no policy allows in particular, so whatever is not denied is allowed');
  if (!allowed)
    return deny(told, 'there are policies that allow, and none of them matches: denied', { action: 'ALLOW', ...refusalOf(asked) });
  return { ...told, action: 'ALLOW', policy: rule, resource: resourceOf(rule) };
}

const NO_PROVIDER = 'no provider can be asked, so whoever matches is refused';

interface Looked {
  readonly verified: Verified;
  readonly why: readonly string[];
  readonly resource: string | null;
}

async function verify({ inbound: { jwt } }: Model, call: Call, { tokens, clock = systemClock }: ExplainInboundTools): Promise<Looked> {
  const forged = forgeable(jwt);
  const without = afterTokens(call, forged, [], []);
  if (jwt.length === 0) return { verified: without, why: ['no RequestAuthentication holds: tokens are not looked at'], resource: null };
  if (isPreflight(call)) return { verified: without, why: [], resource: null };
  const places = tokenPlaces(jwt);
  const found = findTokens(places, call);
  if ('ambiguous' in found) return { verified: { ok: false, status: 401, reason: found.ambiguous }, why: [], resource: null };
  if (found.length === 0) {
    const where = places.map(({ location }) => describePlace(location)).join(', ');
    return { verified: without, why: [`no token in ${where}: the call goes on without a request identity`], resource: null };
  }
  const verifier = tokens?.prepare(jwt, { clock, random: systemRandom, onEvent: () => {} }) ?? NOBODY_VERIFIES;
  try {
    const outcomes = await Promise.all(found.map(async ({ token, rules }) => verifier.verify(token, rules)));
    const why = outcomes.map((outcome, index) => `the token in ${describePlace(found[index]!.location)} ${describeOutcome(outcome)}`);
    const bad = outcomes.findIndex(({ ok }) => !ok);
    const resources = new Set(found[bad]?.rules.map((rule) => rule.resource));
    return { verified: afterTokens(call, forged, found, outcomes), why, resource: resources.size === 1 ? [...resources][0]! : null };
  } finally {
    verifier.close();
  }
}

function describeOutcome(outcome: TokenOutcome): string {
  if (!outcome.ok) return `is not accepted: ${outcome.reason}`;
  const { iss, sub } = outcome.claims as { iss?: unknown; sub?: unknown };
  const named = [...(typeof iss === 'string' ? [`issuer "${iss}"`] : []), ...(typeof sub === 'string' ? [`subject "${sub}"`] : [])];
  return `is verified under ${outcome.rule.resource}${named.length === 0 ? '' : `: ${named.join(', ')}`}`;
}

function sentences({ inbound }: Pick<Model, 'inbound'>, action: AuthorizationPolicy['action'], asked: Asked): string[] {
  return inbound.authorization.filter((policy) => policy.action === action).flatMap((policy) => explainRules(policy, asked));
}

function greet({ inbound }: Model, request: ExplainInboundRequest, mtls: MtlsMode, { principal }: Connection): string[] {
  const { resources } = inbound.mtls;
  const from = resources.length === 0 ? 'no PeerAuthentication says otherwise' : resources.join(', ');
  const demand = `port ${request.port} is ${mtls} (${from})`;
  if (principal !== undefined) return [`${demand}, and the caller proves to be ${principal.uri}`];
  if (request.principal !== undefined)
    return [`${demand}: nobody can prove who he is there, so ${request.principal} is nobody in particular`];
  return [
    mtls === 'STRICT'
      ? `${demand}: callers must come by mutual TLS, and this one comes in plaintext`
      : `${demand}, and the caller comes in plaintext`,
  ];
}

function seen(call: Call, { rawHeaders }: Received, verified: Extract<Verified, { readonly ok: true }>): InboundExplanation['request'] {
  const lines = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1]!] as const] : []));
  const headers = new Map<string, string>();
  for (const [name, value] of applyHeaderOps(lines, verified.ops)) {
    const others = headers.get(name);
    if (name !== 'host') headers.set(name, others === undefined ? value : `${others},${value}`);
  }
  return {
    method: call.method,
    authority: call.authority,
    path: withQuery(call.path, verified.query),
    headers: Object.fromEntries(headers),
  };
}

const withQuery = (path: string, query: string): string => (query === '' ? path : `${path}?${query}`);

const tell = (told: InboundExplanation, ...why: readonly string[]): InboundExplanation =>
  why.length === 0 ? told : { ...told, why: [...told.why, ...why] };

const deny = (told: InboundExplanation, why: string, fields: Partial<InboundExplanation>): InboundExplanation => ({
  ...tell(told, why),
  decision: 'deny',
  ...fields,
});

function denyByRule(told: InboundExplanation, action: 'CUSTOM' | 'DENY', rule: string, why: string, asked: Asked): InboundExplanation {
  return deny(told, why, { action, policy: rule, resource: resourceOf(rule), ...refusalOf(asked) });
}

/** Envoy's words to a request; a connection is closed without any. */
const refusalOf = ({ protocol }: Asked): Pick<InboundExplanation, 'status' | 'body'> =>
  protocol === 'http' ? { status: 403, body: ACCESS_DENIED } : { status: null, body: null };

function resourceOf(rule: string): string {
  const [, namespace = '', name = ''] = /ns\[([^\]]*)\]-policy\[([^\]]*)\]/.exec(rule) ?? [];
  return `AuthorizationPolicy ${namespace}/${name}`;
}
