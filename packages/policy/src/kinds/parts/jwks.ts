import { clip } from '../../schema/scalars.ts';

/** Why keys cannot be fetched from there, or undefined (Istio's ParseJwksURI). */
export function urlFault(text: string): string | undefined {
  const url = URL.canParse(text) && /^https?:\/\/[^/]/i.test(text) ? new URL(text) : undefined;
  if (url === undefined) return `"${clip(text)}" is not a URL of http or https\nwrite such as https://issuer.example.com/keys`;
  // Secrets in a document would be shown wherever it is.
  return url.username === '' && url.password === '' ? undefined : 'the URL holds a user or a password\nremove them';
}

/** Why a text is no JSON Web Key Set, or undefined. What its keys are worth is judged by who uses them. */
export function jwksFault(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'is not JSON\nwrite a JSON Web Key Set: {"keys": […]}';
  }
  const keys =
    value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as { readonly keys?: unknown }).keys : undefined;
  return Array.isArray(keys) && keys.every((key) => key !== null && typeof key === 'object' && !Array.isArray(key))
    ? undefined
    : 'has no list of keys\nwrite a JSON Web Key Set: {"keys": […]}';
}
