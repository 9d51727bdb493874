import { type IncomingMessage, request as requestHttp, type ServerResponse } from 'node:http';
import { request as requestHttps } from 'node:https';
import { send, text } from '@inmesh/admin/console';

/** What is told of somebody else's answer: of what kind it is. Its own words on that are not repeated to a browser. */
export type Kind = 'json' | 'text' | 'events';

const TYPES: Readonly<Record<Kind, string>> = {
  json: 'application/json; charset=utf-8',
  text: 'text/plain; charset=utf-8',
  events: 'text/event-stream; charset=utf-8',
};

/** Time it may take until the answer begins. A query of Prometheus may be long, and that is its own limit. */
const PATIENCE_MS = 30_000;

/**
 * Asks a process or a Prometheus what the page asked, and passes the answer on as it comes. One that does not answer is a 502 that
 * says so; a page that it does not have is 204, for that is no fault.
 */
export function pass(base: URL, path: string, kind: Kind, response: ServerResponse): void {
  const target = new URL(`${base.pathname.replace(/\/$/, '')}/${path}`, base);
  const headers = base.username === '' ? {} : { authorization: `Basic ${Buffer.from(`${decodeURIComponent(base.username)}:${decodeURIComponent(base.password)}`).toString('base64')}` }; // prettier-ignore
  const asked = (base.protocol === 'https:' ? requestHttps : requestHttp)(target, { headers, timeout: PATIENCE_MS }, (answer) => relay(answer, kind, response)); // prettier-ignore
  const fail = (why: string): void => {
    if (response.headersSent) response.destroy();
    else send(response, text(502, `does not answer: ${why}`));
  };
  asked.on('error', (error: NodeJS.ErrnoException) => fail(error.message === '' ? (error.code ?? 'no reason is known') : error.message));
  asked.on('timeout', () => {
    if (!response.headersSent) asked.destroy(new Error(`nothing came within ${PATIENCE_MS / 1000} s`));
  });
  // Whoever leaves a tap ends it.
  response.on('close', () => asked.destroy());
  asked.end();
}

function relay(answer: IncomingMessage, kind: Kind, response: ServerResponse): void {
  const { statusCode = 502 } = answer;
  if (statusCode === 404) {
    answer.resume();
    return send(response, { ...text(204, ''), body: '' });
  }
  // A redirect would lead to where nobody was asked to look.
  const redirected = statusCode >= 300 && statusCode < 400;
  if (redirected) {
    answer.resume();
    return send(
      response,
      text(502, `answers with a redirect (${statusCode}) to ${answer.headers.location ?? 'nowhere'}: name the address it leads to`),
    );
  }
  response.on('error', () => {});
  response.writeHead(statusCode, {
    'content-type': TYPES[statusCode === 200 || kind === 'json' ? kind : 'text'],
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  });
  answer.on('error', () => response.destroy());
  answer.pipe(response);
}
