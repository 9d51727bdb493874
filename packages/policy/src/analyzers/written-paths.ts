import type { Analyzer } from './analyzer.ts';
import { operationsOf, rulesOf } from './policies.ts';

/** Rules over paths in a mesh that does not normalise them (INM0403): /a/../b, /%62 and //b are three ways around a rule for /b. */
export const writtenPaths: Analyzer = (world, tell) => {
  if (world.mesh?.spec.pathNormalization.normalization !== 'NONE') return;
  for (const policy of world.all('AuthorizationPolicy')) {
    const [first] = rulesOf(policy)
      .flatMap(operationsOf)
      .flatMap(({ value, path }) =>
        (['paths', 'notPaths'] as const).filter((field) => value[field].length > 0).map((field) => [...path, field]),
      );
    if (first !== undefined)
      tell(
        policy,
        'warning',
        'INM0403',
        first,
        'paths are compared as callers write them, so that another spelling gets around the rule',
        'set pathNormalization of the MeshConfig to BASE or stronger',
      );
  }
};
