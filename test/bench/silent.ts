/**
 * The mesh as it would be if it told nothing: no metrics, no traces, nothing handed on. What those cost is measured against it; nobody
 * can have it so.
 */
import { Mesh } from '@inmesh/core';
import { parse, resolve, workload } from '@inmesh/policy';

export async function silentMesh(yaml: string): Promise<Mesh> {
  const parsed = parse([{ file: 'bench.yaml', text: yaml }]);
  if (!parsed.ok) throw new Error('the policy of the bench is wrong');
  return Mesh.create(resolve(parsed.document, workload({ name: 'bench', namespace: 'default' })), parsed.document.fingerprint);
}
