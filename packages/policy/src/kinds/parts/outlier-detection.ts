import * as v from 'valibot';
import { flag, list, optional } from '../../schema/fields.ts';
import { countOrDefault, positiveDuration, uint32, whole } from '../../schema/scalars.ts';
import type { Partly, Path, Report } from '../kind.ts';

/** 0–100 as int32: 0 cannot be told from unset. */
const int32Percent = v.pipe(
  whole(0, 100),
  v.transform((value): number | undefined => (value === 0 ? undefined : value)),
);

/** Istio's OutlierDetection: endpoints that keep failing leave the load balancer for a while (Envoy outlier_detection_impl.cc). */
export const outlierDetection = v.object({
  consecutive5xxErrors: optional(uint32, 'Bad answers in a row after which an endpoint is ejected; 0: off.', {
    default: '5',
    honoured: 'HGT',
  }),
  consecutiveGatewayErrors: optional(uint32, 'Answers 502, 503, 504 in a row after which an endpoint is ejected; 0: off.', {
    default: 'off',
    honoured: 'HGT',
  }),
  splitExternalLocalOriginErrors: flag('Count failures to connect apart from bad answers.', { honoured: 'HGWT' }),
  consecutiveLocalOriginFailures: optional(
    uint32,
    'Failures to connect in a row after which an endpoint is ejected; needs splitExternalLocalOriginErrors.',
    {
      default: '5',
      honoured: 'HGWT',
    },
  ),
  interval: optional(positiveDuration, 'Time between sweeps that end ejections.', { default: '10s', honoured: 'HGWT' }),
  baseEjectionTime: optional(
    positiveDuration,
    'Length of the first ejection; the n-th in short order takes n times as long, at most 300s.',
    {
      default: '30s',
      honoured: 'HGWT',
    },
  ),
  maxEjectionPercent: optional(int32Percent, 'Most endpoints that may be ejected at once. 0 means the default.', {
    default: '10; one of at least two may always be ejected (alwaysEjectOne of the mesh)',
    honoured: 'HGWT',
  }),
  minHealthPercent: optional(
    int32Percent,
    'Below this share of healthy endpoints all are used again (panic threshold of Envoy). 0: never.',
    {
      default: '0',
      honoured: 'HGWT',
    },
  ),
  outlierDetectionHttpErrorCodes: list(whole(100, 599), 'Status codes that count as bad answers, instead of 500 to 599.', {
    honoured: 'HG',
  }),
  consecutiveErrors: optional(countOrDefault, 'Former name of consecutiveGatewayErrors.', {
    deprecated: 'it has no effect any more; use consecutive5xxErrors or consecutiveGatewayErrors',
  }),
});

export type OutlierDetection = v.InferOutput<typeof outlierDetection>;

/** Istio's validateOutlierDetection. */
export function checkOutlierDetection(outlier: Partly<OutlierDetection> | undefined, path: Path, report: Report): void {
  if (
    outlier?.consecutiveLocalOriginFailures !== undefined &&
    outlier.splitExternalLocalOriginErrors === false &&
    outlier.consecutiveLocalOriginFailures > 0
  )
    report.error(
      [...path, 'consecutiveLocalOriginFailures'],
      'consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true',
      'add splitExternalLocalOriginErrors: true',
    );
}
