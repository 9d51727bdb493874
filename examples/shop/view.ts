import { stripVTControlCharacters, styleText } from 'node:util';
import type { Line } from './chronicle.ts';
import { RATES_HOST } from './policy.ts';
import type { Place, Sight } from './sight.ts';
import type { Chapter } from './tally.ts';

/** What people look at while the story is told. */
export interface View {
  /** There is a console. */
  invite(url: string): void;
  /** A moment: several a second on a terminal, one a second elsewhere. */
  show(sight: Sight): void;
  /** Something happened just now. */
  line(line: Line, began: number): void;
  /** Leaves the terminal as it was found; the last picture stays. */
  close(): void;
  readonly everyMs: number;
}

const WIDTH = 80;
const BAR = 55;

/** Rows of the picture without the lines at its foot, and how many of those there are at most. */
const ROWS = 22;
const LINES = 10;

/** Lines for logs: one a second, and what happens when it does. */
export function plainView(out: NodeJS.WriteStream): View {
  return {
    everyMs: 1000,
    invite: (url) => void out.write(`inmesh: look at ${url}\n`),
    show: ({ seconds, recent, chapter, retries, ejections, outcomes }) => {
      const split = Object.entries(chapter.traffic.split).map(
        ([version, wanted]) => `${version} ${chapter.share(version).toFixed(0)}/${wanted} %`,
      );
      const { perSecond, success, p50, p99 } = recent;
      out.write(
        `${clock(seconds)}   ${perSecond.toFixed(0).padStart(4)} calls/s  ${success.toFixed(2)} % ok  p50 ${p50.toFixed(1)} ms  p99 ${p99.toFixed(1)} ms  ` +
          `seen/wanted ${split.join(' ')}  retries ${retries}  ejections ${ejections}  ` +
          `ratings ${Object.entries(outcomes)
            .map(([status, count]) => `${status} ${count}`)
            .join(' ')}\n`,
      );
    },
    line: (line, began) => void out.write(`${clock((line.at - began) / 1000)} ${MARKS[line.kind]} ${line.text}\n`),
    close: () => {},
  };
}

/** A picture redrawn in place. */
export function liveView(out: NodeJS.WriteStream): View {
  let height = 0;
  out.write('\x1b[?25l');
  return {
    everyMs: 100,
    // It is in the picture.
    invite: () => {},
    show: (sight) => {
      // One write in a synchronized update, without wrapping: no flicker, and a narrow window cuts lines instead of folding them.
      const lines = frame(sight, Math.min(Math.max(out.rows - 1 - ROWS, 2), LINES)).slice(0, Math.max(out.rows - 1, 1));
      const up = height > 0 ? `\x1b[${height}A` : '';
      out.write(`\x1b[?2026h\x1b[?7l${up}\r${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J\x1b[?7h\x1b[?2026l`);
      height = lines.length;
    },
    line: () => {},
    close: () => void out.write('\x1b[?25h'),
  };
}

const MARKS: Record<Line['kind'], string> = { scene: '▸', director: '·', mesh: '⟲', trouble: '✗' };

/** The whole picture, line by line, with so many lines of what happened last. */
function frame(sight: Sight, lines: number): string[] {
  const { seconds, scene, folder, processes, recent, chapter, version, rejected, retries, ejections, failed } = sight;
  return [
    '',
    ends(` ${styleText('bold', 'inmesh')} ${dim(`· a shop of ${processes} processes, steered by ${folder}`)}`, `${clock(seconds)} `),
    ` ${dim('look at')} ${sight.console}`,
    '',
    ` ${styleText(['bold', 'cyan'], `${scene.number}/${scene.of}`)} ${styleText('bold', scene.title)}`,
    '',
    columns([
      ['calls', `${recent.perSecond.toFixed(0)}/s`],
      ['success', styleText(recent.success < 100 ? 'red' : 'green', `${recent.success.toFixed(2)} %`)],
      ['p50', `${recent.p50.toFixed(1)} ms`],
      ['p99', `${recent.p99.toFixed(1)} ms`],
    ]),
    columns([
      ['failed', failed > 0 ? styleText('red', String(failed)) : '0'],
      ['retries', String(retries)],
      ['ejections', String(ejections)],
      ['policy', `${version.slice(0, 8)} ${rejected ? styleText('red', 'edit rejected') : 'in force'}`],
    ]),
    '',
    dim(` ${'reviews for everyone'.padEnd(BAR + 7)}wanted      seen`),
    ...Object.entries(chapter.traffic.split).map(([version, wanted]) => bar(version, wanted, chapter)),
    jason(chapter),
    '',
    dim(' endpoints, and calls a second that reach them'),
    ...sight.places.flatMap(({ name, places }) => [
      ` ${(name === 'rates' ? RATES_HOST : name).padEnd(19)}${places.map(placeText).join('   ')}`,
      ...(name === 'ratings' ? [` ${dim('  over gRPC'.padEnd(19))}${outcomesText(sight.outcomes)}`] : []),
    ]),
    '',
    ...tail(sight, lines),
  ];
}

/** Filled to what is seen, with a mark where the policy wants it. */
function bar(name: string, wanted: number, chapter: Chapter): string {
  const colour = COLOURS[name] ?? 'cyan';
  const seen = chapter.share(name);
  const filled = Math.round((seen / 100) * BAR);
  const mark = Math.min(Math.round((wanted / 100) * BAR), BAR - 1);
  const piece = (from: number, to: number): string => {
    const full = Math.max(Math.min(filled, to) - from, 0);
    return styleText(colour, '█'.repeat(full)) + dim('·'.repeat(to - from - full));
  };
  const drawn = wanted > 0 ? piece(0, mark) + styleText(['bold', 'yellow'], '┃') + piece(mark + 1, BAR) : piece(0, BAR);
  return ` ${styleText(colour, name)}  ${drawn}${`${wanted} %`.padStart(9)}${(chapter.answered > 0 ? `${seen.toFixed(1)} %` : '–').padStart(10)}`;
}

const COLOURS: Readonly<Record<string, 'blue' | 'magenta'>> = { v1: 'blue', v2: 'magenta' };

function jason({ jason: of }: Chapter): string {
  const versions = [...of.byVersion].map(([version, count]) => `${version} × ${count}`);
  const faults = of.faults > 0 ? [styleText('yellow', `injected 500 × ${of.faults}`)] : [];
  return ` ${dim('reviews for jason')}   ${[...versions, ...faults].join('   ') || '–'}`;
}

function placeText({ port, state, perSecond }: Place): string {
  if (state === 'dead') return styleText('red', `✖ :${port} dead`.padEnd(14));
  if (state === 'ejected') return styleText('yellow', `◌ :${port} out`.padEnd(14));
  return `${styleText('green', '●')} ${dim(`:${port}`)} ${perSecond.toFixed(0).padStart(3)}`.padEnd(14);
}

/** `OK × 1234   UNAVAILABLE × 25`. */
function outcomesText(outcomes: Sight['outcomes']): string {
  const told = Object.entries(outcomes).toSorted(([a], [b]) => Number(b === 'OK') - Number(a === 'OK') || a.localeCompare(b));
  return told.map(([status, count]) => styleText(status === 'OK' ? 'green' : 'yellow', `${status} × ${count}`)).join('   ') || '–';
}

/** The last things that happened; as many lines each time, so that the picture keeps its height. */
function tail({ lines, began }: Sight, count: number): string[] {
  const shown = lines.slice(-count).map(({ at, kind, text }) => {
    const line = cut(`${MARKS[kind]} ${text}`, WIDTH + 20);
    return ` ${dim(clock((at - began) / 1000))} ${kind === 'trouble' ? styleText('red', line) : kind === 'scene' ? styleText('bold', line) : line}`;
  });
  return [...shown, ...Array.from({ length: count - shown.length }, () => '')];
}

function columns(pairs: readonly (readonly [name: string, value: string])[]): string {
  return ` ${pairs.map(([name, value]) => padVisible(`${dim(name)} ${value}`, 17)).join('')}`.trimEnd();
}

/** `left … right` over the width. */
function ends(left: string, right: string): string {
  return `${padVisible(left, WIDTH - right.length)}${right}`;
}

function padVisible(text: string, width: number): string {
  return text + ' '.repeat(Math.max(width - stripVTControlCharacters(text).length, 1));
}

const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

const dim = (text: string): string => styleText('dim', text);

const clock = (seconds: number): string => `${Math.max(seconds, 0).toFixed(1).padStart(5)} s`;
