import type { Analyzer, World } from './analyzer.ts';

interface Reference {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** Delegates, ConfigMaps, and the services that routes of the Gateway API refer to, where the document does not hold them (IST0101). */
export const references: Analyzer = (world, tell) => {
  for (const rule of world.all('VirtualService'))
    for (const [index, { delegate }] of rule.spec.http.entries()) {
      if (delegate?.name === undefined) continue;
      const namespace = delegate.namespace ?? rule.metadata.namespace;
      if (!world.has('VirtualService', namespace, delegate.name))
        tell(
          rule,
          'warning',
          'IST0101',
          ['spec', 'http', index, 'delegate', 'name'],
          `there is no VirtualService ${namespace}/${delegate.name}`,
          'the rule is left out; add the delegate or correct its name',
        );
    }

  for (const policy of world.all('BackendTLSPolicy')) {
    const { namespace } = policy.metadata;
    for (const [index, { kind, name }] of policy.spec.validation.caCertificateRefs.entries()) {
      const at = ['spec', 'validation', 'caCertificateRefs', index];
      if (kind !== 'ConfigMap')
        tell(
          policy,
          'warning',
          'IST0101',
          [...at, 'kind'],
          `certificates are read from a ConfigMap, not from a ${kind}`,
          'put them into key ca.crt of a ConfigMap',
        );
      else if (!world.has('ConfigMap', namespace, name))
        tell(
          policy,
          'warning',
          'IST0101',
          [...at, 'name'],
          `there is no ConfigMap ${namespace}/${name}`,
          'without the certificates calls fail; add it, with key ca.crt',
        );
    }
    for (const [index, target] of policy.spec.targetRefs.entries())
      if (absent(world, target, namespace))
        tell(
          policy,
          'warning',
          'IST0101',
          ['spec', 'targetRefs', index, 'name'],
          `there is no ${target.kind} ${namespace}/${target.name}`,
          'the policy has no effect there',
        );
  }

  for (const route of [...world.all('HTTPRoute'), ...world.all('GRPCRoute')]) {
    const { namespace } = route.metadata;
    const miss = (reference: Reference): string | undefined =>
      absent(world, reference, namespace)
        ? `there is no ${reference.kind} ${reference.namespace ?? namespace}/${reference.name}`
        : undefined;
    for (const [index, parent] of route.spec.parentRefs.entries()) {
      const fault = miss(parent);
      if (fault !== undefined)
        tell(route, 'warning', 'IST0101', ['spec', 'parentRefs', index, 'name'], fault, 'the route has no effect there');
    }
    for (const [index, rule] of route.spec.rules.entries())
      for (const [number, backend] of rule.backendRefs.entries()) {
        const fault = miss(backend);
        if (fault !== undefined)
          tell(
            route,
            'warning',
            'IST0101',
            ['spec', 'rules', index, 'backendRefs', number, 'name'],
            fault,
            'calls drawn to it fail; add it or correct the name',
          );
      }
  }
};

function absent(world: World, { group, kind, name, namespace }: Reference, own: string): boolean {
  const there = namespace ?? own;
  if ((group === '' || group === 'core') && kind === 'Service') return world.missing(world.host(name, there));
  if (group === 'networking.istio.io' && kind === 'ServiceEntry')
    return world.all('ServiceEntry').length > 0 && !world.has('ServiceEntry', there, name);
  return group === 'networking.istio.io' && kind === 'Hostname' ? world.missing(name.toLowerCase()) : false;
}
