import type { ServerResponse } from 'node:http';

/** An answer that is known whole. */
export interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

export const text = (status: number, sentence: string): Page => ({ status, type: TEXT, body: `${sentence}\n` });

export const json = (status: number, value: unknown): Page => ({
  status,
  type: JSON_TYPE,
  body: `${JSON.stringify(value ?? null, plain, 2)}\n`,
});

/** What JSON has no form for, in one that can be read. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value) as unknown;
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}

export function send(response: ServerResponse, { status, type, body, headers }: Page): void {
  response.on('error', () => {});
  response.writeHead(status, {
    'content-type': type,
    ...(status === 304 || status === 204 ? {} : { 'content-length': Buffer.byteLength(body) }),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(body);
}
