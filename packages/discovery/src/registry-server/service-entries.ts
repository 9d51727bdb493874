import { createHash } from 'node:crypto';
import { parse, REGISTERED_LABEL } from '@inmesh/policy';
import type { Catalog } from './answer.ts';

/**
 * Registered services as resources, without members: those come by the resolver. They give way to whatever else declares their host. One
 * that would not pass as a resource is left out: what a machine says of itself must not get the whole document refused.
 */
export function serviceEntries(catalog: Catalog, registry: string): string {
  const items = catalog.filter(({ ports }) => ports.length > 0).map((entry) => serviceEntry(entry, registry));
  const sound = isSound(items) ? items : items.filter((item) => isSound([item]));
  return textOf(sound);
}

const textOf = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
const isSound = (items: readonly object[]): boolean => parse([{ file: '', text: textOf(items) }]).ok;

function serviceEntry({ host, namespace, ports }: Catalog[number], registry: string): object {
  // Two registries may know one service; and nobody gives a ServiceEntry of his own such a name.
  const tag = createHash('sha256').update(`${registry} ${host}`).digest('hex').slice(0, 10);
  const name = `${host.slice(0, 253 - tag.length - '.'.length).replace(/[.-]+$/, '')}.${tag}`;
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace, labels: { [REGISTERED_LABEL]: 'true' } },
    spec: { hosts: [host], location: 'MESH_INTERNAL', resolution: 'STATIC', ports },
  };
}
