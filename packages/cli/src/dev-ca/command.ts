import { type Command, Option } from 'commander';
import { account, lifetime } from '../arguments.ts';
import type { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { need, output, subcommand } from '../options.ts';

const EXIT_CODES = `Exit codes:
   0  done
  64  the command line cannot be understood
  65  the folder holds no development CA that can be read
  73  a file cannot be written, or exists already`;

/** Wiring of `inmesh dev-ca`: what its commands are called and what they take. */
export function addDevCa(program: Command, io: Io, end: (exit: Exit) => void): void {
  const devCa = subcommand(program, 'dev-ca')
    .summary('issue certificates for development')
    .description('A certificate authority for development: its key is a file, so whoever can read that can be anybody.')
    .helpCommand(false)
    .addHelpText('after', `\n${EXIT_CODES}`);

  subcommand(devCa, 'init')
    .summary('make a development CA')
    .usage('-d DIR [options]')
    .description('Makes a CA of a trust domain and keeps it in a folder. Overwrites nothing.')
    .addOption(folder())
    .addOption(new Option('--trust-domain <domain>', 'whose identities it issues').default('cluster.local'))
    .addOption(new Option('--ttl <duration>', 'how long its root is valid').argParser(lifetime).default(365 * 86_400_000, '365d'))
    .addOption(output())
    .addHelpText(
      'after',
      `
Examples:
  inmesh dev-ca init -d ca
  inmesh dev-ca init -d ca --trust-domain dev.example.org

${EXIT_CODES}`,
    )
    .action(async ({ directory, trustDomain, ttl, output: format }: InitOptions, command: Command) => {
      need(command, '-d DIR', directory);
      const { initDevCa } = await import('./run.ts');
      end(await initDevCa({ directory, trustDomain, ttlMs: ttl, output: format }, io));
    });

  subcommand(devCa, 'issue')
    .summary('issue a certificate to a service account')
    .usage('-d DIR --to NAMESPACE/ACCOUNT [options]')
    .description(
      'Issues a certificate, as cert-chain.pem, key.pem and root-cert.pem of a folder or, without --out, as PEM to standard output.',
    )
    .addOption(folder())
    .addOption(new Option('--to <namespace/account>', 'the service account').argParser(account))
    .addOption(new Option('--ttl <duration>', 'how long it is valid').argParser(lifetime).default(86_400_000, '24h'))
    .addOption(new Option('--out <dir>', 'the folder to write to'))
    .addOption(new Option('--replace', 'renew the certificate that lies there').default(false))
    .addOption(output())
    .addHelpText(
      'after',
      `
Examples:
  inmesh dev-ca issue -d ca --to default/storefront --out certs/storefront
  inmesh dev-ca issue -d ca --to default/storefront --out certs/storefront --replace
  inmesh dev-ca issue -d ca --to default/storefront --ttl 10m -o json | jq -r .certificate

${EXIT_CODES}`,
    )
    .action(async ({ directory, to, ttl, out, replace, output: format }: IssueOptions, command: Command) => {
      need(command, '-d DIR', directory);
      need(command, '--to NAMESPACE/ACCOUNT', to);
      if (replace && out === undefined) command.error('inmesh: --replace needs --out DIR');
      const { issueFromDevCa } = await import('./run.ts');
      end(await issueFromDevCa({ directory, ...to, ttlMs: ttl, out, replace, output: format }, io));
    });
}

interface InitOptions {
  readonly directory?: string;
  readonly trustDomain: string;
  readonly ttl: number;
  readonly output: 'text' | 'json';
}

interface IssueOptions {
  readonly directory?: string;
  readonly to?: { readonly namespace: string; readonly serviceAccount: string };
  readonly ttl: number;
  readonly out?: string;
  readonly replace: boolean;
  readonly output: 'text' | 'json';
}

const folder = (): Option => new Option('-d, --directory <dir>', 'the folder of the CA');
