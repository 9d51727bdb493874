import type { Principal } from '@inmesh/core';

export type ParsedSpiffeId = { readonly ok: true; readonly principal: Principal } | { readonly ok: false; readonly reason: string };

/** Longest SPIFFE ID an implementation must take (SPIFFE-ID 2.3); longer ones are refused. */
const LONGEST = 2048;
const LONGEST_TRUST_DOMAIN = 255;

const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** Why this is no trust domain; undefined if it is one. Upper case is refused as go-spiffe does, so that one domain has one spelling. */
export function trustDomainProblem(text: string): string | undefined {
  if (text === '') return 'its trust domain is empty';
  if (text.length > LONGEST_TRUST_DOMAIN) return `its trust domain is longer than ${LONGEST_TRUST_DOMAIN} bytes`;
  if (!TRUST_DOMAIN.test(text)) return 'its trust domain may only have a-z, 0-9, ".", "-" and "_"';
  return undefined;
}

/**
 * The identity a SPIFFE ID names, in the form Istio gives out, `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, or in that of Consul's CA,
 * `spiffe://TRUST-DOMAIN/ns/NAMESPACE/dc/DATACENTER/svc/SERVICE`, where the service stands for the account.
 * Read segment by segment and never by a pattern over the whole, which `spiffe://td/ns/evil/x/ns/good/sa/y` would get past.
 */
export function parseSpiffeId(text: string): ParsedSpiffeId {
  const refused = (why: string): ParsedSpiffeId => ({ ok: false, reason: `${printable(text)} is no SPIFFE ID of a workload: ${why}` });
  if (text.length > LONGEST) return refused(`it is longer than ${LONGEST} bytes`);
  if (!text.startsWith('spiffe://')) return refused('it must begin with spiffe://');
  const [trustDomain = '', ...path] = text.slice('spiffe://'.length).split('/');
  const problem = trustDomainProblem(trustDomain);
  if (problem !== undefined) return refused(problem);
  for (const segment of path) {
    if (segment === '') return refused('its path has an empty segment');
    if (segment === '.' || segment === '..') return refused('its path has a dot segment');
    if (!SEGMENT.test(segment)) return refused('its path may only have letters, digits, ".", "-" and "_"');
  }
  const [namespace, serviceAccount] = valuesOf(path, ['ns', 'sa']) ?? [];
  const [ofConsul, , service] = valuesOf(path, ['ns', 'dc', 'svc']) ?? [];
  if (namespace !== undefined && serviceAccount !== undefined)
    return { ok: true, principal: { uri: text, trustDomain, namespace, serviceAccount } };
  if (ofConsul !== undefined && service !== undefined)
    return { ok: true, principal: { uri: text, trustDomain, namespace: ofConsul, serviceAccount: service } };
  return refused("its path must be /ns/NAMESPACE/sa/ACCOUNT (or Consul's /ns/NAMESPACE/dc/DATACENTER/svc/SERVICE)");
}

/** The values of a path of just these words, each followed by its value. */
function valuesOf(path: readonly string[], words: readonly string[]): readonly string[] | undefined {
  if (path.length !== 2 * words.length || words.some((word, index) => path[2 * index] !== word)) return undefined;
  return words.map((_, index) => path[2 * index + 1]!);
}

/** As it may stand in a message: hostile text is cut and quoted. */
function printable(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
