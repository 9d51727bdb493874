import type { HeaderOp, RouteAction } from '@inmesh/policy';
import type { Call } from '../call.ts';
import type { FilterKind } from '../kind.ts';
import { localAnswer } from './answers.ts';
import { compileRewrite } from './rewrite.ts';

type RedirectAction = Extract<RouteAction, { kind: 'redirect' }>;

/** A redirect of the policy (VirtualService `redirect`, HTTPRoute RequestRedirect) and the route's response header operations. */
export interface Redirect extends Omit<RedirectAction, 'kind'> {
  readonly responseHeaders: readonly HeaderOp[];
}

/** Answers with a Location. The end of a stack. */
export const redirect: FilterKind<Redirect> = {
  name: 'redirect',
  outbound: (config) => {
    const location = compileLocation(config);
    return () => (exchange, transport) => {
      const answer = localAnswer(config.status, '', 'redirect', [['location', location(exchange.call)]], config.responseHeaders);
      exchange.life.answeredBy('direct_response');
      return Promise.resolve(transport.answer(exchange, answer));
    };
  },
};

/**
 * The Location of a call (Envoy newUri): scheme, authority, port and path are each replaced where the policy names one.
 * Without a port of the policy the caller's stays, unless the authority is replaced or it was the default of a scheme
 * that is; the default port of the new scheme is never written. The query stays unless the new path brings its own.
 */
export function compileLocation(action: Omit<Redirect, 'status' | 'responseHeaders'>): (call: Call) => string {
  const rewrite = action.path === null ? undefined : compileRewrite(action.path);
  return (call) => {
    const scheme = action.scheme ?? call.scheme;
    const path = rewrite === undefined ? call.path : rewrite(call.path);
    const query = call.query === '' || path.includes('?') ? '' : `?${call.query}`;
    return `${scheme}://${authorityOf(action, call, scheme)}${path}${query}`;
  };
}

function authorityOf(action: Pick<RedirectAction, 'authority' | 'port'>, call: Call, scheme: string): string {
  const authority = action.authority ?? call.authority;
  const [, host = authority, ownPort] = /^(.*?)(?::(\d+))?$/.exec(authority)!;
  switch (action.port) {
    case null:
      if (action.authority === null && scheme !== call.scheme && Number(ownPort) === DEFAULT_PORTS[call.scheme]) return host;
      return authority;
    case 'protocolDefault':
      return host;
    default: {
      const port = action.port === 'requestPort' ? call.port : action.port;
      return port === DEFAULT_PORTS[scheme] ? host : `${host}:${port}`;
    }
  }
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };
