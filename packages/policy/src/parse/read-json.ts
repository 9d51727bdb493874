import type { Finding } from './finding.ts';
import { DEEPEST, elementOffsets, jsonOffset, scanJson } from './json.ts';
import { lines } from './place.ts';
import type { Read } from './reading.ts';

/** Reads one JSON text, or undefined if it is not JSON. Positions are looked up only where they are asked for. */
export function readJson(text: string): Read | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const place = lines(text);
  const scan = scanJson(text);
  const problem = (offset: number, finding: Pick<Finding, 'code' | 'message' | 'hint'>) => ({
    ...place(offset),
    finding: { severity: 'error' as const, path: [], ...finding },
  });
  if (scan.tooDeep >= 0)
    return {
      values: [],
      problems: [
        problem(scan.tooDeep, { code: 'INM0002', message: `nested more than ${DEEPEST} levels deep`, hint: 'no resource needs this' }),
      ],
    };
  const problems = scan.duplicates.map(({ offset, key }) =>
    problem(offset, { code: 'INM0010', message: `key "${key}" stands twice in one map`, hint: 'keep one' }),
  );

  const root = text.search(/\S/);
  // Elements of a list are found once, not again from the beginning for each.
  const starts = new Map<string, readonly number[]>();
  const locate = (path: readonly (string | number)[], atKey?: boolean) => {
    const list = path.findIndex((step) => typeof step === 'number');
    if (list < 0 || path.slice(0, list).some((step) => step !== 'items')) return place(jsonOffset(text, root, path, atKey));
    const owner = path.slice(0, list);
    const key = owner.join('.');
    let offsets = starts.get(key);
    if (offsets === undefined) {
      const array = valueOffset(text, root, owner);
      starts.set(key, (offsets = array === undefined ? [] : elementOffsets(text, array)));
    }
    const start = offsets[path[list] as number];
    return place(start === undefined ? root : jsonOffset(text, start, path.slice(list + 1), atKey));
  };
  return { values: [{ value, locate }], problems };
}

/** Offset of a list itself rather than of its key. */
function valueOffset(text: string, root: number, path: readonly (string | number)[]): number | undefined {
  const at = path.length === 0 ? root : text.indexOf('[', jsonOffset(text, root, path));
  return at < 0 || text.charCodeAt(at) !== 91 ? undefined : at;
}
