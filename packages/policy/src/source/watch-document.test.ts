import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Document, Parsed, SourceText } from '../document.ts';
import type { Problem } from '../problem.ts';
import { fileSource } from './file.ts';
import { lastGoodFile } from './last-good.ts';
import { memorySource } from './memory.ts';
import type { PolicySource } from './source.ts';
import { type DocumentHandlers, firstDocument, NoDocumentError, watchDocument } from './watch-document.ts';

const problem = (message: string): Problem => ({
  code: 'INM0001',
  severity: 'error',
  resource: '',
  path: '',
  message,
  hint: '',
  file: 'memory',
  line: 3,
  column: 1,
});

/** The meaning of a text is its first word; `bad` means nothing. */
function parse(texts: readonly SourceText[]): Parsed {
  const [meaning] = texts[0]!.text.split(' ');
  if (meaning === 'bad') return { ok: false, problems: [problem('weights sum to 90'), problem('unknown field')] };
  return { ok: true, document: { resources: [], fingerprint: meaning!, skipped: {}, problems: [] } satisfies Document };
}

/** Writes down what happens, in order. */
function scribe(refuses: string[] = []) {
  const log: string[] = [];
  const handlers: DocumentHandlers = {
    document: ({ fingerprint }, _, from) => {
      if (refuses.includes(fingerprint)) throw new Error(`cannot compile ${fingerprint}`);
      log.push(`${fingerprint} from ${from}`);
    },
    unchanged: () => log.push('unchanged'),
    rejected: ({ reason, problems }) => log.push(`rejected: ${reason} [${problems.length}]`),
    source: (state, reason) => log.push(reason === '' ? state : `${state}: ${reason}`),
    unsaved: (reason) => log.push(`unsaved: ${reason}`),
  };
  return { log, handlers };
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe('watchDocument', () => {
  it('tells what means something new, and stops at an unchanged fingerprint', async () => {
    const source = memorySource('one');
    const { log, handlers } = scribe();
    const watch = watchDocument(source, handlers, { parse });
    await turn();
    source.set('one in other words');
    source.set('two');
    watch.close();
    source.set('three');
    expect(log).toEqual(['one from memory', 'unchanged', 'two from memory']);
  });

  it('reports a rejected update with all its problems, and keeps the last good one', async () => {
    const source = memorySource('one');
    const { log, handlers } = scribe();
    watchDocument(source, handlers, { parse });
    await turn();
    source.set('bad');
    source.set('one');
    expect(log).toEqual(['one from memory', 'rejected: memory:3: weights sum to 90 (and 1 more) [2]', 'unchanged']);
  });

  it('rejects what its reader refuses, and offers it again when it is told again', async () => {
    const source = memorySource('one');
    const { log, handlers } = scribe(['two']);
    watchDocument(source, handlers, { parse });
    await turn();
    source.set('two');
    source.set('one');
    expect(log).toEqual(['one from memory', 'rejected: cannot compile two [0]', 'unchanged']);
  });

  it('tells when the source fails and when it works again', async () => {
    const source = memorySource('one');
    const { log, handlers } = scribe();
    watchDocument(source, handlers, { parse });
    await turn();
    source.fail('no route');
    source.set('one');
    expect(log).toEqual(['one from memory', 'failing: no route', 'ok', 'unchanged']);
  });
});

it('follows real manifests from a real folder', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-manifests-'));
  const path = join(folder, 'reviews.yaml');
  const manifest = (timeout: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews]
  http:
    - timeout: ${timeout}
      route: [{ destination: { host: reviews } }]
`;
  writeFileSync(path, manifest('1s'));
  const told: unknown[] = [];
  const watch = await firstDocument(fileSource(folder, { quietMs: 20 }), {
    document: ({ resources }, _, from) => told.push([resources.map(({ kind, metadata }) => `${kind} ${metadata.name}`), from]),
    unchanged: () => told.push('unchanged'),
    rejected: ({ problems }) => told.push(problems.map(({ path: field, file, line }) => ({ field, file, line }))),
  });
  expect(told).toEqual([[['VirtualService reviews'], folder]]);
  writeFileSync(path, manifest('soon'));
  await vi.waitFor(() => expect(told).toHaveLength(2));
  expect(told[1]).toEqual([{ field: 'spec.http[0].timeout', file: path, line: 7 }]);
  writeFileSync(path, manifest('1000ms'));
  await vi.waitFor(() => expect(told).toHaveLength(3));
  watch.close();
  rmSync(folder, { recursive: true });
});

describe('on disk', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'inmesh-watch-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is kept what was accepted, never what was rejected', async () => {
    const lastGood = lastGoodFile(join(folder, 'mesh'), 'memory');
    const source = memorySource('one');
    const { handlers } = scribe(['two']);
    watchDocument({ ...source, lastGood }, handlers, { parse });
    await vi.waitFor(async () => expect(await lastGood.load()).toMatchObject({ texts: [{ text: 'one' }] }));
    source.set('bad');
    source.set('two');
    await turn();
    expect(await lastGood.load()).toMatchObject({ texts: [{ text: 'one' }] });
  });

  it('the last good document starts a process whose source is away, and the source takes over when it is back', async () => {
    const lastGood = lastGoodFile(join(folder, 'mesh'), 'memory');
    await lastGood.save([{ file: 'memory', text: 'yesterday' }], 'v1');
    const source = memorySource();
    source.fail('connection refused');
    const { log, handlers } = scribe();
    const watch = await firstDocument({ ...source, lastGood }, handlers, { parse });
    source.set('today');
    expect(log).toEqual(['failing: connection refused', `yesterday from ${lastGood.name}`, 'ok', 'today from memory']);
    watch.close();
  });

  it('a full disk is reported and hurts nobody', async () => {
    const source = memorySource('one');
    const { log, handlers } = scribe();
    watchDocument(
      {
        ...source,
        lastGood: {
          name: 'x',
          save: () => Promise.reject(new Error('ENOSPC')),
          idle: () => Promise.resolve(),
          load: () => Promise.reject(new Error('never asked')),
        },
      },
      handlers,
      { parse },
    );
    await turn();
    expect(log).toEqual(['one from memory', 'unsaved: ENOSPC']);
  });
});

describe('firstDocument', () => {
  it('begins with the source and goes on with it', async () => {
    const source = memorySource('one');
    const { log, handlers } = scribe();
    const watch = await firstDocument(source, handlers, { parse, fallbacks: [memorySource('bundled', 'bundled')] });
    source.set('two');
    watch.close();
    source.set('three');
    expect(log).toEqual(['one from memory', 'two from memory']);
  });

  it('takes the first fallback that has a document, at once', async () => {
    const source = memorySource();
    source.fail('connection refused');
    const { log, handlers } = scribe();
    const fallbacks = [memorySource('bad', 'broken'), memorySource('bundled', 'bundled'), memorySource('never', 'never')];
    const watch = await firstDocument(source, handlers, { parse, fallbacks, timeoutMs: 60_000 });
    expect(log).toEqual(['failing: connection refused', 'rejected: memory:3: weights sum to 90 (and 1 more) [2]', 'bundled from bundled']);
    watch.close();
  });

  it('waits for a source that may recover, if there is nothing else', async () => {
    const source = memorySource();
    source.fail('connection refused');
    setTimeout(() => source.set('one'), 30);
    const { log, handlers } = scribe();
    const watch = await firstDocument(source, handlers, { parse });
    expect(log).toEqual(['failing: connection refused', 'ok', 'one from memory']);
    watch.close();
  });

  it('gives up at the timeout, and says what every place answered', async () => {
    const source = memorySource();
    source.fail('connection refused');
    const { handlers } = scribe();
    const refused = firstDocument(source, handlers, { parse, timeoutMs: 30, fallbacks: [memorySource('bad', 'bundled')] });
    const error = await refused.then(
      () => undefined,
      (reason: unknown) => reason as NoDocumentError,
    );
    expect(error).toBeInstanceOf(NoDocumentError);
    expect(error!.message).toBe(
      'no policy document to begin with: connection refused; the document of bundled was rejected: memory:3: weights sum to 90 (and 1 more)',
    );
    expect(error!.problems).toHaveLength(2);
  });

  it('gives up at once where waiting cannot help', async () => {
    const { handlers } = scribe();
    await expect(firstDocument(memorySource('bad'), handlers, { parse, timeoutMs: 60_000 })).rejects.toThrow('weights sum to 90');
    await expect(firstDocument(memorySource('two'), scribe(['two']).handlers, { parse, timeoutMs: 60_000 })).rejects.toThrow(
      'cannot compile two',
    );
  });

  it('falls back when the source says nothing at all', async () => {
    const { log, handlers } = scribe();
    const watch = await firstDocument(memorySource(), handlers, { parse, timeoutMs: 20, fallbacks: [memorySource('bundled', 'bundled')] });
    expect(log).toEqual(['failing: memory: nothing heard within 20 ms', 'bundled from bundled']);
    watch.close();
  });

  it('never lets an older document follow the source that came back while it was being read', async () => {
    const source = memorySource();
    source.fail('connection refused');
    let release = (): void => {};
    const slow: PolicySource = {
      name: 'slow',
      watch: (onUpdate) => {
        release = () => onUpdate({ ok: true, texts: [{ file: 'slow', text: 'old' }], version: 'old' });
        return { close: () => {} };
      },
    };
    const { log, handlers } = scribe();
    const starting = firstDocument(source, handlers, { parse, fallbacks: [slow] });
    await turn();
    source.set('new');
    release();
    (await starting).close();
    expect(log).toEqual(['failing: connection refused', 'ok', 'new from memory']);
  });

  it('closes the source it gives up', async () => {
    const close = vi.fn<() => void>();
    const silent: PolicySource = { name: 'silent', watch: () => ({ close }) };
    await expect(firstDocument(silent, scribe().handlers, { parse, timeoutMs: 5 })).rejects.toThrow('silent: nothing heard within 5 ms');
    expect(close).toHaveBeenCalledOnce();
  });
});
