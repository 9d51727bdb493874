import { describe, expect, it } from 'vitest';
import { run } from './program.ts';
import { memoryIo } from '../test/memory-io.ts';

const inmesh = async (...argv: string[]): Promise<{ exit: number; out: string; err: string }> => {
  const { io, out, err } = memoryIo();
  return { exit: await run(argv, io), out: out(), err: err() };
};

const explain = (...argv: string[]) => inmesh('explain', '-f', '/nowhere.yaml', '--from', 'default/shop', ...argv);

describe('the command line', () => {
  it('prints its version', async () => {
    expect(await inmesh('--version')).toEqual({ exit: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), err: '' });
  });

  it.each([[['--help']], [['help']]])('prints its help for %s', async (argv) => {
    const { exit, out, err } = await inmesh(...argv);
    expect([exit, err]).toEqual([0, '']);
    expect(out).toContain('Usage: inmesh [options] [command]');
    expect(out).toContain('  79  the policy has errors');
  });

  it.each(['validate', 'explain'])('prints help with examples for %s', async (command) => {
    const { exit, out, err } = await inmesh(command, '--help');
    expect([exit, err]).toEqual([0, '']);
    expect(out).toContain(`Examples:\n  inmesh ${command} -f policy/`);
    expect((await inmesh('help', command)).out).toBe(out);
  });

  it('prints its help as a message when nothing is asked', async () => {
    const { exit, out, err } = await inmesh();
    expect([exit, out]).toEqual([64, '']);
    expect(err).toContain('Usage: inmesh');
  });

  it.each([
    [['validat', '-f', '-'], "inmesh: unknown command 'validat'\n(Did you mean validate?)\n"],
    [
      ['validate', '--fil', 'x'],
      'inmesh: unknown option \'--fil\'\n(Did you mean --file?)\nrun "inmesh validate --help" for what it takes\n',
    ],
    [['validate'], 'inmesh: validate needs -f PATH\nrun "inmesh validate --help" for what it takes\n'],
    [
      ['validate', '-f', '-', '-o', 'yaml'],
      "inmesh: option '-o, --output <format>' argument 'yaml' is invalid. Allowed choices are text, json.\nrun \"inmesh validate --help\" for what it takes\n",
    ],
    [
      ['validate', 'policy/'],
      'inmesh: "policy/" is not an option; name files as in: inmesh validate -f policy/\nrun "inmesh validate --help" for what it takes\n',
    ],
  ])('refuses %j', async (argv, message) => {
    expect(await inmesh(...argv)).toEqual({ exit: 64, out: '', err: message });
  });

  it.each([
    [['--label', 'app', 'GET', 'http://a/'], 'It must be KEY=VALUE, as in app=storefront.'],
    [['--port', '70000', 'GET', 'http://a/'], 'It must be a port from 1 to 65535.'],
    [['--locality', '/zone', 'GET', 'http://a/'], 'It must be REGION, REGION/ZONE or REGION/ZONE/SUBZONE'],
    [['-H', 'end-user', 'GET', 'http://a/'], "It must be 'name: value', as in 'end-user: jason'."],
    [['-H', ':path: /x', 'GET', 'http://a/'], "It must be 'name: value'"],
    [['-H', 'a: b\u0000', 'GET', 'http://a/'], 'Its value has a control character.'],
    [['http://a/'], 'It is a URL; write the method first: GET http://a/'],
    [['grpc://a/b.C/D'], 'It is a URL; write the method first: POST grpc://a/b.C/D'],
    [['GET'], 'inmesh: explain needs METHOD URL\n'],
    [['GET', 'http://a/', 'more'], 'too many arguments'],
    [[], "missing required argument 'method'"],
    [['G ET', 'http://a/'], 'It must be a method such as GET or POST.'],
  ])('explain refuses %j', async (argv, message) => {
    const { exit, out, err } = await explain(...argv);
    expect([exit, out]).toEqual([64, '']);
    expect(err).toContain(message);
  });

  it('explain needs to know who asks', async () => {
    const err = 'inmesh: explain needs --from NAMESPACE/WORKLOAD\nrun "inmesh explain --help" for what it takes\n';
    expect(await inmesh('explain', '-f', '-', 'GET', 'http://a/')).toEqual({ exit: 64, out: '', err });
  });

  it.each([
    ['storefront', 'did you mean "default/storefront"?'],
    ['a/b/c', 'It must be NAMESPACE/WORKLOAD, as in default/storefront.'],
    ['/b', 'It must be NAMESPACE/WORKLOAD, as in default/storefront.'],
  ])('explain refuses --from %s', async (from, message) => {
    const { exit, err } = await inmesh('explain', '-f', '-', '--from', from, 'GET', 'http://a/');
    expect(exit).toBe(64);
    expect(err).toContain(message);
  });

  it('tells an unreadable policy from a wrong command line', async () => {
    const err = 'inmesh: /nowhere.yaml does not exist; -f takes a file, a folder, or - for standard input\n';
    expect(await inmesh('validate', '-f', '/nowhere.yaml')).toEqual({ exit: 65, out: '', err });
    expect(await explain('GET', 'http://a/')).toEqual({ exit: 65, out: '', err });
  });

  it('owns up to its own faults', async () => {
    const { io, err } = memoryIo({
      stdout: {
        write: () => {
          throw new Error('disk full');
        },
      },
    });
    expect(await run(['--version'], io)).toBe(70);
    expect(err()).toMatch(/^inmesh: this is a fault of inmesh itself, please report it\nError: disk full\n/);
  });
});
