import { type Document, type Model, parse, resolve, type Workload } from '@inmesh/policy';
import { Exit } from './exit.ts';
import type { Io } from './io.ts';
import { paintFor } from './output/paint.ts';
import { printProblems, printSummary } from './output/problems.ts';
import { count } from './output/words.ts';
import { readPolicy } from './read.ts';

/** A policy without errors; or, once what is wrong has been told, how the command ends. */
export async function documentOf(files: readonly string[], io: Io): Promise<Document | Exit> {
  const reading = await readPolicy(files, io);
  if (!reading.ok) {
    io.stderr.write(`inmesh: ${reading.reason}\n`);
    return Exit.UNREADABLE;
  }
  const parsed = parse(reading.texts);
  if (parsed.ok) return parsed.document;
  const paint = paintFor(io, 'stderr');
  const summary = printSummary(parsed.problems, count(reading.texts.length, 'file'), paint);
  io.stderr.write(`${printProblems(parsed.problems, paint, io.columns)}\n${summary}`);
  return Exit.PROBLEMS;
}

/** What a policy means for a workload; or how the command ends. */
export async function modelFor(files: readonly string[], workload: Workload, io: Io): Promise<Model | Exit> {
  const document = await documentOf(files, io);
  return typeof document === 'number' ? document : resolve(document, workload);
}
