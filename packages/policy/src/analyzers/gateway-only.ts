import type { Analyzer } from './analyzer.ts';

/** VirtualServices that govern no caller in the mesh (INM0303). */
export const gatewayOnly: Analyzer = (world, tell) => {
  for (const rule of world.all('VirtualService')) {
    const { gateways } = rule.spec;
    if (gateways.length > 0 && !gateways.includes('mesh'))
      tell(
        rule,
        'info',
        'INM0303',
        ['spec', 'gateways'],
        'the rules are for gateways only and do not govern callers in the mesh',
        'add mesh to gateways if they should',
      );
  }
};
