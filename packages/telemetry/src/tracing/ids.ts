import { randomFillSync } from 'node:crypto';

/** Random bytes are asked for by the page: a call to the generator costs more than its bytes. */
const page = Buffer.alloc(4096);
let at = page.length;

function hex(bytes: number): string {
  if (at + bytes > page.length) {
    randomFillSync(page);
    at = 0;
  }
  at += bytes;
  return page.toString('hex', at - bytes, at);
}

/** Never all zero, but for one in 2^64, which W3C forbids. */
function id(bytes: number): string {
  for (;;) {
    const text = hex(bytes);
    if (!/^0+$/.test(text)) return text;
  }
}

export const newTraceId = (): string => id(16);
export const newSpanId = (): string => id(8);
