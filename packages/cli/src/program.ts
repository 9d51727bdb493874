import { readFileSync } from 'node:fs';
import type { Locality } from '@inmesh/policy';
import { Command, CommanderError, Option } from 'commander';
import { type Caller, caller, type Header, header, label, method, place, port } from './arguments.ts';
import { addConsole } from './console/command.ts';
import { addDevCa } from './dev-ca/command.ts';
import { Exit } from './exit.ts';
import type { Io } from './io.ts';
import { files, need, output, subcommand } from './options.ts';
import { type Paint, paintFor } from './output/paint.ts';
import { addRegistry } from './registry/command.ts';
import { addSlo } from './slo/command.ts';

/** The `inmesh` command: reads the command line, runs what it names, tells how it ended. Never throws. */
export async function run(argv: readonly string[], io: Io): Promise<Exit> {
  let exit: Exit = Exit.OK;
  const program = createProgram(io, (code) => (exit = code));
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.OK : Exit.USAGE;
    io.stderr.write(`inmesh: this is a fault of inmesh itself, please report it\n${(error as Error).stack ?? String(error)}\n`);
    return Exit.INTERNAL;
  }
}

const EXIT_CODES = `Exit codes:
   0  done; for validate: no errors
  64  the command line cannot be understood
  65  what was named cannot be read
  73  a file cannot be written, or exists already
  79  the policy has errors`;

/** Wiring only: what the commands are called, what they take, and where the work is done. */
function createProgram(io: Io, end: (exit: Exit) => void): Command {
  const program = new Command('inmesh')
    .description(
      'Checks policies written as Istio and Gateway API resources, explains what they make of a request, writes rules that watch objectives, issues certificates for development, runs a registry for machines, and shows a mesh in a browser.',
    )
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', `\n${EXIT_CODES}`)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'inmesh: ')),
      getOutHasColors: () => true,
      getErrHasColors: () => true,
      getOutHelpWidth: () => Math.min(io.columns, 110),
      getErrHelpWidth: () => Math.min(io.columns, 110),
    })
    .configureHelp(styled(paintFor(io, 'stdout')));

  subcommand(program, 'validate')
    .summary('check a policy')
    .usage('-f PATH [options]')
    .description('Checks a policy: every problem at once, each with its place and a remedy.')
    .allowExcessArguments()
    .addOption(files())
    .addOption(output())
    .addHelpText(
      'after',
      `
Examples:
  inmesh validate -f policy/
  inmesh validate -f mesh.yaml -f reviews.yaml -o json
  helm template shop | inmesh validate -f -

${EXIT_CODES}`,
    )
    .action(async (options: ValidateOptions, command: Command) => {
      const [stray] = command.args;
      if (stray !== undefined) command.error(`inmesh: "${stray}" is not an option; name files as in: inmesh validate -f ${stray}`);
      need(command, '-f PATH', options.file);
      const { validate } = await import('./validate.ts');
      end(await validate({ files: options.file, output: options.output }, io));
    });

  subcommand(program, 'explain')
    .summary('tell what becomes of a request, and why')
    .usage('-f PATH (--from NAMESPACE/WORKLOAD | --inbound --to NAMESPACE/WORKLOAD --port N) [options] METHOD URL')
    .description(
      'Tells what would become of a request, and why: the rule that matches, where the call goes, timeout, retries, faults. With --inbound: whether a workload lets a call in, and which policy says so. Sends nothing; keys of a --token are fetched from where the policy says.',
    )
    .addOption(files())
    .addOption(new Option('--from <namespace/workload>', 'who asks').argParser(caller))
    .addOption(new Option('--inbound', 'explain what becomes of a call to a workload'))
    .addOption(new Option('--to <namespace/workload>', 'who is called, with --inbound').argParser(caller))
    .addOption(new Option('--principal <id>', 'whom the caller proves to be by mutual TLS: TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT'))
    .addOption(new Option('--plaintext', 'the caller comes without mutual TLS (the default)').conflicts('principal'))
    .addOption(new Option('--source-ip <address>', 'address the caller comes from'))
    .addOption(new Option('--token <jwt>', 'a token the caller sends as Authorization: Bearer'))
    .addOption(new Option('--label <key=value>', 'a label of the workload named (repeatable)').argParser(label))
    .addOption(new Option('--locality <region/zone/subzone>', 'where the asking workload runs').argParser(place))
    .addOption(
      new Option('--port <number>', "the port addressed, where it is not the URL's; with --inbound the workload's").argParser(port),
    )
    .addOption(new Option('-H, --header <header>', "a request header, 'name: value' (repeatable)").argParser(header))
    .addOption(output())
    .argument('<method>', 'GET, POST, …', method)
    .argument('[url]', 'the whole URL, as in http://reviews:9080/ratings/7 or grpc://ratings/shop.Ratings/Get')
    .addHelpText(
      'after',
      `
Examples:
  inmesh explain -f policy/ --from default/storefront GET http://reviews:9080/ratings/7
  inmesh explain -f policy/ --from default/storefront --label version=v2 -H 'end-user: jason' GET http://reviews:9080/
  inmesh explain -f policy/ --from default/storefront -o json POST https://api.example.com/orders | jq .decision
  inmesh explain -f policy/ --from default/storefront -H 'end-user: jason' POST grpc://ratings/shop.Ratings/Get
  inmesh explain -f policy/ --inbound --to shop/ratings --label app=ratings --port 9080 --principal cluster.local/ns/shop/sa/reviews GET /7

${EXIT_CODES}`,
    )
    .action(async (verb: string, url: string | undefined, options: ExplainOptions, command: Command) => {
      const { file, from, label: labels = {}, locality, port: addressed, header: headers = [], output: format } = options;
      need(command, 'METHOD URL', url);
      need(command, '-f PATH', file);
      if (options.inbound === true) {
        const { to, principal, sourceIp, token } = options;
        need(command, '--to NAMESPACE/WORKLOAD with --inbound', to);
        need(command, '--port NUMBER with --inbound', addressed);
        const { explainInbound } = await import('./explain-inbound.ts');
        const call = { port: addressed, principal, sourceIp, token, method: verb, url, headers };
        return end(await explainInbound({ files: file, to, labels, ...call, output: format }, io));
      }
      for (const [name, value] of Object.entries({
        to: options.to,
        principal: options.principal,
        'source-ip': options.sourceIp,
        token: options.token,
      }))
        if (value !== undefined) command.error(`inmesh: --${name} is about a call to a workload; add --inbound`);
      need(command, '--from NAMESPACE/WORKLOAD', from);
      const { explain } = await import('./explain.ts');
      end(await explain({ files: file, from, labels, locality, port: addressed, method: verb, url, headers, output: format }, io));
    });
  addDevCa(program, io, end);
  addRegistry(program, io, end);
  addConsole(program, io, end);
  addSlo(program, io, end);
  return program;
}

interface ValidateOptions {
  readonly file?: readonly string[];
  readonly output: 'text' | 'json';
}

interface ExplainOptions extends ValidateOptions {
  readonly from?: Caller;
  readonly label?: Readonly<Record<string, string>>;
  readonly locality?: Locality;
  readonly port?: number;
  readonly header?: readonly Header[];
  readonly inbound?: boolean;
  readonly to?: Caller;
  readonly principal?: string;
  readonly sourceIp?: string;
  readonly token?: string;
}

const styled = (paint: Paint) => ({
  subcommandTerm: (command: Command): string => command.name(),
  styleTitle: (text: string): string => paint('bold', text),
  styleCommandText: (text: string): string => paint('cyan', text),
  styleSubcommandText: (text: string): string => paint('cyan', text),
  styleOptionText: (text: string): string => paint('cyan', text),
  styleArgumentText: (text: string): string => paint('cyan', text),
});

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}
