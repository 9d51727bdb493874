import type { HeaderOp } from '@inmesh/policy';

/** A header list after operations, in their order: remove drops all values, set replaces them, add appends one. Names compare in lower case. */
export function applyHeaderOps(
  headers: readonly (readonly [name: string, value: string])[],
  ops: readonly HeaderOp[],
): (readonly [name: string, value: string])[] {
  let result = [...headers];
  for (const op of ops) {
    if (op.op !== 'add') result = result.filter(([name]) => name.toLowerCase() !== op.name);
    if (op.op !== 'remove') result.push([op.name, op.value]);
  }
  return result;
}

/** Values of one header after operations: what upstream will see of it. `name` is lower-case. */
export function valuesAfter(name: string, values: readonly string[], ops: readonly HeaderOp[]): readonly string[] {
  let result = values;
  for (const op of ops) {
    if (op.name !== name) continue;
    if (op.op === 'remove') result = [];
    else result = op.op === 'set' ? [op.value] : [...result, op.value];
  }
  return result;
}
