import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** Fenced blocks, by language and by the file name in their first line. */
const blocks = [...readme.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, language, text]) => ({ language: language!, text: text! }));
const named = (name: string) => blocks.find(({ text }) => new RegExp(`^(#|//) ${name.replace('.', '\\.')}\n`).test(text))!.text;

let folder: string;

beforeAll(() => {
  // Beside the example, so that packages are found as they are there.
  folder = mkdtempSync(join(root, 'examples/.readme-'));
  for (const name of ['policy.yaml', 'hello.ts', 'service.ts']) writeFileSync(join(folder, name), named(name));
  cpSync(join(root, 'examples/hello/greeters.ts'), join(folder, 'greeters.ts'));
});

afterAll(() => rmSync(folder, { recursive: true }));

async function run(file: string, ...flags: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=@inmesh/source', '--disable-warning=ExperimentalWarning', ...flags, file],
    { cwd: folder, timeout: 20_000 },
  );
  return stdout;
}

describe('the README', () => {
  it('shows the files of examples/hello, letter by letter', () => {
    for (const name of ['policy.yaml', 'hello.ts']) {
      expect(readFileSync(join(root, 'examples/hello', name), 'utf8')).toBe(named(name).split('\n').slice(1).join('\n'));
    }
  });

  it('promises what hello.ts prints', async () => {
    const heard = /^\{ hello: (\d+), hola: (\d+) \}$/m.exec(await run('hello.ts'));
    expect(heard).not.toBeNull();
    const [hello, hola] = heard!.slice(1).map(Number) as [number, number];
    expect(hello + hola).toBe(100);
    expect(Math.abs(hello - 90)).toBeLessThanOrEqual(10);
  });

  it('has a service that runs as it stands', async () => {
    expect(await run('service.ts', '--import', './greeters.ts')).toBe('route outbound|80||greeter\n');
  });

  it('names two commands that exist, and no file that does not', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    expect(readme).toContain('npm ci && npm start');
    expect(readme).toContain('npm ci && npm test');
    expect(scripts).toMatchObject({ start: expect.any(String), test: expect.any(String) });
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path]) => path!);
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
