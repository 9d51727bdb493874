import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryIo } from '../../test/memory-io.ts';
import { run } from '../program.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'inmesh-cli-slo-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const TEST = join(import.meta.dirname, '../../test');
const POLICY = join(TEST, 'slo');

const slo = async (...argv: readonly string[]) => {
  const { io, out, err } = memoryIo();
  return { exit: await run(['slo', 'export', ...argv], io), out: out(), err: err() };
};

describe('inmesh slo export', () => {
  it('writes rules to standard output, or to a file it replaces', async () => {
    const { exit, out } = await slo('-f', POLICY, '--format', 'prometheus');
    expect([exit, out.startsWith('groups:\n')]).toEqual([0, true]);
    const file = join(folder, 'rules.yaml');
    for (let time = 0; time < 2; time += 1) expect(await slo('-f', POLICY, '--format', 'prometheus', '-o', file)).toEqual({ exit: 0, out: '', err: '' }); // prettier-ignore
    expect(readFileSync(file, 'utf8')).toBe(out);
  });

  it('knows three formats', async () => {
    expect((await slo('-f', POLICY, '--format', 'sloth')).out).toContain('kind: PrometheusServiceLevel');
    expect((await slo('-f', POLICY, '--format', 'pyrra')).out).toContain('apiVersion: pyrra.dev/v1alpha1');
    const { exit, err } = await slo('-f', POLICY, '--format', 'openslo');
    expect([exit, err]).toEqual([64, expect.stringContaining('Allowed choices are prometheus, sloth, pyrra')]);
  });

  it('writes nothing where there is nothing to watch: an empty file of rules wakes nobody', async () => {
    const file = join(folder, 'rules.yaml');
    const { exit, err } = await slo('-f', join(TEST, 'bookinfo'), '--format', 'prometheus', '-o', file);
    expect([exit, err]).toEqual([65, expect.stringContaining('no ServiceLevelObjective')]);
    expect(() => readFileSync(file)).toThrow(/ENOENT/);
  });

  it('says what is missing, and what is wrong', async () => {
    expect(await slo('--format', 'sloth')).toMatchObject({ exit: 64, err: expect.stringContaining('export needs -f PATH') as string });
    expect(await slo('-f', POLICY)).toMatchObject({ exit: 64, err: expect.stringContaining('export needs --format') as string });
    expect(await slo('-f', join(TEST, 'broken'), '--format', 'sloth')).toMatchObject({ exit: 79 });
    expect(await slo('-f', join(folder, 'none'), '--format', 'sloth')).toMatchObject({ exit: 65 });
    const nowhere = join(folder, 'no', 'rules.yaml');
    expect(await slo('-f', POLICY, '--format', 'sloth', '-o', nowhere)).toMatchObject({ exit: 73, err: expect.stringContaining(`${nowhere} cannot be written`) as string }); // prettier-ignore
  });
});
