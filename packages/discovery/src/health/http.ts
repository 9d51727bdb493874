import { isIP } from 'node:net';
import type { Ask } from './ask.ts';

// Taken when this module loads, and not imported: see packages/policy/src/source/http.ts.
const { request: requestHttp } = process.getBuiltinModule('node:http');
const { request: requestHttps } = process.getBuiltinModule('node:https');

/** Healthy if an HTTP GET answers 200 to 399, as the kubelet sees it: redirects are not followed, the certificate is not looked at. */
export const askHttp: Ask<'http'> = ({ path, host, tls, headers }, to, signal) =>
  new Promise((resolve, reject) => {
    const request = (tls ? requestHttps : requestHttp)({
      ...('path' in to ? { socketPath: to.path } : to),
      method: 'GET',
      path,
      // A connection of its own: one that is kept would only say that the process was there before.
      agent: false,
      headers: { 'user-agent': 'inmesh-probe', connection: 'close', ...(host === null ? {} : { host }), ...Object.fromEntries(headers) },
      ...(tls ? { rejectUnauthorized: false, ...(host === null || isIP(host) !== 0 ? {} : { servername: host }) } : {}),
    });
    const give = (): void => void request.destroy(new Error('no answer in time'));
    signal.addEventListener('abort', give, { once: true });
    request.on('socket', (socket) => socket.unref());
    request.on('response', (response) => {
      const { statusCode = 0 } = response;
      // The body is of no interest, and may have no end.
      response.on('error', () => {});
      response.destroy();
      if (statusCode >= 200 && statusCode < 400) resolve();
      else reject(new Error(`answered ${statusCode}`));
    });
    request.on('error', reject);
    request.on('close', () => {
      signal.removeEventListener('abort', give);
      reject(new Error('closed before it answered'));
    });
    request.end();
  });
