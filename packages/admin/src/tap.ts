import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Page, text } from './page.ts';
import { redactPath } from './redact.ts';

/** One line of an access log: Istio's keys, and `reporter`, `source_workload`, `destination_service`, … */
export type TapLine = Readonly<Record<string, unknown>>;

/** Hears of every call that ends, until it is closed. */
export type OpenTap = (listener: (line: Record<string, unknown>) => void) => { close(): void };

/** More readers than there are operators are a leak, and each costs every call a look. */
const MAX_READERS = 32;
/** What may wait for a slow reader; beyond it lines are dropped and counted. */
const MAX_WAITING_BYTES = 256 * 1024;
/** So that proxies between do not take a quiet tap for a dead one. */
const HEARTBEAT_MS = 15_000;

export const TAP_FILTERS =
  'service=reviews (name or FQDN), path=/x (its beginning), status=503 or 5xx, method=GET, reporter=source or destination, flag=UH';

type Test = (line: TapLine) => boolean;

const said = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '');

const FILTERS: Readonly<Record<string, (wanted: string) => Test | string>> = {
  status: (wanted) => {
    if (!/^\d(?:\d\d|xx)$/i.test(wanted)) return `status=${wanted} is neither a code as 503 nor a class as 5xx`;
    const pattern = new RegExp(`^${wanted.toLowerCase().replaceAll('x', '\\d')}$`);
    return ({ response_code: code }) => pattern.test(said(code));
  },
  path: (wanted) => ({ path }) => said(path).startsWith(wanted),
  service: (wanted) => ({ destination_service: service, authority }) => [said(service), said(service).split('.')[0], said(authority).replace(/:\d+$/, '')].includes(wanted),
  method: (wanted) => ({ method }) => said(method) === wanted.toUpperCase(),
  reporter: (wanted) => ({ reporter }) => said(reporter) === wanted,
  flag: (wanted) => ({ response_flags: flags }) => said(flags).split(',').includes(wanted.toUpperCase()),
}; // prettier-ignore

/** Streams what ends as server-sent events, to a few readers at a time. A reader that is slow loses lines; nobody waits for it. */
export class Tap {
  readonly #open: OpenTap;
  readonly #readers = new Set<() => void>();

  constructor(open: OpenTap) {
    this.#open = open;
  }

  /** What is wrong with the question; undefined: it is being answered. */
  answer(query: URLSearchParams, request: IncomingMessage, response: ServerResponse): Page | undefined {
    const tests = testsOf(query);
    if (typeof tests === 'string') return text(400, `${tests}; filters are ${TAP_FILTERS}`);
    if (this.#readers.size >= MAX_READERS) return text(503, `${MAX_READERS} readers follow the tap already: close one`);
    this.#follow(tests, request, response);
    return undefined;
  }

  close(): void {
    for (const end of this.#readers) end();
  }

  #follow(tests: readonly Test[], request: IncomingMessage, response: ServerResponse): void {
    response.on('error', () => {});
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    // At once, so that whoever listens knows that it does.
    response.write(': listening\n\n');
    let dropped = 0;
    const tell = (): void => {
      if (dropped === 0 || response.writableLength > MAX_WAITING_BYTES) return;
      response.write(`event: dropped\ndata: ${dropped}\n\n`);
      dropped = 0;
    };
    const opened = this.#open((line) => {
      if (!tests.every((test) => test(line))) return;
      if (response.writableLength > MAX_WAITING_BYTES) {
        dropped += 1;
        return;
      }
      tell();
      response.write(`data: ${JSON.stringify(typeof line['path'] === 'string' ? { ...line, path: redactPath(line['path']) } : line)}\n\n`);
    });
    response.on('drain', tell);
    const heart = setInterval(() => response.write(':\n\n'), HEARTBEAT_MS).unref();
    const end = (): void => {
      if (!this.#readers.delete(end)) return;
      clearInterval(heart);
      opened.close();
      response.end();
    };
    this.#readers.add(end);
    request.on('close', end);
    response.on('close', end);
  }
}

/** The tests of a query, or what is wrong with it. */
function testsOf(query: URLSearchParams): readonly Test[] | string {
  const tests: Test[] = [];
  for (const [name, wanted] of query) {
    const filter = FILTERS[name];
    const test = filter === undefined ? `there is no filter "${name}"` : filter(wanted);
    if (typeof test === 'string') return test;
    tests.push(test);
  }
  return tests;
}
