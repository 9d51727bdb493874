import { DRY_RUN_ANNOTATION } from '../kinds/authorization-policy-checks.ts';
import type { Analyzer } from './analyzer.ts';
import { elsewhere, meeting, type Policy } from './policies.ts';

/** ALLOW policies that run dry where no other ALLOW holds (INM0405): with no ALLOW in force every call is allowed. */
export const dryRunOnly: Analyzer = (world, tell) => {
  const allowing = world.all('AuthorizationPolicy').filter((policy) => policy.spec.action === 'ALLOW' && !elsewhere(policy));
  const inForce = meeting(
    allowing.filter((policy) => !runsDry(policy)),
    world.rootNamespace,
  );
  for (const policy of allowing)
    if (runsDry(policy) && !inForce(policy))
      tell(
        policy,
        'info',
        'INM0405',
        ['metadata', 'annotations', DRY_RUN_ANNOTATION],
        'while it runs dry no ALLOW policy is in force for its workloads, so every call is allowed',
        'remove the annotation once its verdicts are as expected',
      );
};

const runsDry = ({ metadata }: Policy): boolean => /^(?:1|t)/i.test(metadata.annotations[DRY_RUN_ANNOTATION] ?? '');
