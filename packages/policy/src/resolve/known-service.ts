import type { Service } from '../model.ts';

/** A service as declared, with what only resolve asks of it. */
export interface KnownService {
  readonly service: Service;
  /** Kubernetes' own services win a host against ServiceEntries, so that nobody can squat on a name. */
  readonly registry: 'Kubernetes' | 'ServiceEntry';
  /** A registry made it of what is registered: nobody declared it. */
  readonly registered: boolean;
  readonly createdAt: number;
  readonly exportTo: readonly string[];
  /** Kubernetes' trafficDistribution: prefer endpoints of the same zone, or of the same node. */
  readonly trafficDistribution: 'any' | 'sameZone' | 'sameNode';
  /** Members that are not ready are members all the same. */
  readonly publishNotReady: boolean;
  /** An ExternalName: the host it is another name of. */
  readonly aliasOf: string | null;
}

/** The annotations that are ours; those of others would be a new model with every `kubectl apply`. */
export const ownAnnotations = (annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(annotations).filter(([name]) => name.startsWith('inmesh.dev/')));

const EXPORT_TO = 'networking.istio.io/exportTo';
const TRAFFIC_DISTRIBUTION = 'networking.istio.io/traffic-distribution';

/** Who sees a Kubernetes service: an annotation says it, since a Service has no such field. */
export const exportToAnnotation = (annotations: Readonly<Record<string, string>>): readonly string[] =>
  (annotations[EXPORT_TO] ?? '').split(',').map((target) => target.trim()).filter((target) => target !== ''); // prettier-ignore

/** The field of a Service, or for both kinds the annotation, which wins. */
export function trafficDistributionOf(
  field: string | undefined,
  annotations: Readonly<Record<string, string>>,
): KnownService['trafficDistribution'] {
  switch ((annotations[TRAFFIC_DISTRIBUTION] ?? field ?? '').toLowerCase()) {
    case 'preferclose':
    case 'prefersamezone':
      return 'sameZone';
    case 'prefersamenode':
      return 'sameNode';
    default:
      return 'any';
  }
}
