import { type Command, Option } from 'commander';
import type { SloFormat } from '@inmesh/telemetry/slo-rules';
import type { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { files, need, subcommand } from '../options.ts';

const EXIT_CODES = `Exit codes:
   0  done
  64  the command line cannot be understood
  65  the policy cannot be read, or has no ServiceLevelObjective
  73  the file cannot be written
  79  the policy has errors`;

/** Wiring of `inmesh slo`: what its commands are called and what they take. */
export function addSlo(program: Command, io: Io, end: (exit: Exit) => void): void {
  const slo = subcommand(program, 'slo')
    .summary('write rules that watch objectives')
    .description('Rules for Prometheus, Sloth or Pyrra from the ServiceLevelObjectives of a policy.')
    .helpCommand(false)
    .addHelpText('after', `\n${EXIT_CODES}`);

  subcommand(slo, 'export')
    .summary('write rules that watch the objectives of a policy in the whole mesh')
    .usage('-f PATH --format prometheus|sloth|pyrra [options]')
    .description(
      'Writes rules that watch the ServiceLevelObjectives of a policy from what the callers of their services count: recording and alerting rules of Prometheus, a specification for Sloth, or resources of Pyrra. An existing file is replaced.',
    )
    .addOption(files())
    .addOption(new Option('--format <format>', 'whom the rules are for').choices(['prometheus', 'sloth', 'pyrra']))
    .addOption(new Option('-o, --output <file>', 'the file to write to, - for standard output').default('-'))
    .addHelpText(
      'after',
      `
Examples:
  inmesh slo export -f policy/ --format prometheus -o slo-rules.yaml && promtool check rules slo-rules.yaml
  inmesh slo export -f policy/ --format sloth -o sloth.yaml && sloth generate -i sloth.yaml
  inmesh slo export -f policy/ --format pyrra | kubectl apply -f -

${EXIT_CODES}`,
    )
    .action(async ({ file, format, output }: ExportOptions, command: Command) => {
      need(command, '-f PATH', file);
      need(command, '--format prometheus|sloth|pyrra', format);
      const { exportSlo } = await import('./run.ts');
      end(await exportSlo({ files: file, format, output }, io));
    });
}

interface ExportOptions {
  readonly file?: readonly string[];
  readonly format?: SloFormat;
  readonly output: string;
}
