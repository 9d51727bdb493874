import { fakeClock } from '@inmesh/core/testing';
import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Batch, type Writer } from './batch.ts';
import { writerOf } from './writers.ts';

/** A place whose writes end when the test says. */
function slowPlace() {
  const written: string[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const writer: Writer = {
    write: (text) =>
      new Promise((resolve, reject) => {
        written.push(text);
        ends.push((error) => (error === undefined ? resolve() : reject(error)));
      }),
    last: (text) => void written.push(`last ${text}`),
    rest: async () => void written.push('rest'),
  };
  return { written, writer, end: (error?: Error) => ends.shift()!(error) };
}

const batchOn = (writer: Writer) => {
  const clock = fakeClock();
  const lost: string[] = [];
  return { clock, lost, batch: new Batch(writer, clock, (lines, reason) => lost.push(`${lines}: ${reason}`)) };
};

describe('lines on their way to a file', () => {
  it('are written a second after the first of them, in one go', async () => {
    const { writer, written, end } = slowPlace();
    const { batch, clock } = batchOn(writer);
    batch.add('a\n');
    await clock.pass(900);
    batch.add('b\n');
    expect(written).toEqual([]);
    await clock.pass(100);
    expect(written).toEqual(['a\nb\n']);
    end();
    await clock.pass(5000);
    expect(written).toEqual(['a\nb\n']);
    expect(clock.pending).toBe(0);
  });

  it('are written at once when there are 64 KB of them', async () => {
    const { writer, written } = slowPlace();
    const { batch } = batchOn(writer);
    const line = `${'x'.repeat(1023)}\n`;
    for (let at = 0; at < 63; at += 1) batch.add(line);
    expect(written).toHaveLength(0);
    batch.add(line);
    expect(written[0]).toHaveLength(65_536);
  });

  it('keep their order while a write takes its time, one write after the other', async () => {
    const { writer, written, end } = slowPlace();
    const { batch, clock } = batchOn(writer);
    batch.add('a\n');
    await clock.pass(1000);
    batch.add('b\n');
    await clock.pass(1000);
    expect(written).toEqual(['a\n']);
    end();
    await clock.pass(0);
    expect(written).toEqual(['a\n', 'b\n']);
  });

  it('are dropped and counted when 4 MB wait for a slow disk', async () => {
    const { writer, written, end } = slowPlace();
    const { batch, clock, lost } = batchOn(writer);
    const line = `${'x'.repeat(65_535)}\n`;
    for (let at = 0; at < 70; at += 1) batch.add(line);
    expect(lost).toEqual([]);
    end();
    await clock.pass(0);
    expect(lost).toEqual(['6: more came than could be written']);
    end();
    await clock.pass(0);
    expect(written.join('')).toHaveLength(64 * 65_536);
    batch.add('again\n');
    await clock.pass(1000);
    expect(written.at(-1)).toBe('again\n');
  });

  it('that cannot be written are counted, and the next are tried again', async () => {
    const { writer, written, end } = slowPlace();
    const { batch, clock, lost } = batchOn(writer);
    batch.add('a\n');
    batch.add('b\n');
    await clock.pass(1000);
    end(new Error('ENOSPC: no space left on device'));
    await clock.pass(0);
    expect(lost).toEqual(['2: ENOSPC: no space left on device']);
    batch.add('c\n');
    await clock.pass(1000);
    expect(written).toEqual(['a\nb\n', 'c\n']);
  });

  it('are all written when it rests', async () => {
    const { writer, written, end } = slowPlace();
    const { batch, clock } = batchOn(writer);
    batch.add('a\n');
    const resting = batch.rest();
    batch.add('b\n');
    end();
    await clock.pass(0);
    end();
    await resting;
    expect(written).toEqual(['a\n', 'b\n', 'rest']);
  });

  it('are written at once when the process ends', () => {
    const { writer, written } = slowPlace();
    const { batch, clock } = batchOn(writer);
    batch.add('a\n');
    batch.last();
    expect(written).toEqual(['last a\n']);
    expect(clock.pending).toBe(0);
  });
});

describe('files', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'inmesh-log-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (file: string): string => readFileSync(file, 'utf8');

  it('are appended to, and not everybody may read them', async () => {
    const file = join(folder, 'access.log');
    appendFileSync(file, 'before\n');
    const fresh = join(folder, 'fresh.log');
    for (const path of [file, fresh]) {
      const writer = writerOf(path);
      await writer.write('a\n');
      await writer.write('b\n');
      await writer.rest();
    }
    expect(read(file)).toBe('before\na\nb\n');
    expect(statSync(fresh).mode & 0o007).toBe(0);
  });

  it('one that was moved away is left, and a new one begun', async () => {
    const file = join(folder, 'rotated.log');
    const writer = writerOf(file);
    await writer.write('old\n');
    renameSync(file, `${file}.1`);
    await writer.write('new\n');
    await writer.write('newer\n');
    await writer.rest();
    expect([read(`${file}.1`), read(file)]).toEqual(['old\n', 'new\nnewer\n']);
  });

  it('one that was deleted is made again', async () => {
    const file = join(folder, 'deleted.log');
    const writer = writerOf(file);
    await writer.write('old\n');
    rmSync(file);
    await writer.write('new\n');
    await writer.rest();
    expect(read(file)).toBe('new\n');
  });

  it('one in a folder that is not there is an error each time, until it is', async () => {
    const file = join(folder, 'not/yet/access.log');
    const writer = writerOf(file);
    await expect(writer.write('a\n')).rejects.toThrow('ENOENT');
    await expect(writer.write('a\n')).rejects.toThrow('ENOENT');
    writer.last('a\n');
  });

  it('a full disk is an error', async () => {
    const writer = writerOf('/dev/full');
    await expect(writer.write('a\n')).rejects.toThrow('ENOSPC');
    await writer.rest();
  });
});

describe('/dev/stdout and /dev/stderr', () => {
  it("are the process's own streams", async () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    await writerOf('/dev/stdout', { stdout, stderr }).write('a\n');
    await writerOf('/dev/stderr', { stdout, stderr }).write('b\n');
    expect([String(stdout.read()), String(stderr.read())]).toEqual(['a\n', 'b\n']);
  });

  it('whoever reads them may go: the process does not end of it', async () => {
    const gone = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
    await expect(writerOf('/dev/stdout', { stdout: gone, stderr: gone }).write('a\n')).rejects.toThrow('EPIPE');
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(gone.listenerCount('error')).toBe(0);
  });
});
