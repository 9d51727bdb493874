import { labelOf } from '../resolve/order.ts';
import type { Analyzer } from './analyzer.ts';

/** More than one MeshConfig: the oldest holds (INM0302). */
export const meshConfigs: Analyzer = (world, tell) => {
  const holder = world.mesh;
  for (const one of world.all('MeshConfig'))
    if (holder !== undefined && one !== holder)
      tell(one, 'warning', 'INM0302', [], `${labelOf(holder)} holds, this one is ignored`, 'keep one MeshConfig');
};
