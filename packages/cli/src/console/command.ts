import { type Command, InvalidArgumentError, Option } from 'commander';
import { freePort } from '../arguments.ts';
import type { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { output, subcommand } from '../options.ts';

const EXIT_CODES = `Exit codes:
   0  it was asked to end (SIGINT, SIGTERM) and has
  64  the command line cannot mean anything
  73  the address cannot be listened on`;

/** Wiring of `inmesh console`: what it takes. */
export function addConsole(program: Command, io: Io, end: (exit: Exit) => void): void {
  subcommand(program, 'console')
    .summary('show a mesh in a browser')
    .usage('[--admin URL]... [--prometheus URL] [options]')
    .description(
      'Shows a mesh in a browser, from the admin ports of its processes, from its Prometheus, or from both: who calls whom and how well, routes, endpoints, the policy in force, certificates, calls as they end, objectives. Changes nothing.',
    )
    .addOption(new Option('--admin <url>', 'admin port of a process (repeatable)').argParser(urls))
    .addOption(new Option('--prometheus <url>', 'a Prometheus that scrapes the mesh: traffic of all its processes').argParser(url))
    .addOption(new Option('--port <number>', 'port to listen on; 0 picks one').argParser(freePort).default(0))
    .addOption(new Option('--host <address>', 'address to listen on').default('127.0.0.1'))
    .option('--no-open', 'only print the address')
    .addOption(output())
    .addHelpText(
      'after',
      `
Examples:
  inmesh console --admin http://127.0.0.1:15000
  inmesh console --admin 127.0.0.1:15000 --admin 127.0.0.1:15001 --no-open
  inmesh console --prometheus http://prometheus.istio-system:9090
  kubectl port-forward deploy/storefront 15000 & inmesh console --admin localhost:15000

${EXIT_CODES}`,
    )
    .action(async ({ admin: admins = [], ...options }: ConsoleCommandOptions, command: Command) => {
      if (admins.length === 0 && options.prometheus === undefined) {
        command.error('inmesh: console needs something to show: --admin URL of a process, --prometheus URL, or both');
      }
      const { runConsole } = await import('./run.ts');
      end(await runConsole({ ...options, admins }, io));
    });
}

interface ConsoleCommandOptions {
  readonly admin?: readonly URL[];
  readonly prometheus?: URL;
  readonly port: number;
  readonly host: string;
  readonly open: boolean;
  readonly output: 'text' | 'json';
}

/** `http://host:port/prefix`; the scheme may be left out. */
function url(text: string): URL {
  const whole = text.includes('://') ? text : `http://${text}`;
  const found = URL.canParse(whole) ? new URL(whole) : undefined;
  if (found === undefined || !['http:', 'https:'].includes(found.protocol)) {
    throw new InvalidArgumentError('It must be the URL of an HTTP server, as in http://127.0.0.1:15000.');
  }
  return found;
}

const urls = (text: string, before: readonly URL[] = []): readonly URL[] => [...before, url(text)];
