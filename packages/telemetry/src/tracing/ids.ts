/** Chance enough to tell requests apart, as in OpenTelemetry's own SDK: nothing is kept secret by it. Made and written by the page. */
const WORDS = 512;
const words = new Uint32Array(WORDS);
const bytes = Buffer.from(words.buffer);
let page = '';
let at = 0;

/** `digits` hexadecimal digits. */
function hex(digits: number): string {
  if (at + digits > page.length) {
    for (let word = 0; word < WORDS; word += 1) words[word] = Math.random() * 0x1_0000_0000;
    page = bytes.toString('hex');
    at = 0;
  }
  at += digits;
  return page.slice(at - digits, at);
}

const ZEROS = '0'.repeat(32);

/** Never all zero, but for one in 2^64, which W3C forbids. */
function id(digits: number): string {
  for (;;) {
    const text = hex(digits);
    if (!ZEROS.startsWith(text)) return text;
  }
}

export const newTraceId = (): string => id(32);
export const newSpanId = (): string => id(16);

const VARIANTS = '89ab89ab89ab89ab';

/** A UUID of version 4 (RFC 9562 §5.4). */
export function newRequestId(): string {
  const text = hex(32);
  const variant = VARIANTS[Number.parseInt(text[16]!, 16)]!;
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-4${text.slice(13, 16)}-${variant}${text.slice(17, 20)}-${text.slice(20)}`;
}
