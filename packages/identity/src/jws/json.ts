/** What a JSON text may be made of. */
export interface JsonLimits {
  /** Objects and lists inside one another. */
  readonly depth: number;
  /** Names in all its objects together. */
  readonly members: number;
}

export type JsonObject = Readonly<Record<string, unknown>>;

// A byte order mark is not JSON; without this it would be passed over in silence.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A JSON object that means one thing only: valid UTF-8, no name twice in one object (RFC 8259, 4 leaves open which of them
 * counts, so two readers may disagree), within `limits`. undefined: it is none. Never throws.
 */
export function parseJsonObject(bytes: Uint8Array, limits: JsonLimits): JsonObject | undefined {
  let text: string;
  let value: unknown;
  try {
    text = UTF8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isObject(value) && isPlain(text, limits) ? value : undefined;
}

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/** In valid JSON: a string, with the colon that makes it a name, or a bracket. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}[\]]/g;

function isPlain(json: string, { depth, members }: JsonLimits): boolean {
  const open: Set<string>[] = [];
  let count = 0;
  for (const [token, colon] of json.matchAll(TOKENS)) {
    if (token === '{' || token === '[') {
      if (open.push(new Set()) > depth) return false;
    } else if (token === '}' || token === ']') {
      open.pop();
    } else if (colon !== undefined) {
      // Unescaped first: "\u0061lg" is the name alg again.
      const name = JSON.parse(token.slice(0, -colon.length)) as string;
      const names = open.at(-1)!;
      if (names.has(name) || (count += 1) > members) return false;
      names.add(name);
    }
  }
  return true;
}
