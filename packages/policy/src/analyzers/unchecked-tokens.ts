import type { Analyzer } from './analyzer.ts';
import { elsewhere, meeting, rulesOf, sourcesOf } from './policies.ts';

/** Rules about tokens where none is checked (INM0406): without a RequestAuthentication no call carries a verified one. */
export const uncheckedTokens: Analyzer = (world, tell) => {
  const checked = meeting(
    world.all('RequestAuthentication').filter((one) => !elsewhere(one) && one.spec.jwtRules.length > 0),
    world.rootNamespace,
  );
  for (const policy of world.all('AuthorizationPolicy')) {
    if (elsewhere(policy) || checked(policy)) continue;
    for (const rule of rulesOf(policy)) {
      const places = [
        ...sourcesOf(rule).flatMap(({ value, path }) =>
          (['requestPrincipals', 'notRequestPrincipals'] as const)
            .filter((field) => value[field].length > 0)
            .map((field) => [...path, field]),
        ),
        ...rule.value.when.flatMap(({ key }, index) => (key.startsWith('request.auth.') ? [[...rule.path, 'when', index, 'key']] : [])),
      ];
      if (places[0] !== undefined)
        tell(
          policy,
          'warning',
          'INM0406',
          places[0],
          'no RequestAuthentication checks tokens of these workloads, so no call has one',
          'add a RequestAuthentication that selects them',
        );
    }
  }
};
