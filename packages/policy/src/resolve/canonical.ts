type Labels = Readonly<Record<string, string>>;

const SERVICE = ['service.istio.io/canonical-name', 'app.kubernetes.io/name', 'app'] as const;
const REVISION = ['service.istio.io/canonical-revision', 'app.kubernetes.io/version', 'version'] as const;

/** One of a workload's canonical names, and the label that says it; '' where none does. */
export interface Canonical {
  readonly value: string;
  readonly label: string;
}

const first = (labels: Labels, keys: readonly string[], otherwise: string): Canonical => {
  const label = keys.find((key) => (labels[key] ?? '') !== '');
  return label === undefined ? { value: otherwise, label: '' } : { value: labels[label]!, label };
};

/** What a workload is called in metrics and graphs, whichever of its versions it is (Istio pkg/kube/labels): a label, else the workload's name. */
export const canonicalService = (labels: Labels, workload: string): Canonical => first(labels, SERVICE, workload);

/** Which of its versions it is: a label, else `latest`. */
export const canonicalRevision = (labels: Labels): Canonical => first(labels, REVISION, 'latest');
