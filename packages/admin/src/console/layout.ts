import { Graph as Dagre, layout } from '@dagrejs/dagre';
import type { Graph, Place } from './graph.ts';

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Centres. */
  readonly places: ReadonlyMap<string, Box>;
  /** Around the revisions of one service, by its name. */
  readonly groups: ReadonlyMap<string, Box>;
  readonly edges: ReadonlyMap<string, { readonly points: readonly Point[]; readonly label: Point }>;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

const PLACE = { width: 168, height: 50 };
const LABEL = { width: 112, height: 34 };

export const groupOf = ({ namespace, service }: Place): string => `${namespace}/${service}`;

/** Where everything stands: callers first, then whom they call. `direction`: to the right, or down where there is little width. */
export function layoutOf({ places, edges }: Graph, direction: 'LR' | 'TB'): Layout {
  const dagre = new Dagre({ compound: true, multigraph: true });
  dagre.setGraph({ rankdir: direction, nodesep: 26, ranksep: direction === 'LR' ? 30 : 24, edgesep: 16, marginx: 14, marginy: 18 });
  dagre.setDefaultEdgeLabel(() => ({}));
  const members = Map.groupBy(places, groupOf);
  for (const one of places) dagre.setNode(one.id, { ...PLACE });
  const groups = [...members].filter(([, { length }]) => length > 1).map(([name]) => name);
  for (const name of groups) {
    dagre.setNode(`group ${name}`, {});
    for (const { id } of members.get(name)!) dagre.setParent(id, `group ${name}`);
  }
  for (const { id, from, to } of edges) if (from.id !== to.id) dagre.setEdge(from.id, to.id, { ...LABEL, labelpos: 'c' }, id);
  layout(dagre);
  const box = (id: string): Box => {
    const { x = 0, y = 0, width = 0, height = 0 } = dagre.node(id) as Partial<Box>;
    return { x, y, width, height };
  };
  const { width = 0, height = 0 } = dagre.graph() as { width?: number; height?: number };
  return {
    width,
    height,
    places: new Map(places.map(({ id }) => [id, box(id)])),
    groups: new Map(groups.map((name) => [name, box(`group ${name}`)])),
    edges: new Map(
      edges.map(({ id, from, to }) => {
        if (from.id === to.id) return [id, loop(box(from.id))];
        const { points = [], x = 0, y = 0 } = dagre.edge(from.id, to.id, id) as { points?: Point[]; x?: number; y?: number };
        return [id, { points, label: { x, y } }];
      }),
    ),
  };
}

/** A service that calls itself: dagre would make room for it at the cost of everybody else. */
function loop({ x, y, width, height }: Box): { readonly points: readonly Point[]; readonly label: Point } {
  const top = y - height / 2;
  const right = x + width / 2;
  return { points: [{ x: right - 40, y: top }, { x: right - 30, y: top - 16 }, { x: right - 10, y: top - 16 }, { x: right - 6, y: top }], label: { x: right - 20, y: top - 24 } }; // prettier-ignore
}
