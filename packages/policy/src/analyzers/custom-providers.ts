import type { Analyzer } from './analyzer.ts';
import { elsewhere } from './policies.ts';

/** CUSTOM policies (INM0407): extension providers cannot be asked yet, and who cannot be asked has not allowed anything. */
export const customProviders: Analyzer = (world, tell) => {
  for (const policy of world.all('AuthorizationPolicy'))
    if (policy.spec.action === 'CUSTOM' && !elsewhere(policy))
      tell(
        policy,
        'warning',
        'INM0407',
        ['spec', 'provider'],
        `provider ${policy.spec.provider?.name} cannot be asked yet: calls the policy matches are refused`,
        'write it as DENY or ALLOW if that can say what is meant',
      );
};
