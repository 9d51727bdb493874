import type { Attribute } from '../../inbound.ts';
import { clip, isHttpToken } from '../../schema/scalars.ts';

/** Keys of `when` that stand for themselves, and the attribute each asks for. */
const PLAIN = [
  'source.ip', 'remote.ip', 'source.namespace', 'source.serviceAccount', 'source.trustDomain', 'source.principal',
  'request.auth.principal', 'request.auth.audiences', 'request.auth.presenter', 'destination.ip', 'destination.port', 'connection.sni',
] as const satisfies readonly Attribute['name'][]; // prettier-ignore

const GONE: readonly string[] = ['destination.namespace', 'destination.name', 'destination.user'];

const HEADERS = 'request.headers';
const CLAIMS = 'request.auth.claims';
const ENVOY = 'experimental.envoy.filters.';

/** The key of a condition: the attribute it names, or why it names none. Istio drops a rule with a key it cannot read; here nothing is dropped. */
export type ConditionKey = { readonly attribute: Attribute } | { readonly fault: string };

export function parseConditionKey(key: string): ConditionKey {
  const name = PLAIN.find((one) => one === key);
  if (name !== undefined) return { attribute: { name } };
  if (key.startsWith(`${HEADERS}[`)) return headerKey(key);
  if (key.startsWith(`${CLAIMS}[`)) return claimKey(key);
  if (key.startsWith(ENVOY))
    return /^[^[\]]+\[[^[\]]+\]$/.test(key.slice(ENVOY.length))
      ? { attribute: { name: 'experimental.envoy.filters', key: key.slice(ENVOY.length) } }
      : { fault: `"${clip(key)}" is not of the form ${ENVOY}FILTER[KEY]` };
  if (key === '') return { fault: 'the key is empty' };
  if (GONE.includes(key) || key.startsWith('destination.labels['))
    return { fault: `"${clip(key)}" is a key of old releases\nselect workloads by selector, and callers by from` };
  return { fault: `"${clip(key)}" is no key of a condition\nits keys are ${PLAIN.join(', ')}, ${HEADERS}[NAME], ${CLAIMS}[NAME]` };
}

function headerKey(key: string): ConditionKey {
  const header = key.endsWith(']') ? key.slice(HEADERS.length + 1, -1).toLowerCase() : '';
  return isHttpToken(header.replace(/^:/, ''))
    ? { attribute: { name: 'request.headers', header } }
    : { fault: `"${clip(key)}" names no header\nwrite ${HEADERS}[NAME]` };
}

/** `[a][b]` walks into nested claims (Istio's extractNameInNestedBrackets). A name may hold anything but brackets. */
function claimKey(key: string): ConditionKey {
  const rest = key.slice(CLAIMS.length);
  return /^(?:\[[^[\]]+\])+$/.test(rest)
    ? { attribute: { name: 'request.auth.claims', claim: rest.slice(1, -1).split('][') } }
    : { fault: `"${clip(key)}" names no claim\nwrite ${CLAIMS}[NAME], or ${CLAIMS}[OUTER][INNER] for a nested one` };
}
