import type { AuthorizationPolicy, AuthorizationRule, Condition } from '@inmesh/policy';
import type { Call } from '../call.ts';
import type { Peer } from '../peer.ts';
import { compileCondition, isHttpOnly, type Predicate } from './conditions.ts';

/** One rule, ready. */
export interface CompiledRule {
  /** `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`, as Istio names it. */
  readonly id: string;
  /** Place in its policy. */
  readonly index: number;
  readonly matches: Predicate;
}

/** The policies of a workload by what they do; each list is empty where there are none. */
export interface Authorization {
  /** Asked before tokens are looked at; until providers exist, who matches is refused (Istio's …deny-due-to-bad-CUSTOM-action). No dry run: validation knows it of ALLOW and DENY only. */
  readonly custom: readonly CompiledRule[];
  readonly audit: readonly CompiledRule[];
  readonly deny: readonly CompiledRule[];
  /** undefined: nothing allows in particular, so everything not denied is allowed. An empty list allows nothing. */
  readonly allow: readonly CompiledRule[] | undefined;
  /** Policies in dry run: judged, never obeyed. */
  readonly dryDeny: readonly CompiledRule[];
  readonly dryAllow: readonly CompiledRule[] | undefined;
}

/** What was decided, and by which rule: '' if none did (nothing to match, or no ALLOW rule matched). */
export interface Decision {
  readonly allowed: boolean;
  readonly rule: string;
}

/**
 * Compiles policies for requests, or for TCP connections, to which rules over requests mean something else: a rule that
 * allows is left out whole, of one that denies only its conditions over requests are (Istio builder, forTCP).
 */
export function compileAuthorization(policies: readonly AuthorizationPolicy[], protocol: 'http' | 'tcp' = 'http'): Authorization {
  const rules = (action: AuthorizationPolicy['action'], dryRun: boolean): readonly CompiledRule[] | undefined => {
    const chosen = policies.filter((policy) => policy.action === action && policy.dryRun === dryRun);
    return chosen.length === 0 ? undefined : chosen.flatMap((policy) => compilePolicy(policy, protocol));
  };
  return {
    custom: rules('CUSTOM', false) ?? [],
    audit: rules('AUDIT', false) ?? [],
    deny: rules('DENY', false) ?? [],
    allow: rules('ALLOW', false),
    dryDeny: rules('DENY', true) ?? [],
    dryAllow: rules('ALLOW', true),
  };
}

/** The rules of one policy; those that mean nothing to the protocol are left out. */
export function compilePolicy({ namespace, name, action, provider, rules }: AuthorizationPolicy, protocol: 'http' | 'tcp'): CompiledRule[] {
  const prefix = action === 'CUSTOM' ? `istio-ext-authz-${provider}-` : '';
  return rules.flatMap((rule, index) => {
    const meant = protocol === 'http' ? rule : forTcp(rule, action === 'ALLOW');
    if (meant === undefined) return [];
    return [{ id: `${prefix}ns[${namespace}]-policy[${name}]-rule[${index}]`, index, matches: compileRule(meant, action !== 'ALLOW') }];
  });
}

/** What a rule means to a TCP connection; undefined: nothing. */
export function forTcp(rule: AuthorizationRule, allows: boolean): AuthorizationRule | undefined {
  const isHttp = ({ attribute }: Condition): boolean => isHttpOnly(attribute);
  if (allows) return [...rule.from.flat(), ...rule.to.flat(), ...rule.when].some(isHttp) ? undefined : rule;
  const kept = (conditions: readonly Condition[]): readonly Condition[] => conditions.filter((condition) => !isHttp(condition));
  return { from: rule.from.map(kept), to: rule.to.map(kept), when: kept(rule.when) };
}

const ALWAYS: Predicate = () => true;

function compileRule({ from, to, when }: AuthorizationRule, denies: boolean): Predicate {
  const all = (conditions: readonly Condition[]): Predicate => every(conditions.map((condition) => compileCondition(condition, denies)));
  // What is asked for differs from call to call more than who asks: operations first.
  return every([any(to.map(all)), any(from.map(all)), all(when)].filter((part) => part !== ALWAYS));
}

function every(parts: readonly Predicate[]): Predicate {
  const [first, second] = parts;
  if (first === undefined) return ALWAYS;
  if (second === undefined) return first;
  if (parts.length === 2) return (call, peer) => first(call, peer) && second(call, peer);
  return (call, peer) => parts.every((part) => part(call, peer));
}

function any(parts: readonly Predicate[]): Predicate {
  const [first] = parts;
  if (first === undefined) return ALWAYS;
  if (parts.length === 1) return first;
  return (call, peer) => parts.some((part) => part(call, peer));
}

/** The first rule that matches, for whoever wants to know which. */
export function firstMatch(rules: readonly CompiledRule[], call: Call, peer: Peer): CompiledRule | undefined {
  // A plain loop: this is asked of every call.
  for (const rule of rules) if (rule.matches(call, peer)) return rule;
  return undefined;
}

/** DENY, then ALLOW. Which of several matching rules is named may depend on their order, whether the call is allowed does not. */
export function decide(deny: readonly CompiledRule[], allow: readonly CompiledRule[] | undefined, call: Call, peer: Peer): Decision {
  const denied = deny.length === 0 ? undefined : firstMatch(deny, call, peer);
  if (denied !== undefined) return { allowed: false, rule: denied.id };
  if (allow === undefined) return ALLOWED;
  const allowed = firstMatch(allow, call, peer);
  return allowed === undefined ? NOT_ALLOWED : { allowed: true, rule: allowed.id };
}

const ALLOWED: Decision = { allowed: true, rule: '' };
const NOT_ALLOWED: Decision = { allowed: false, rule: '' };

/**
 * May a TCP connection come in? CUSTOM, DENY, ALLOW; `authorization` compiled for TCP. Rules that are left speak of the
 * connection alone, so there is no call to show them.
 */
export function decideConnection({ custom, deny, allow }: Authorization, peer: Peer): Decision {
  const asked = firstMatch(custom, NO_CALL, peer);
  return asked === undefined ? decide(deny, allow, NO_CALL, peer) : { allowed: false, rule: asked.id };
}

/** All that rules over TCP connections see of a call. */
export const NO_CALL: Call = {
  protocol: 'tcp', scheme: '', authority: '', host: '', port: 0, method: '', path: '', query: '', replayable: false, sourceIp: undefined,
  header: () => undefined,
  headerValues: () => [],
}; // prettier-ignore

const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  'source.principal', 'source.namespace', 'source.serviceAccount', 'source.trustDomain', 'connection.sni',
]); // prettier-ignore

/** Does any rule in force ask what only the TLS connection can prove? Then that must be known, or nothing may pass. */
export function asksForPeer(policies: readonly AuthorizationPolicy[]): boolean {
  return policies
    .filter(({ action, dryRun }) => action !== 'AUDIT' && !dryRun)
    .flatMap(({ rules }) => rules)
    .some(({ from, to, when }) => [...from.flat(), ...to.flat(), ...when].some(({ attribute }) => OF_THE_CONNECTION.has(attribute.name)));
}
