import { describe, expect, it } from 'vitest';
import { type Dashboard, dashboards, filledIn } from './dashboards.ts';

const GRID = 24;

describe.each(dashboards.map((one) => [one.file, one] as const))('%s', (_, { panels, variables, queries }: Dashboard) => {
  it('has panels that lie on Grafana’s grid and on nobody else', () => {
    const taken = new Set<string>();
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(GRID);
      for (let { x } = gridPos; x < gridPos.x + gridPos.w; x += 1) {
        for (let { y } = gridPos; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.has(`${x} ${y}`), `${title} lies on another panel`).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });

  it('asks only with variables it has, and has none it does not ask with', () => {
    const names = variables.filter(({ type }) => type !== 'datasource').map(({ name }) => name);
    const chosen = Object.fromEntries(names.map((name) => [name, 'x']));
    const texts = [...queries.map(({ expr }) => expr), ...variables.map(({ query }) => (typeof query === 'string' ? query : query.query))];
    for (const text of texts) expect(() => filledIn(text, chosen, '1m')).not.toThrow();
    expect(names.filter((name) => !texts.some((text) => text.includes(`$${name}"`)))).toEqual([]);
  });
});

it('no two dashboards have the same uid', () => {
  expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(dashboards.length);
});
