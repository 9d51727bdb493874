import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fileSource, type FileSourceOptions } from './file.ts';
import type { SourceUpdate } from './source.ts';

let folder: string;
let close: () => void = () => {};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-file-'));
});
afterEach(() => {
  close();
  rmSync(folder, { recursive: true, force: true });
});

const FAST: FileSourceOptions = { quietMs: 30, longestMs: 300, pollMs: 5000 };

/** Follows a source; `texts()` is what it says now, `told` all it ever said. */
function follow(path: string, options = FAST) {
  const told: SourceUpdate[] = [];
  const watch = fileSource(path, options).watch((update) => told.push(update));
  close = () => watch.close();
  const texts = (): string[] | string | undefined => {
    const last = told.at(-1);
    return last === undefined ? undefined : last.ok ? last.texts.map(({ text }) => text) : last.reason;
  };
  const reaches = (wanted: unknown): Promise<void> => vi.waitFor(() => expect(texts()).toEqual(wanted), { timeout: 4000, interval: 5 });
  return { told, texts, reaches };
}

const quiet = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const at = (...names: string[]): string => join(folder, ...names);

describe('a file', () => {
  it('is read, and read again when it is written', async () => {
    writeFileSync(at('a.yaml'), 'one');
    const { reaches, told } = follow(at('a.yaml'));
    await reaches(['one']);
    expect(told[0]).toMatchObject({
      ok: true,
      texts: [{ file: at('a.yaml'), text: 'one' }],
      version: expect.stringMatching(/^[0-9a-f]{12}$/),
    });
    writeFileSync(at('a.yaml'), 'two');
    await reaches(['two']);
    expect(told).toHaveLength(2);
  });

  it('may be replaced by an atomic rename, again and again', async () => {
    writeFileSync(at('a.yaml'), '0');
    const { reaches } = follow(at('a.yaml'));
    await reaches(['0']);
    for (const text of ['1', '2', '3']) {
      writeFileSync(at('.a.tmp'), text);
      renameSync(at('.a.tmp'), at('a.yaml'));
      await reaches([text]);
    }
  });

  it('is not told while it is written in pieces', async () => {
    writeFileSync(at('a.yaml'), 'old');
    const { reaches, told } = follow(at('a.yaml'), { ...FAST, quietMs: 200, longestMs: 2000 });
    await reaches(['old']);
    truncateSync(at('a.yaml'));
    for (const piece of ['half', ' and', ' half']) {
      await quiet(10);
      appendFileSync(at('a.yaml'), piece);
    }
    await reaches(['half and half']);
    expect(told).toHaveLength(2);
  });

  it('may be missing for a moment without a word', async () => {
    writeFileSync(at('a.yaml'), 'one');
    const { reaches, told } = follow(at('a.yaml'), { ...FAST, longestMs: 1500 });
    await reaches(['one']);
    unlinkSync(at('a.yaml'));
    await quiet(100);
    writeFileSync(at('a.yaml'), 'two');
    await reaches(['two']);
    expect(told.every(({ ok }) => ok)).toBe(true);
  });

  it('that stays away is a failure told once, and a success again when it is back, even unchanged', async () => {
    writeFileSync(at('a.yaml'), 'one');
    const { reaches, told } = follow(at('a.yaml'), { ...FAST, pollMs: 50 });
    await reaches(['one']);
    unlinkSync(at('a.yaml'));
    await reaches(`${at('a.yaml')} does not exist`);
    await quiet(150);
    writeFileSync(at('a.yaml'), 'one');
    await reaches(['one']);
    expect(told.map(({ ok }) => ok)).toEqual([true, false, true]);
    expect(told[1]).toMatchObject({ transient: false });
  });

  it('that becomes empty never empties the mesh', async () => {
    writeFileSync(at('a.yaml'), 'one');
    const { reaches } = follow(at('a.yaml'));
    await reaches(['one']);
    writeFileSync(at('a.yaml'), ' \n');
    await reaches(`${at('a.yaml')} is empty`);
  });

  it('that is missing at the start is said so at once, and found when it comes', async () => {
    const { reaches } = follow(at('a.yaml'), { ...FAST, longestMs: 10_000, pollMs: 40 });
    await reaches(`${at('a.yaml')} does not exist`);
    writeFileSync(at('a.yaml'), 'one');
    await reaches(['one']);
  });

  it('is found by the poll where nobody watches: behind a link into a folder that is swapped', async () => {
    mkdirSync(at('releases', '1'), { recursive: true });
    mkdirSync(at('releases', '2'));
    writeFileSync(at('releases', '1', 'a.yaml'), 'one');
    writeFileSync(at('releases', '2', 'a.yaml'), 'two');
    symlinkSync(at('releases', '1'), at('current'));
    mkdirSync(at('etc'));
    symlinkSync(at('current', 'a.yaml'), at('etc', 'a.yaml'));
    const { reaches } = follow(at('etc', 'a.yaml'), { ...FAST, pollMs: 50 });
    await reaches(['one']);
    symlinkSync(at('releases', '2'), at('next'));
    renameSync(at('next'), at('current'));
    await reaches(['two']);
  });

  it('that is too large is refused by name', async () => {
    writeFileSync(at('a.yaml'), 'x'.repeat(101));
    const { reaches } = follow(at('a.yaml'), { ...FAST, maxBytes: 100 });
    await reaches(`${at('a.yaml')} holds 101 bytes, more than the 100 a document may have`);
  });

  it('takes file: URLs, relative file: and a URL object', () => {
    expect(fileSource('file:///etc/mesh').name).toBe('/etc/mesh');
    expect(fileSource('file:./mesh').name).toBe('./mesh');
    expect(fileSource(new URL('file:///etc/mesh%20two')).name).toBe('/etc/mesh two');
  });
});

describe('a folder', () => {
  it('is every yaml and json in it and below, sorted, without hidden and temporary files', async () => {
    mkdirSync(at('sub', '.git'), { recursive: true });
    for (const [name, text] of [
      ['b.yaml', 'b'], ['a.yml', 'a'], ['sub/c.json', 'c'], ['.hidden.yaml', 'x'], ['a.yaml~', 'x'], ['#a.yaml#', 'x'], ['.a.yaml.swp', 'x'],
      ['notes.txt', 'x'], ['sub/.git/d.yaml', 'x'],
    ] as const) writeFileSync(at(name), text); // prettier-ignore
    const { reaches, told } = follow(folder);
    await reaches(['a', 'b', 'c']);
    expect(told[0]).toMatchObject({ texts: [{ file: at('a.yml') }, { file: at('b.yaml') }, { file: at('sub', 'c.json') }] });
  });

  it('follows files that come, change and go, also in folders that come later', async () => {
    writeFileSync(at('a.yaml'), 'a');
    const { reaches } = follow(folder);
    await reaches(['a']);
    mkdirSync(at('new'));
    await quiet(80);
    writeFileSync(at('new', 'b.yaml'), 'b');
    await reaches(['a', 'b']);
    writeFileSync(at('new', 'b.yaml'), 'B');
    await reaches(['a', 'B']);
    rmSync(at('new'), { recursive: true });
    await reaches(['a']);
  });

  it('mounted from a ConfigMap changes whole when Kubernetes swaps its ..data link', async () => {
    const publish = (stamp: string, a: string, b: string): void => {
      mkdirSync(at(`..${stamp}`));
      writeFileSync(at(`..${stamp}`, 'a.yaml'), a);
      writeFileSync(at(`..${stamp}`, 'b.yaml'), b);
      symlinkSync(`..${stamp}`, at('..data_tmp'));
      renameSync(at('..data_tmp'), at('..data'));
    };
    publish('1', 'a1', 'b1');
    symlinkSync(join('..data', 'a.yaml'), at('a.yaml'));
    symlinkSync(join('..data', 'b.yaml'), at('b.yaml'));
    const { reaches, told } = follow(folder);
    await reaches(['a1', 'b1']);
    for (const round of ['2', '3', '4']) {
      publish(round, `a${round}`, `b${round}`);
      rmSync(at(`..${Number(round) - 1}`), { recursive: true });
      await reaches([`a${round}`, `b${round}`]);
    }
    expect(told).toHaveLength(4);
  });

  it('is never told half changed while many files are written', async () => {
    const write = (round: number): void => {
      for (let file = 0; file < 20; file += 1) writeFileSync(at(`${file}.yaml`), `${round}`);
    };
    write(0);
    const { told, reaches } = follow(folder);
    await reaches(Array<string>(20).fill('0'));
    for (let round = 1; round <= 15; round += 1) {
      write(round);
      await quiet(7);
    }
    await reaches(Array<string>(20).fill('15'));
    for (const update of told) expect(new Set(update.ok ? update.texts.map(({ text }) => text) : ['failed']).size).toBe(1);
  });

  it('that changes without end is told at the latest after longestMs', async () => {
    writeFileSync(at('a.yaml'), '0');
    const { told, reaches } = follow(folder, { ...FAST, quietMs: 80, longestMs: 200 });
    await reaches(['0']);
    const until = Date.now() + 700;
    for (let round = 1; Date.now() < until; round += 1) {
      writeFileSync(at('a.yaml'), `${round}`);
      await quiet(40);
    }
    // Not once at the end, and not once per write.
    expect(told.length).toBeGreaterThanOrEqual(2);
    expect(told.length).toBeLessThanOrEqual(6);
  });

  it('may be swapped as a whole', async () => {
    for (const release of ['1', '2']) {
      mkdirSync(at(release));
      writeFileSync(at(release, 'a.yaml'), release);
    }
    symlinkSync('1', at('current'));
    const { reaches } = follow(at('current'));
    await reaches(['1']);
    symlinkSync('2', at('next'));
    renameSync(at('next'), at('current'));
    await reaches(['2']);
    writeFileSync(at('2', 'a.yaml'), 'still watched');
    await reaches(['still watched']);
  });

  it('without documents, and a link to nothing, are failures that say so', async () => {
    const { reaches } = follow(folder);
    await reaches(`${folder} holds no .yaml, .yml or .json file`);
    symlinkSync('nowhere', at('a.yaml'));
    await reaches(`${folder} names ${at('a.yaml')}, which does not exist`);
  });

  it('with a link to itself ends', async () => {
    writeFileSync(at('a.yaml'), 'a');
    symlinkSync('.', at('loop'));
    const { reaches } = follow(folder);
    await reaches(['a']);
  });
});

it('leaves nothing behind when closed, and says nothing any more', async () => {
  writeFileSync(at('a.yaml'), 'one');
  const inotify = (): number => readdirSync('/proc/self/fdinfo').length;
  const before = process.getActiveResourcesInfo().filter((name) => name === 'FSEventWrap').length;
  const { reaches, told } = follow(folder, { ...FAST, pollMs: 20 });
  await reaches(['one']);
  close();
  const fds = inotify();
  writeFileSync(at('a.yaml'), 'two');
  await quiet(150);
  expect(told).toHaveLength(1);
  expect(process.getActiveResourcesInfo().filter((name) => name === 'FSEventWrap')).toHaveLength(before);
  expect(inotify()).toBeLessThanOrEqual(fds);
});
