import type { Destination, PathRewrite } from '@inmesh/policy';
import type { Call, Edits as CallEdits } from '../call.ts';
import { NO_EDITS } from '../call.ts';
import type { FilterKind } from '../kind.ts';
import { compileRewrite } from './rewrite.ts';

/** What a destination changes of a call: header operations both ways, another authority, another path. */
export interface Edits extends Pick<Destination, 'requestHeaders' | 'responseHeaders' | 'authority'> {
  readonly rewrite: PathRewrite | null;
}

/**
 * Notes what the transport shall change on the wire. Below split, for each destination has its own; above mirror and
 * hash, which see the call as upstream will. Where no path has to be computed all calls share one Edits.
 */
export const edits: FilterKind<Edits> = {
  name: 'edits',
  outbound: (config) => {
    const { constant, of } = compileEdits(config);
    if (constant === NO_EDITS) return (next) => next;
    if (constant !== undefined) {
      return (next) => (exchange, transport) => {
        exchange.edits = constant;
        return next(exchange, transport);
      };
    }
    return (next) => (exchange, transport) => {
      exchange.edits = of(exchange.call);
      return next(exchange, transport);
    };
  },
};

/** The edits of a destination: one for all calls (`constant`), or computed from the call's path. */
export function compileEdits(config: Edits): { readonly constant: CallEdits | undefined; readonly of: (call: Call) => CallEdits } {
  const { requestHeaders: request, responseHeaders: response, rewrite } = config;
  const authority = config.authority ?? undefined;
  if (rewrite === null && authority === undefined && request.length === 0 && response.length === 0)
    return { constant: NO_EDITS, of: () => NO_EDITS };
  if (rewrite === null || rewrite.kind === 'full') {
    const constant: CallEdits = { authority, path: rewrite === null ? undefined : compileRewrite(rewrite)(''), request, response };
    return { constant, of: () => constant };
  }
  const path = compileRewrite(rewrite);
  return { constant: undefined, of: (call) => ({ authority, path: path(call.path), request, response }) };
}
