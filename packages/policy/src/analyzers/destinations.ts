import type { SpecOf } from '../kinds/index.ts';
import type { Destination } from '../kinds/parts/selector.ts';

/** Every destination a VirtualService names, with its path. */
export function* destinationsOf(
  spec: SpecOf<'VirtualService'>,
): Generator<{ readonly destination: Destination; readonly path: readonly (string | number)[] }> {
  for (const [index, route] of spec.http.entries()) {
    const at = ['spec', 'http', index];
    for (const [number, { destination }] of route.route.entries()) yield { destination, path: [...at, 'route', number, 'destination'] };
    if (route.mirror !== undefined) yield { destination: route.mirror, path: [...at, 'mirror'] };
    for (const [number, { destination }] of route.mirrors.entries()) yield { destination, path: [...at, 'mirrors', number, 'destination'] };
  }
  for (const list of ['tls', 'tcp'] as const)
    for (const [index, route] of spec[list].entries())
      for (const [number, { destination }] of route.route.entries())
        yield { destination, path: ['spec', list, index, 'route', number, 'destination'] };
}
