import { useEffect, useRef } from 'preact/hooks';
import type { VNode } from 'preact';
import uPlot from 'uplot';
import { clock } from '../format.ts';
import { html } from '../html.ts';
import type { Moment } from '../world.ts';

const HEIGHT = 96;

interface ChartProps {
  readonly name: string;
  readonly moments: readonly Moment[];
  /** Which number of a moment. */
  readonly pick: 1 | 2 | 3;
  readonly format: (value: number) => string;
  /** A custom property that holds the colour of the line. */
  readonly colour: string;
}

/** One quantity over time. */
export function Chart({ name, moments, pick, format, colour }: ChartProps): VNode {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  useEffect(() => {
    const host = place.current!;
    // Read at each drawing: day and night change under a page that stays open.
    const colourOf = (name: string): string => getComputedStyle(host).getPropertyValue(name);
    const axis = { stroke: () => colourOf('--quiet'), font: '11px system-ui', ticks: { show: false } };
    const grid = { stroke: () => colourOf('--line'), width: 1 };
    const own = new uPlot(
      {
        width: Math.max(host.clientWidth, 120),
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        padding: [6, 8, 0, 0],
        scales: {
          // One moment alone is no span of time.
          x: { range: (_, min, max) => (max > min ? [min, max] : [Date.now() / 1000 - 60, Date.now() / 1000]) },
          y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 22,
            space: 70,
            values: (_, ticks) => ticks.map((at) => clock(at * 1000)),
          },
          { ...axis, grid, size: 52, space: 24, values: (_, ticks) => ticks.map(format) },
        ],
        series: [{}, { stroke: () => colourOf(colour), fill: () => `${colourOf(colour)}22`, width: 1.5, points: { show: false } }],
      },
      [[], []],
      host,
    );
    plot.current = own;
    const watch = new ResizeObserver(() => own.setSize({ width: Math.max(host.clientWidth, 120), height: HEIGHT }));
    watch.observe(host);
    return () => {
      watch.disconnect();
      own.destroy();
    };
  }, [colour]);
  useEffect(() => plot.current!.setData([moments.map(([at]) => at), moments.map((moment) => moment[pick])]), [moments]);
  const last = moments.at(-1)?.[pick];
  const now = last === null || last === undefined ? '–' : format(last);
  return html`<figure class="chart" role="img" aria-label=${`${name}: ${now} now`}>
    <figcaption>${name}<b>${now}</b></figcaption>
    <div ref=${place} aria-hidden="true"></div>
  </figure>`;
}
