import type { HeaderOp } from '@inmesh/policy';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Changes the header lines of a request in place, wherever a program may read them. */
export function editRequest(request: IncomingMessage, ops: readonly HeaderOp[]): void {
  const { headers, rawHeaders } = request;
  for (const op of ops) {
    if (op.op !== 'add') {
      let kept = 0;
      for (let at = 0; at < rawHeaders.length; at += 2) {
        if (rawHeaders[at]!.toLowerCase() === op.name) continue;
        rawHeaders[kept] = rawHeaders[at]!;
        rawHeaders[kept + 1] = rawHeaders[at + 1]!;
        kept += 2;
      }
      rawHeaders.length = kept;
      delete headers[op.name];
    }
    if (op.op === 'remove') continue;
    rawHeaders.push(op.name, op.value);
    const before = headers[op.name];
    headers[op.name] = before === undefined ? op.value : `${String(before)}, ${op.value}`;
  }
}

type WriteHead = (status: number, ...rest: unknown[]) => ServerResponse;

/** Changes the headers of an answer at the moment the program sends them. */
export function editResponse(response: ServerResponse, ops: readonly HeaderOp[]): void {
  const original = response.writeHead.bind(response) as WriteHead;
  const writeHead: WriteHead = (status, ...rest) => {
    const given = rest.at(-1);
    // Headers named in the call win over those set before: they must not win over the policy's.
    if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
      rest.pop();
      for (const [name, value] of Object.entries(given as OutgoingHttpHeaders)) if (value !== undefined) response.setHeader(name, value);
    }
    applyTo(response, ops);
    return original(status, ...rest);
  };
  response.writeHead = writeHead as ServerResponse['writeHead'];
}

/** Header operations of a policy on an answer that is not sent yet. */
export function applyTo(response: ServerResponse, ops: readonly HeaderOp[]): void {
  for (const op of ops) {
    if (op.op === 'remove') response.removeHeader(op.name);
    else if (op.op === 'set') response.setHeader(op.name, op.value);
    else response.appendHeader(op.name, op.value);
  }
}
