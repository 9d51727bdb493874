import type { Metadata } from '../document.ts';
import type { Workload } from '../model.ts';
import { selects } from './visibility.ts';

/** A policy of security.istio.io, as far as its workloads are concerned. */
interface Attachable {
  readonly metadata: Pick<Metadata, 'namespace'>;
  readonly spec: {
    readonly selector?: { readonly matchLabels: Readonly<Record<string, string>> } | undefined;
    readonly targetRef?: unknown;
    readonly targetRefs?: readonly unknown[] | undefined;
  };
}

/**
 * The policies that hold for a workload: those of its namespace and of the root namespace whose selector holds for its
 * labels. What is attached by targetRefs is for gateways and waypoints, which a workload is not (Istio policyattachment.go).
 */
export const attachedTo = <Policy extends Attachable>(
  policies: readonly Policy[],
  { namespace, labels }: Pick<Workload, 'namespace' | 'labels'>,
  rootNamespace: string,
): Policy[] =>
  policies.filter(
    ({ metadata, spec }) =>
      (metadata.namespace === namespace || metadata.namespace === rootNamespace) &&
      spec.targetRef === undefined &&
      (spec.targetRefs ?? []).length === 0 &&
      selects(spec.selector?.matchLabels ?? {}, labels),
  );
