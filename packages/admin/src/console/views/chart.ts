import { useEffect, useRef } from 'preact/hooks';
import type { VNode } from 'preact';
import uPlot from 'uplot';
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
    const style = getComputedStyle(host);
    const axis = { stroke: style.getPropertyValue('--quiet'), font: '11px system-ui', ticks: { show: false } };
    const grid = { stroke: style.getPropertyValue('--line'), width: 1 };
    const line = style.getPropertyValue(colour);
    const own = new uPlot(
      {
        width: Math.max(host.clientWidth, 120),
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        padding: [6, 8, 0, 0],
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 22,
            space: 70,
            values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toLocaleTimeString('en-GB')),
          },
          { ...axis, grid, size: 52, space: 24, values: (_, ticks) => ticks.map(format) },
        ],
        series: [{}, { stroke: line, fill: `${line}22`, width: 1.5, points: { show: false }, spanGaps: false }],
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
