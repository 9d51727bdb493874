import { REGISTERED_LABEL } from '@inmesh/policy';
import type { Catalog } from './answer.ts';

/** Registered services as resources, without members: those come by the resolver. They give way to whatever else declares their host. */
export function serviceEntries(catalog: Catalog): string {
  const items = catalog
    .filter(({ ports }) => ports.length > 0)
    .map(({ host, namespace, ports }) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      // No name that anybody would give a ServiceEntry of his own.
      metadata: { name: `registered.${host}`.slice(0, 253), namespace, labels: { [REGISTERED_LABEL]: 'true' } },
      spec: { hosts: [host], location: 'MESH_INTERNAL', resolution: 'STATIC', ports },
    }));
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}
