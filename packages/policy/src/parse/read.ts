import type { SourceText } from '../document.ts';
import type { Finding } from './finding.ts';
import { readJson } from './read-json.ts';
import { readYaml } from './read-yaml.ts';
import type { Read } from './reading.ts';

/** YAML takes about a second for 2 MB, and a mesh must not stand still for minutes. */
const LARGEST_YAML = 16 * 1024 * 1024;
const LARGEST_JSON = 64 * 1024 * 1024;

/** Text → values with positions; JSON by JSON.parse, all else as YAML. */
export function read({ text: given }: SourceText): Read {
  const text = given.charCodeAt(0) === 0xfeff ? given.slice(1) : given;
  const refuse = (code: Finding['code'], message: string, hint: string): Read => ({
    values: [],
    problems: [{ line: 1, column: 1, finding: { code, severity: 'error', path: [], message, hint } }],
  });
  if (text.length > LARGEST_JSON) return refuse('INM0002', `${text.length} characters are more than ${LARGEST_JSON}`, 'split the document');
  const json = /^\s*[[{]/.test(text) ? readJson(text) : undefined;
  if (json !== undefined) return json;
  if (text.length > LARGEST_YAML)
    return refuse('INM0002', `${text.length} characters are more than ${LARGEST_YAML} of YAML`, 'send valid JSON, or split the document');
  return readYaml(text);
}
