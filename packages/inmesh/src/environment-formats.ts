type Pairs = Record<string, string>;

/** The downward API writes `key="value"`, one a line, with Go's escapes. */
export function podLabels(text: string): Pairs {
  const labels: Pairs = {};
  for (const line of text.split('\n')) {
    const match = /^([^=]+)="(.*)"$/.exec(line.trim());
    if (match !== null) labels[match[1]!] = match[2]!.replaceAll(/\\(.)/g, '$1');
  }
  return labels;
}

/** `app=reviews, version=v2` */
export const pairsOf = (text: string): Pairs =>
  Object.fromEntries(
    text
      .split(',')
      .flatMap((pair) => (pair.includes('=') ? [[pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1).trim()]] : [])),
  );

/** OTEL_RESOURCE_ATTRIBUTES: pairs whose values are percent-encoded. */
export const otelAttributes = (text: string): Pairs =>
  Object.fromEntries(Object.entries(pairsOf(text)).map(([key, value]) => [key, decode(value)]));

/** ISTIO_METAJSON_LABELS: a JSON object of strings. What is none of that is nothing. */
export function jsonPairs(text: string): Pairs {
  return Object.fromEntries(
    Object.entries(objectOf(text)).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value] as const] : [])),
  );
}

/** cluster.env of a machine: `KEY='value'`, one a line, as a shell reads it. */
export function clusterEnv(text: string): Pairs {
  const variables: Pairs = {};
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*?)\s*$/.exec(line);
    if (match === null) continue;
    const [, name, value] = match;
    const quoted = /^'([^']*)'$/.exec(value!)?.[1] ?? /^"((?:[^"\\]|\\.)*)"$/.exec(value!)?.[1]?.replaceAll(/\\(["\\$`])/g, '$1');
    variables[name!] = quoted ?? value!;
  }
  return variables;
}

/** What a JWT says, believed by nobody: for a token that is the process' own. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  return objectOf(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

function objectOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
