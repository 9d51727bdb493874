import { editLines } from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import { IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';

/** The header lines of a request in every form in which a program may read them. */
export interface HeaderForms {
  readonly rawHeaders: string[];
  readonly headers: Record<string, string | string[] | undefined>;
  /** HTTP/1 only. */
  readonly headersDistinct?: Record<string, string[] | undefined>;
}

/** Changes the header lines of a request in place. */
export function editRequest(request: HeaderForms, ops: readonly HeaderOp[]): void {
  const lazy = request as object as Lazy;
  // Not what only looks like a request of Node (an injected call, HTTP/2), nor one of more lines than its server reads.
  if (lazy[LINES] !== request.rawHeaders.length) return editForms(request, ops);
  editLines(request.rawHeaders, ops);
  lazy[LINES] = request.rawHeaders.length;
  lazy.headers = undefined;
  lazy.headersDistinct = undefined;
}

/** Node makes the parsed forms of a request from its lines when first asked, and again if they were taken away. */
interface Lazy {
  [LINES]: number;
  headers: undefined;
  headersDistinct: undefined;
}

/** Where it notes how many of the lines it reads (lib/_http_incoming.js). Were that gone, `editForms` would do, only slower. */
const LINES: unique symbol = (Object.getOwnPropertySymbols(new IncomingMessage(undefined as never)).find(
  ({ description }) => description === 'kHeadersCount',
) ?? Symbol('nowhere')) as never;

function editForms({ headers, headersDistinct, rawHeaders }: HeaderForms, ops: readonly HeaderOp[]): void {
  editLines(rawHeaders, ops);
  for (const op of ops) {
    if (op.op !== 'add') {
      delete headers[op.name];
      if (headersDistinct !== undefined) delete headersDistinct[op.name];
    }
    if (op.op === 'remove') continue;
    const before = headers[op.name];
    headers[op.name] = before === undefined ? op.value : `${String(before)}, ${op.value}`;
    if (headersDistinct !== undefined) (headersDistinct[op.name] ??= []).push(op.value);
  }
}

type WriteHead = (status: number, ...rest: unknown[]) => ServerResponse;

/** Changes the headers of an answer at the moment the program sends them. */
export function editResponse(response: ServerResponse, ops: readonly HeaderOp[]): void {
  const original = response.writeHead.bind(response) as WriteHead;
  const writeHead: WriteHead = (status, ...rest) => {
    const given = rest.at(-1);
    // Headers named in the call win over those set before: they must not win over the policy's.
    if (typeof given === 'object' && given !== null) {
      rest.pop();
      if (Array.isArray(given)) setLines(response, given as string[]);
      else
        for (const [name, value] of Object.entries(given as OutgoingHttpHeaders)) if (value !== undefined) response.setHeader(name, value);
    }
    applyTo(response, ops);
    return original(status, ...rest);
  };
  response.writeHead = writeHead as ServerResponse['writeHead'];
}

/** `[name, value, name, value, …]`, as writeHead takes them. */
function setLines(response: ServerResponse, lines: readonly string[]): void {
  for (let at = 0; at < lines.length; at += 2) response.removeHeader(lines[at]!);
  for (let at = 0; at < lines.length; at += 2) response.appendHeader(lines[at]!, lines[at + 1]!);
}

/** Header operations of a policy on an answer that is not sent yet. */
export function applyTo(response: ServerResponse, ops: readonly HeaderOp[]): void {
  for (const op of ops) {
    if (op.op === 'remove') response.removeHeader(op.name);
    else if (op.op === 'set') response.setHeader(op.name, op.value);
    else response.appendHeader(op.name, op.value);
  }
}
