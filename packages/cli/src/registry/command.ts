import { type Command, Option } from 'commander';
import { freePort, secret } from '../arguments.ts';
import type { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { output, subcommand } from '../options.ts';

const EXIT_CODES = `Exit codes:
   0  it was asked to end (SIGINT, SIGTERM) and has
  64  the command line cannot mean anything
  65  what was named cannot be read: the folder, the certificate
  73  the address cannot be listened on, or the folder cannot be written to`;

/** Wiring of `inmesh registry`: what it takes. */
export function addRegistry(program: Command, io: Io, end: (exit: Exit) => void): void {
  subcommand(program, 'registry')
    .summary('run a registry for machines')
    .usage('[options]')
    .description(
      'Runs a registry: machines register themselves for as long as they renew their lease, and those who call them are told of every change. Without a token it listens on this machine only.',
    )
    .addOption(new Option('--port <number>', 'port to listen on; 0 picks one').argParser(freePort).default(8500))
    .addOption(new Option('--host <address>', 'address to listen on; anything but loopback needs a token').default('127.0.0.1'))
    .addOption(new Option('--data <dir>', 'folder in which registrations are kept over a restart (default: nowhere)'))
    .addOption(
      new Option(
        '--token <token>',
        'what every request must show (repeatable; better: INMESH_REGISTRY_TOKEN, which others cannot see)',
      ).argParser(secret),
    )
    .addOption(new Option('--tls-cert <file>', 'certificate chain, PEM'))
    .addOption(new Option('--tls-key <file>', 'its private key, PEM'))
    .addOption(new Option('--domain <domain>', 'domain of services that are registered without a dot').default('cluster.local'))
    .addOption(output())
    .addHelpText(
      'after',
      `
Examples:
  inmesh registry --data /var/lib/inmesh
  INMESH_REGISTRY_TOKEN=$(cat token) inmesh registry --host 0.0.0.0 --data /var/lib/inmesh --tls-cert cert.pem --tls-key key.pem
  curl -X PUT http://127.0.0.1:8500/v1/registrations/reviews-1 -d '{ "service": "reviews", "ports": { "http": 9080 }, "leaseSeconds": 60 }'
  curl http://127.0.0.1:8500/v1/services

${EXIT_CODES}`,
    )
    .action(async ({ tlsCert, tlsKey, token, ...options }: RegistryCommandOptions, command: Command) => {
      if ((tlsCert === undefined) !== (tlsKey === undefined)) command.error('inmesh: --tls-cert and --tls-key belong together');
      const tls = tlsCert === undefined || tlsKey === undefined ? undefined : { cert: tlsCert, key: tlsKey };
      const { runRegistry } = await import('./run.ts');
      end(await runRegistry({ ...options, tokens: token, tls }, io));
    });
}

interface RegistryCommandOptions {
  readonly port: number;
  readonly host: string;
  readonly data?: string;
  readonly token?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly domain: string;
  readonly output: 'text' | 'json';
}
