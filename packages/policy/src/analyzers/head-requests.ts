import type { Analyzer } from './analyzer.ts';
import { operationsOf, rulesOf } from './policies.ts';

/** Rules that keep GET out but not HEAD (INM0404): most servers answer it as they answer GET, only without the body. */
export const headRequests: Analyzer = (world, tell) => {
  for (const policy of world.all('AuthorizationPolicy'))
    for (const { value, path } of rulesOf(policy).flatMap(operationsOf)) {
      const field = policy.spec.action === 'ALLOW' ? 'notMethods' : 'methods';
      if (policy.spec.action === 'AUDIT' || !value[field].includes('GET')) continue;
      if (
        value[field].some(
          (method) => method === '*' || method === 'HEAD' || (method.endsWith('*') && 'HEAD'.startsWith(method.slice(0, -1))),
        )
      )
        continue;
      tell(policy, 'warning', 'INM0404', [...path, field, value[field].indexOf('GET')], 'GET is kept out and HEAD is not', 'add HEAD');
    }
};
