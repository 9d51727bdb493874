import type { Locality, Workload } from '../model.ts';

/** A place: anything left out is unknown (''). */
export const locality = (given: Partial<Locality> = {}): Locality => ({ region: '', zone: '', subzone: '', ...given });

/** `region/zone/subzone`, as a WorkloadEntry and the istio-locality label (there with dots) write it. */
export function parseLocality(text: string | undefined): Locality {
  const [region = '', zone = '', subzone = ''] = (text ?? '').split('/');
  return { region, zone, subzone };
}

/** A complete workload from what is known of one. Unless said otherwise it lives in namespace `default` and has no labels. */
export const workload = (given: Partial<Omit<Workload, 'locality'>> & { readonly locality?: Partial<Locality> } = {}): Workload => ({
  name: '',
  namespace: 'default',
  labels: {},
  network: '',
  cluster: '',
  serviceAccount: '',
  node: '',
  ...given,
  locality: locality(given.locality),
});

/** A workload of which nothing is known. */
export const defaultWorkload = (): Workload => workload();
