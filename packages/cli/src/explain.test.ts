import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memoryIo } from '../test/memory-io.ts';
import { explain, type ExplainArgs } from './explain.ts';

const BOOKINFO = join(import.meta.dirname, '../test/bookinfo');

const run = async (url: string, given: Partial<ExplainArgs> & { readonly input?: string } = {}) => {
  const { io, out, err } = memoryIo({ input: given.input ?? '' });
  const asked = { files: [BOOKINFO], from: { namespace: 'default', name: 'productpage' }, labels: {}, method: 'GET', headers: [] };
  const exit = await explain({ ...asked, url, output: 'text', ...given }, io);
  return { exit, out: out(), err: err() };
};

const json = async (url: string, given: Partial<ExplainArgs> & { readonly input?: string } = {}): Promise<unknown> => {
  const { exit, out, err } = await run(url, { ...given, output: 'json' });
  expect([exit, err]).toEqual([0, '']);
  return JSON.parse(out);
};
describe('x', () => {
  it.each(['http://reviews:9080/reviews/7?x=1', 'http://reviews:9080/beta', 'http://reviews:9080/nix','http://reviews:9080/old/x', 'http://reviews:9080/teapot', 'http://ratings:9080/', 'http://books.example.com/', 'http://nix/'])('%s', async (url) => {
    console.log(await run(url), (await run(url, { output: 'json', headers: [['end-user','x']] })).out);
    expect(1).toBe(1);
  });
});
