import { balanced, type Books } from './books.ts';
import { type Chapter, JASON, percentile } from './tally.ts';

/** Something the mesh says it does, and what was measured of it. */
export interface Verdict {
  readonly text: string;
  readonly kept: boolean;
  /** What was measured, in a few words. */
  readonly figure: string;
}

/** Given while the story goes on, judged by the chapters of the whole round, and by what the meshes have counted, when its last call has ended. */
export type Pledge = (chapters: readonly Chapter[], books: Books) => Verdict;

type Which = (chapter: Chapter) => boolean;

/** Fewer calls than this prove nothing. */
const ENOUGH = 50;

/**
 * Destinations are drawn call by call, so a share of n draws strays by √(p(1−p)/n): by four and a half of those once in a
 * hundred thousand runs. Half a percent more leaves shares of 0 and 100 a straggler.
 */
function tolerance(percent: number, draws: number): number {
  const p = percent / 100;
  return 450 * Math.sqrt((p * (1 - p)) / Math.max(draws, 1)) + 0.5;
}

/** A version gets its share, in each chapter whose policy asks for it or in those that are named. */
export const shared =
  (text: string, version: string, wanted: number, which: Which = ({ traffic }) => traffic.split[version] === wanted) =>
  (chapters: readonly Chapter[]): Verdict => {
    const those = chapters.filter(which);
    const answered = sum(those, (chapter) => chapter.answered);
    const seen = (sum(those, ({ everyone }) => everyone.get(version) ?? 0) / Math.max(answered, 1)) * 100;
    const within = tolerance(wanted, answered);
    return {
      text,
      kept: answered >= ENOUGH && Math.abs(seen - wanted) <= within,
      figure: answered < ENOUGH ? `only ${answered} calls` : `${seen.toFixed(1)} % of ${answered} (${wanted} ± ${within.toFixed(1)})`,
    };
  };

/** Nothing fails that nobody asked to fail. */
export const nothingFails =
  (text: string, which: Which = () => true): Pledge =>
  (chapters) => {
    const those = chapters.filter(which);
    const visits = sum(those, (chapter) => chapter.visits);
    const failed = sum(those, (chapter) => chapter.failed);
    const example = those.flatMap(({ name, failures }) => [...failures.keys()].map((reason) => `, in ${name}: ${reason}`))[0] ?? '';
    return { text, kept: failed === 0 && visits >= ENOUGH, figure: `${failed} of ${visits} failed${example}` };
  };

/** A service of gRPC says UNAVAILABLE now and then, and answers most calls. `outcomes`: calls to it by status, in the end. */
export const askedAgain =
  (text: string, outcomes: () => Readonly<Record<string, number>>): Pledge =>
  () => {
    const { OK = 0, UNAVAILABLE = 0 } = outcomes();
    return { text, kept: UNAVAILABLE > 0 && OK >= ENOUGH, figure: `gRPC: ${OK} OK, ${UNAVAILABLE} UNAVAILABLE` };
  };

/** Of what its siblings get, an endpoint gets little. `arrived` is what the processes themselves have counted. */
export const avoided =
  (text: string, arrived: { readonly there: number; readonly all: number }, atMost: number, which: Which): Pledge =>
  (chapters) => {
    const percent = (arrived.there / Math.max(arrived.all, 1)) * 100;
    const latencies = chapters.filter(which).flatMap((chapter) => chapter.latencies);
    const p99 = percentile(
      latencies.toSorted((a, b) => a - b),
      99,
    );
    return {
      text,
      kept: arrived.all >= ENOUGH && percent <= atMost,
      figure: `${percent.toFixed(1)} % of ${arrived.all}, p99 of all ${p99.toFixed(0)} ms`,
    };
  };

/** jason meets the fault at each call while it is in force, and never else; nobody else ever does. */
export const onlyJason =
  (text: string): Pledge =>
  (chapters) => {
    const under = chapters.filter(({ traffic }) => traffic.faultForJason);
    const faults = sum(under, ({ jason }) => jason.faults);
    const spared = sum(under, ({ jason }) => jason.answers);
    const others = sum(chapters, ({ strayFaults }) => strayFaults);
    const early = sum(chapters, ({ jason }) => jason.faults) - faults;
    return {
      text,
      kept: faults > 0 && spared === 0 && others === 0 && early === 0,
      figure: `${faults} of ${faults + spared} calls of ${JASON}, ${others + early} other`,
    };
  };

/** A call is answered with this status and these words, and no other. */
export const answered =
  (text: string, answer: { readonly status: number | string; readonly body: string }, status: number | string, body: string): Pledge =>
  () => ({
    text,
    kept: answer.status === status && answer.body.includes(body),
    figure: `${answer.status} ${answer.body.slice(0, 60)}`.trim(),
  });

/** Whoever calls and whoever is called have counted the same, and all there was. */
export const inTheBooks =
  (text: string): Pledge =>
  (_, books) => {
    const { made, faults, called, served } = books;
    return {
      text,
      kept: called >= ENOUGH && balanced(books),
      figure: `${made} calls of ${JASON} = ${faults} faults + ${called} to v3, which counts ${served}`,
    };
  };

/** Something happens in time; undefined: it did not happen. */
export const happens =
  (text: string, ms: number | undefined, withinMs: number): Pledge =>
  () => ({ text, kept: ms !== undefined && ms <= withinMs, figure: ms === undefined ? 'never' : `after ${Math.round(ms)} ms` });

function sum(chapters: readonly Chapter[], of: (chapter: Chapter) => number): number {
  return chapters.reduce((total, chapter) => total + of(chapter), 0);
}
