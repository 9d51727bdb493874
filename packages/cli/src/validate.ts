import { parse, type Parsed } from '@inmesh/policy';
import { Exit } from './exit.ts';
import type { Io } from './io.ts';
import { paintFor } from './output/paint.ts';
import { printProblems, printSummary } from './output/problems.ts';
import { count, printable } from './output/words.ts';
import { readPolicy } from './read.ts';

export interface ValidateArgs {
  /** Files, folders, or `-` for standard input; together they are one document. */
  readonly files: readonly string[];
  readonly output: 'text' | 'json';
}

/** `inmesh validate`: everything that is wrong with a policy, or worth knowing about it. `parse` of @inmesh/policy, printed. */
export async function validate({ files, output }: ValidateArgs, io: Io): Promise<Exit> {
  const reading = await readPolicy(files, io);
  if (!reading.ok) {
    io.stderr.write(`inmesh: ${reading.reason}\n`);
    return Exit.UNREADABLE;
  }
  const parsed = parse(reading.texts);
  const problems = parsed.ok ? parsed.document.problems : parsed.problems;
  if (output === 'json') io.stdout.write(`${JSON.stringify({ problems }, null, 2)}\n`);
  else {
    const paint = paintFor(io, 'stdout');
    const list = printProblems(problems, paint, io.columns);
    const summary = printSummary(problems, extent(parsed, reading.texts.length), paint);
    io.stdout.write(`${list}${list === '' ? '' : '\n'}${summary}${paint('dim', skipped(parsed))}`);
  }
  return parsed.ok ? Exit.OK : Exit.PROBLEMS;
}

/** What was looked at. A document with errors is never made, so its resources are not counted. */
const extent = (parsed: Parsed, files: number): string =>
  parsed.ok ? count(parsed.document.resources.length, 'resource') : count(files, 'file');

function skipped(parsed: Parsed): string {
  const kinds = parsed.ok ? Object.entries(parsed.document.skipped) : [];
  if (kinds.length === 0) return '';
  const total = kinds.reduce((sum, [, n]) => sum + n, 0);
  return `  ${count(total, 'resource')} of other kinds skipped: ${printable(kinds.map(([kind, n]) => `${n} ${kind}`).join(', '))}\n`;
}
