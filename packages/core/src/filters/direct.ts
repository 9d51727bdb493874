import type { HeaderOp, RouteAction } from '@inmesh/policy';
import { localAnswer } from './answers.ts';
import type { FilterKind } from '../kind.ts';

/** A fixed answer of the policy (VirtualService `directResponse`) and the route's response header operations. */
export interface Direct extends Pick<Extract<RouteAction, { kind: 'direct' }>, 'status' | 'body' | 'bodyEncoding'> {
  readonly responseHeaders: readonly HeaderOp[];
}

/** Answers without asking anyone. The end of a stack. */
export const direct: FilterKind<Direct> = {
  name: 'direct',
  outbound: ({ status, body, bodyEncoding, responseHeaders }) => {
    const bytes = bodyEncoding === 'base64' ? Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0)) : body;
    const answer = localAnswer(status, bytes, bodyEncoding === 'utf8' ? body : '', [], responseHeaders);
    return () => (exchange, transport) => {
      exchange.life.answeredBy('direct_response');
      return Promise.resolve(transport.answer(exchange, answer));
    };
  },
};
