import type { Resource } from '../document.ts';
import type { ResourceOf } from '../kinds/index.ts';
import { kindOf, providersByName, type ProviderKind } from '../kinds/parts/extension-provider.ts';
import { nearest } from '../schema/nearest.ts';
import type { Analyzer } from './analyzer.ts';
import { elsewhere, type Path, selectorOf } from './policies.ts';

type Telemetry = ResourceOf<'Telemetry'>;

/** What each section is given by, of the kinds that are obeyed. */
const USES: Readonly<Record<'metrics' | 'tracing' | 'accessLogging', readonly ProviderKind[]>> = {
  metrics: ['prometheus'],
  // Whatever the kind: spans go to the tracer of the process.
  tracing: ['opentelemetry', 'zipkin', 'lightstep', 'datadog', 'skywalking', 'opencensus', 'stackdriver'],
  accessLogging: ['envoyFileAccessLog', 'envoyOtelAls'],
};
const SECTIONS = ['metrics', 'tracing', 'accessLogging'] as const;
const WHAT = { metrics: 'metrics', tracing: 'traces', accessLogging: 'access logs' } as const;

/**
 * Providers of Telemetry and of defaultProviders that nobody declares (IST0101) or that do not give what they are asked for (INM0302),
 * and access logs without any provider (IST0157).
 */
export const telemetryProviders: Analyzer = (world, tell) => {
  const mesh = world.mesh;
  const providers = providersByName(mesh?.spec.extensionProviders ?? []);
  const check = (resource: Resource, section: (typeof SECTIONS)[number], name: string, path: Path): void => {
    const provider = providers.get(name);
    if (provider === undefined) {
      const guess = nearest(name, providers.keys());
      tell(
        resource,
        'warning',
        'IST0101',
        path,
        `there is no provider "${name}" in extensionProviders of MeshConfig`,
        guess === undefined ? `declare it; there are ${[...providers.keys()].join(', ')}` : `did you mean ${guess}?`,
      );
      return;
    }
    const kind = kindOf(provider);
    if (kind !== undefined && !USES[section].includes(kind))
      tell(
        resource,
        'warning',
        'INM0302',
        path,
        `provider ${name} (${kind}) gives no ${WHAT[section]} here`,
        `those of ${WHAT[section]} are of kind ${USES[section].join(', ')}`,
      );
  };

  for (const telemetry of world.all('Telemetry')) {
    if (elsewhere(telemetry)) continue;
    for (const section of SECTIONS)
      for (const [index, entry] of telemetry.spec[section].entries())
        for (const [number, { name }] of entry.providers.entries())
          check(telemetry, section, name, ['spec', section, index, 'providers', number, 'name']);
  }
  if (mesh !== undefined)
    for (const section of SECTIONS)
      for (const [index, name] of mesh.spec.defaultProviders[section].entries())
        check(mesh, section, name, ['spec', 'defaultProviders', section, index]);

  if (mesh !== undefined && (mesh.spec.defaultProviders.accessLogging.length > 0 || mesh.spec.accessLogFile !== undefined)) return;
  const naming = world.all('Telemetry').filter(({ spec }) => spec.accessLogging.some(({ providers: own }) => own.length > 0));
  for (const telemetry of world.all('Telemetry')) {
    const { namespace } = telemetry.metadata;
    const parent = (one: Telemetry): boolean =>
      [namespace, world.rootNamespace].includes(one.metadata.namespace) && Object.keys(selectorOf(one)).length === 0 && !elsewhere(one);
    if (elsewhere(telemetry) || naming.some((one) => one === telemetry || parent(one))) continue;
    for (const index of telemetry.spec.accessLogging.keys())
      tell(
        telemetry,
        'warning',
        'IST0157',
        ['spec', 'accessLogging', index],
        'no provider of access logs is named here, by the namespace or the mesh, nor in defaultProviders of MeshConfig: nothing is logged',
        'name one, such as envoy for lines on the standard output',
      );
  }
};
