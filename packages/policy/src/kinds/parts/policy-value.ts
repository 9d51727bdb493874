import type { Attribute } from '../../inbound.ts';
import { clip, isIpOrCidr } from '../../schema/scalars.ts';

/** Why a value can never be compared with an attribute, or undefined (Istio pkg/config/security and the rules of its CRD). */
export function valueFault(attribute: Attribute['name'], value: string): string | undefined {
  if (value === '') return 'a value is empty\nwrite "*" for any value';
  switch (attribute) {
    case 'source.ip':
    case 'remote.ip':
    case 'destination.ip':
      return isBlock(value)
        ? undefined
        : `"${clip(value)}" is neither an IP address nor a CIDR range\nwrite such as 10.0.0.1 or 10.0.0.0/8`;
    case 'destination.port':
      return /^\d{1,9}$/.test(value) && Number(value) <= 65_535
        ? undefined
        : `"${clip(value)}" is not a port\nwrite its number, without wildcards`;
    case 'source.serviceAccount':
      return accountFault(value);
    case 'source.trustDomain':
      return trustDomainFault(value);
    case 'path':
      return templateFault(value);
    default:
      return undefined;
  }
}

/** As Go reads them: a leading zero would be octal elsewhere, and is refused. */
const isBlock = (value: string): boolean => isIpOrCidr(value) && !(value.includes(':') ? /\/0\d/ : /(?:^|[./])0\d/).test(value);

const MOST_ACCOUNT = 320;

function accountFault(value: string): string | undefined {
  if (value.includes('*')) return `"${clip(value)}" holds a wildcard, which service accounts cannot\nname each, or use principals`;
  if (value.length > MOST_ACCOUNT) return `a service account is longer than ${MOST_ACCOUNT} characters`;
  const parts = value.split('/');
  return parts.length <= 2 && parts.every((part) => part !== '')
    ? undefined
    : `"${clip(value)}" is not a service account\nwrite NAME, or NAMESPACE/NAME for one of another namespace`;
}

function trustDomainFault(value: string): string | undefined {
  if (value.includes('/')) return `"${clip(value)}" is not a trust domain, it holds a /\nwrite such as cluster.local`;
  return /^(?:\*?[^*]*|[^*]*\*)$/.test(value)
    ? undefined
    : `"${clip(value)}" holds a wildcard in the middle, or two\nwrite *, *SUFFIX or PREFIX*`;
}

/** A path that holds `{*}` or `{**}` is compared segment by segment. */
export const isTemplate = (path: string): boolean => path.includes('{*}') || path.includes('{**}');

/** Istio's CheckValidPathTemplate: an operator is a whole segment, behind `{**}` there are only literals, all else is plain characters of a path. */
function templateFault(path: string): string | undefined {
  const template = isTemplate(path);
  let any = false;
  for (const segment of path.replace(/^\/+|\/+$/g, '').split('/')) {
    const operator = segment === '{*}' || segment === '{**}';
    if (operator && any) return `"${clip(path)}" has an operator behind {**}\n{**} is the last operator of a path`;
    if (segment === '{**}') any = true;
    if (operator) continue;
    if (/[{}]/.test(segment)) return `"${clip(path)}" holds a brace that is no operator\n{*} and {**} are whole segments`;
    if (template && !/^[\w.~%!$&'()+,;:@=-]+$/.test(segment))
      return `"${clip(path)}" is not a path template\nbetween its operators stand segments of plain characters, without *`;
  }
  return undefined;
}
