import type { Attribute, AuthorizationPolicy, AuthorizationRule, Condition } from '@inmesh/policy';
import type { Call } from '../call.ts';
import { compilePolicy, forTcp } from '../inbound/authorization.ts';
import { claimAt, compileCondition, isHttpOnly, readHeader } from '../inbound/conditions.ts';
import { requestPrincipal } from '../inbound/ledger.ts';
import type { Peer } from '../peer.ts';

/** A call, or a connection, that rules are held against. */
export interface Asked {
  readonly call: Call;
  readonly peer: Peer;
  readonly protocol: 'http' | 'tcp';
}

/** What each rule of a policy says to a call, one sentence per rule. */
export function explainRules(policy: AuthorizationPolicy, asked: Asked): string[] {
  const { namespace, name, action, dryRun, rules } = policy;
  const who = `${action} policy ${namespace}/${name}${dryRun ? ' (in dry run: it decides nothing)' : ''}`;
  if (rules.length === 0) return [`${who} has no rules: it matches nothing`];
  const matched = new Set(
    compilePolicy(policy, asked.protocol).flatMap(({ index, matches }) => (matches(asked.call, asked.peer) ? [index] : [])),
  );
  return rules.map((rule, index) => {
    const meant = asked.protocol === 'http' ? rule : forTcp(rule, action === 'ALLOW');
    const where = `${who}, rule ${index},`;
    if (meant === undefined) return `${where} speaks of ${httpOnly(rule).join(', ')}, which a TCP connection has not: it allows none`;
    const lost = asked.protocol === 'tcp' ? httpOnly(rule) : [];
    const widened = lost.length === 0 ? '' : ` (${lost.join(', ')} left aside, which a TCP connection has not)`;
    const denies = action !== 'ALLOW';
    return matched.has(index)
      ? `${where} matches: ${held(meant, denies, asked)}${widened}`
      : `${where} does not match: ${failed(meant, denies, asked)}${widened}`;
  });
}

function httpOnly({ from, to, when }: AuthorizationRule): string[] {
  const conditions = [...from.flat(), ...to.flat(), ...when];
  return [...new Set(conditions.filter(({ attribute }) => isHttpOnly(attribute)).map(({ attribute }) => subjectOf(attribute)))];
}

const holds = (condition: Condition, denies: boolean, { call, peer }: Asked): boolean => compileCondition(condition, denies)(call, peer);

function held({ from, to, when }: AuthorizationRule, denies: boolean, asked: Asked): string {
  const all = (conditions: readonly Condition[]): boolean => conditions.every((condition) => holds(condition, denies, asked));
  const conditions = [...(to.find(all) ?? []), ...(from.find(all) ?? []), ...when];
  return conditions.length === 0 ? 'it holds for everything' : conditions.map((condition) => describe(condition, asked)).join(' and ');
}

/** Of alternatives each has failed; of what must all hold, what did not. */
function failed({ from, to, when }: AuthorizationRule, denies: boolean, asked: Asked): string {
  const wrong = (conditions: readonly Condition[]): string[] =>
    conditions.filter((condition) => !holds(condition, denies, asked)).map((condition) => describe(condition, asked));
  const none = (alternatives: readonly (readonly Condition[])[]): string[] => {
    const faults = alternatives.map(wrong);
    // An alternative without a fault holds, and no alternatives demand nothing.
    return faults.every((fault) => fault.length > 0) && faults.length > 0
      ? [[...new Set(faults.map((fault) => fault.join(' and ')))].join(', or ')]
      : [];
  };
  return [...none(to), ...none(from), ...wrong(when)].join('; and ');
}

/** `path is "/admin/x" (must be "/admin/*")`. */
function describe({ attribute, values, notValues }: Condition, asked: Asked): string {
  const found = valuesOf(attribute, asked);
  const is = found.length === 0 ? 'is absent' : `is ${quoted(found, ' and ')}`;
  const musts = [
    ...(values.length === 0 ? [] : [`must be ${quoted(values, ' or ')}`]),
    ...(notValues.length === 0 ? [] : [`must not be ${quoted(notValues, ' or ')}`]),
  ];
  return `${subjectOf(attribute)} ${is} (${musts.join(' and ')})`;
}

/** Long lists are cut: a policy may have hundreds of values. */
const SHOWN = 8;

function quoted(values: readonly string[], between: string): string {
  const shown = values.slice(0, SHOWN).map((value) => `"${value}"`);
  const more = values.length - shown.length;
  return [...shown, ...(more === 0 ? [] : [`${more} more`])].join(between);
}

function subjectOf(attribute: Attribute): string {
  switch (attribute.name) {
    case 'request.headers':
      return `request.headers[${attribute.header}]`;
    case 'request.auth.claims':
      return `request.auth.claims${attribute.claim.map((name) => `[${name}]`).join('')}`;
    case 'experimental.envoy.filters':
      return `experimental.envoy.filters.${attribute.key}`;
    default:
      return attribute.name;
  }
}

/** What a call has of an attribute, as rules would have to write it; nothing if it is missing. */
function valuesOf(attribute: Attribute, { call, peer }: Asked): readonly string[] {
  const { connection, clientAddress, principal } = peer;
  switch (attribute.name) {
    case 'host':
      return some(call.authority);
    case 'method':
      return some(call.method);
    case 'path':
      return some(call.path);
    case 'destination.port':
      return [String(connection.localPort)];
    case 'destination.ip':
      return some(connection.localAddress);
    case 'source.ip':
      return some(connection.remoteAddress);
    case 'remote.ip':
      return some(clientAddress);
    case 'source.principal':
      return some(principal?.uri.slice('spiffe://'.length));
    case 'source.namespace':
      return some(principal?.namespace);
    case 'source.serviceAccount':
      return principal === undefined ? [] : [`${principal.namespace}/${principal.serviceAccount}`];
    case 'source.trustDomain':
      return some(principal?.trustDomain);
    case 'request.auth.principal':
      return some(requestPrincipal(peer));
    case 'request.auth.audiences':
      return claimed(claimAt(peer.claims, ['aud']));
    case 'request.auth.presenter':
      return claimed(claimAt(peer.claims, ['azp']));
    case 'request.auth.claims':
      return claimed(claimAt(peer.claims, attribute.claim));
    case 'request.headers':
      return readHeader(attribute.header)(call);
    case 'connection.sni':
      return some(connection.sni);
    case 'experimental.envoy.filters':
      return [];
  }
}

const some = (value: string | undefined): readonly string[] => (value === undefined || value === '' ? [] : [value]);

function claimed(value: unknown): readonly string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.flatMap(claimed) : [typeof value === 'string' ? value : JSON.stringify(value)];
}
