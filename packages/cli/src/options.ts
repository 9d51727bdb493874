import { type Command, Option } from 'commander';
import { path } from './arguments.ts';

/** What several commands take, and how they ask for it. */

/** Asked here and not of commander, which would complain of what is missing before it told of a mistyped option. */
export function need<T>(command: Command, what: string, value: T | undefined): asserts value is T {
  if (value === undefined) command.error(`inmesh: ${command.name()} needs ${what}`);
}

/** Options may stand anywhere; a wrong command line points to the help of the command it names. */
export function subcommand(parent: Command, name: string): Command {
  const whole = parent.parent === null ? name : `${parent.name()} ${name}`;
  return parent
    .command(name)
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError(`run "inmesh ${whole} --help" for what it takes`);
}

export const files = (): Option =>
  new Option('-f, --file <path>', 'a file, a folder, or - for standard input (repeatable)').argParser(path);

export const output = (): Option =>
  new Option('-o, --output <format>', 'for people or for programs').choices(['text', 'json']).default('text');
