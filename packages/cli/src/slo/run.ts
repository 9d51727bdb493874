import { writeFileSync } from 'node:fs';
import { declaredObjectives } from '@inmesh/policy';
import { type SloFormat, sloRules } from '@inmesh/telemetry/slo-rules';
import { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { documentOf } from '../model.ts';

export interface ExportSloArgs {
  /** Files, folders, or `-` for standard input; together they are one document. */
  readonly files: readonly string[];
  readonly format: SloFormat;
  /** File the rules are written to; `-`: standard output. */
  readonly output: string;
}

/** `inmesh slo export`: `declaredObjectives` of @inmesh/policy and `sloRules` of @inmesh/telemetry, printed. */
export async function exportSlo({ files, format, output }: ExportSloArgs, io: Io): Promise<Exit> {
  const document = await documentOf(files, io);
  if (typeof document === 'number') return document;
  const objectives = declaredObjectives(document);
  if (objectives.length === 0) {
    // A file without rules would take the place of one that has them, and nobody would be woken any more.
    io.stderr.write('inmesh: the policy has no ServiceLevelObjective, so there are no rules to export\n');
    return Exit.UNREADABLE;
  }
  const rules = sloRules(objectives, format);
  if (output === '-') io.stdout.write(rules);
  else {
    try {
      writeFileSync(output, rules);
    } catch (error) {
      io.stderr.write(`inmesh: ${output} cannot be written: ${(error as Error).message}\n`);
      return Exit.CANNOT_CREATE;
    }
  }
  return Exit.OK;
}
