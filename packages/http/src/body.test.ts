import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReplayBody, wrapBody } from './body.ts';

async function* source(chunks: readonly string[], log: string[] = []): AsyncGenerator<Uint8Array> {
  try {
    for (const chunk of chunks) {
      log.push(chunk);
      yield Buffer.from(chunk);
    }
  } finally {
    log.push('closed');
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const chunk of body) text += Buffer.from(chunk).toString();
  return text;
}

describe('a body that can be read once', () => {
  it('is wrapped; what undici can send again by itself is not', () => {
    const form = new FormData();
    const repeatable = ['text', Buffer.from('x'), new Uint8Array(1), new ArrayBuffer(1), form, new Blob(['x']), null];
    for (const body of repeatable) expect(wrapBody(body, 10)).toBe(body);
    expect(wrapBody(source(['a']), 10)).toBeInstanceOf(ReplayBody);
    expect(wrapBody([Buffer.from('a')], 10)).toBeInstanceOf(ReplayBody);
  });

  it('is read as often as wanted while it fits the cap, from the source only once', async () => {
    const log: string[] = [];
    const body = new ReplayBody(source(['ab', 'cd'], log), 10);
    expect([await collect(body.read()), await collect(body.read())]).toEqual(['abcd', 'abcd']);
    expect(log).toEqual(['ab', 'cd', 'closed']);
    expect(body.replayable).toBe(true);
  });

  it('goes on from where an abandoned try stopped', async () => {
    const log: string[] = [];
    const body = new ReplayBody(source(['ab', 'cd', 'ef'], log), 10);
    const first = body.read();
    await first.next();
    await first.return(undefined);
    expect(log).toEqual(['ab']);
    expect(await collect(body.read())).toBe('abcdef');
  });

  it('keeps no more than the cap, and says so to whoever comes too late', async () => {
    const body = new ReplayBody(source(['abcd', 'efgh', 'ijkl']), 6);
    expect(await collect(body.read())).toBe('abcdefghijkl');
    expect(body.replayable).toBe(false);
    await expect(collect(body.read())).rejects.toThrow('outgrew the 6 bytes');
  });

  it('is read along by a copy, which neither pulls nor holds up', async () => {
    const log: string[] = [];
    const body = new ReplayBody(source(['a', 'b', 'c'], log), 10);
    const copied = collect(body.copy().read());
    await Promise.resolve();
    expect(log).toEqual([]);
    expect(await collect(body.read())).toBe('abc');
    expect(await copied).toBe('abc');
  });

  it('cuts a copy off that falls behind, and goes on', async () => {
    const body = new ReplayBody(source(['abcd', 'efgh', 'ijkl']), 6);
    const copy = body.copy().read();
    expect(await collect(body.read())).toBe('abcdefghijkl');
    await expect(collect(copy)).rejects.toThrow('outgrew the 6 bytes');
  });

  it('cancelled before its end is nobody’s whole body; a cancelled copy harms nothing', async () => {
    const body = new ReplayBody(source(['a', 'b']), 10);
    const copy = body.copy();
    await copy.cancel();
    const reader = body.read();
    expect(String((await reader.next()).value)).toBe('a');
    const copied = collect(body.copy().read());
    await body.cancel();
    await expect(copied).rejects.toThrow('over before its body');
    await expect(reader.next()).rejects.toThrow('over before its body');
  });

  it('loses nothing to the reader of an earlier try that wakes up late', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow = (async function* () {
      yield Buffer.from('ab');
      await promise;
      yield Buffer.from('cdefgh');
    })();
    const body = new ReplayBody(slow, 4);
    const first = body.read();
    await first.next();
    const parked = first.next().catch(() => undefined);
    const second = collect(body.read());
    resolve();
    await parked;
    expect(await second).toBe('abcdefgh');
  });

  it('remembers that the source failed: that is nobody else’s fault', async () => {
    const broken = (async function* () {
      yield Buffer.from('a');
      throw new Error('disk on fire');
    })();
    const body = new ReplayBody(broken, 10);
    await expect(collect(body.read())).rejects.toThrow('disk on fire');
    expect(body.replayable).toBe(false);
    await expect(collect(body.read())).rejects.toThrow('disk on fire');
  });

  it('that is not made of bytes or text failed by itself', async () => {
    const body = new ReplayBody(new URLSearchParams({ a: 'b' }) as never, 10);
    await expect(collect(body.read())).rejects.toThrow(TypeError);
    expect(body.failure).toBeInstanceOf(TypeError);
  });

  it('lets the source close when nobody will read on', async () => {
    const log: string[] = [];
    const body = new ReplayBody(source(['a', 'b'], log), 10);
    await body.read().next();
    await body.cancel();
    expect(log).toEqual(['a', 'closed']);
  });

  it('never changes what is sent, however it is cut and whatever the cap', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ minLength: 1 }), { maxLength: 8 }), fc.nat(40), fc.nat(8), async (chunks, cap, stop) => {
        const body = new ReplayBody(source(chunks), cap);
        const first = body.read();
        for (let read = 0; read < stop; read += 1) await first.next();
        await first.return(undefined);
        if (body.replayable) expect(await collect(body.read())).toBe(chunks.join(''));
      }),
    );
  });
});
