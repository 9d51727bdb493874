import { type Baggage, type BaggageEntry, baggageEntryMetadataFromString } from '@opentelemetry/api';

// W3C Baggage, §3.3: what need not be handed on. Beyond it nothing is: a header that grows at every service ends as a refused request.
const MOST_BYTES = 8192;
const MOST_MEMBERS = 180;

/** RFC 9110 tokens; values are octets of %-encoding (§3.3.1.1). */
const MEMBER =
  /^[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*)[ \t]*(?:;([\x20-\x2b\x2d-\x7e\t]*))?$/;

/** Header-safe, and small enough to be handed on? */
export const isBaggage = (text: string): boolean => text !== '' && text.length <= MOST_BYTES && /^[\x20-\x7e\t]*$/.test(text);

/** Members that are well-formed, as the API of OpenTelemetry wants them. */
export function parseBaggage(text: string): Record<string, BaggageEntry> {
  const entries: Record<string, BaggageEntry> = {};
  for (const part of text.split(',').slice(0, MOST_MEMBERS)) {
    const [, name, value, properties] = MEMBER.exec(part) ?? [];
    if (name === undefined || value === undefined) continue;
    const entry = { value: decoded(value) };
    entries[decoded(name)] = properties === undefined ? entry : { ...entry, metadata: baggageEntryMetadataFromString(properties.trim()) };
  }
  return entries;
}

/** '' if there is none. Members that would make it too long are left out. */
export function formatBaggage(baggage: Baggage): string {
  let text = '';
  for (const [name, { value, metadata }] of baggage.getAllEntries().slice(0, MOST_MEMBERS)) {
    const properties = metadata === undefined ? '' : metadata.toString();
    const member = `${encodeURIComponent(name)}=${encodeURIComponent(value)}${properties === '' ? '' : `;${properties}`}`;
    if (text.length + member.length + 1 <= MOST_BYTES) text = text === '' ? member : `${text},${member}`;
  }
  return text;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
