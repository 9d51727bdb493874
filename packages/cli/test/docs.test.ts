import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../src/program.ts';
import { memoryIo } from './memory-io.ts';

const PAGE = join(import.meta.dirname, '../../../docs/cli.md');

/** The page with every `console` block run anew, in this folder. `npx vitest run -u packages/cli/test/docs` writes it. */
async function rendered(): Promise<string> {
  // Texts and the commands between them take turns.
  const parts = readFileSync(PAGE, 'utf8').split(/^```console\n\$ inmesh (.*)\n[^]*?^```$/m);
  for (let index = 1; index < parts.length; index += 2) {
    const command = parts[index] ?? '';
    const argv = (command.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, '$1'));
    const { io, out, err } = memoryIo();
    await run(argv, io);
    parts[index] = `\`\`\`console\n$ inmesh ${command}\n${out()}${err()}\`\`\``;
  }
  return parts.join('');
}

const home = process.cwd();
beforeAll(() => process.chdir(import.meta.dirname));
afterAll(() => process.chdir(home));

describe('docs/cli.md', () => {
  it('shows what the commands really print', async () => {
    const page = await rendered();
    expect(page.match(/^\$ inmesh /gm)?.length).toBeGreaterThan(5);
    await expect(page).toMatchFileSnapshot(PAGE);
  });
});
