import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { type Admin, startAdmin } from './admin.ts';
import { bundleConsole } from './console-bundler.ts';

let admin: Admin;
afterEach(() => admin.close());

const start = async (more: object = {}): Promise<void> => {
  const pages = { metrics: { text: () => '' }, status: () => ({}), snapshot: () => ({}), ready: () => true };
  admin = await startAdmin({ port: 0, ...pages, console: true, ...more });
};
const get = (path: string, headers: Record<string, string> = {}) => fetch(`${admin.url}${path}`, { headers, redirect: 'manual' });

describe('the console', () => {
  it('is served with a policy that lets nothing in from elsewhere', async () => {
    await start();
    const answer = await get('/console/');
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(Object.fromEntries(answer.headers)).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' }); // prettier-ignore
    const page = await answer.text();
    // What the policy would refuse must not be in it.
    expect(page).not.toMatch(/<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|https?:\/\/(?!www\.w3\.org)/);
    expect(await (await get('/')).text()).toContain('/console/  all of this for people');
  });

  it('names its files by what is in them, so that a browser may keep them; the page itself is asked for anew', async () => {
    await start();
    const page = await get('/console/');
    expect(page.headers.get('cache-control')).toBe('no-cache');
    expect((await get('/console/', { 'if-none-match': page.headers.get('etag')! })).status).toBe(304);
    expect((await get('/console/', { 'if-none-match': '"older"' })).status).toBe(200);
    const files = (await page.text()).match(/main\.[0-9a-f]{12}\.(?:js|css)/g)!;
    expect(files).toHaveLength(2);
    for (const file of files) expect((await get(`/console/${file}`)).headers.get('cache-control')).toContain('immutable');
    expect((await get('/console/main.js')).status).toBe(404);
  });

  it('is told where to look, and what is not there', async () => {
    await start({ slo: () => [] });
    const pages = ['/', '/metrics', '/ready', '/status', '/snapshot', '/slo', '/console/'];
    expect(await (await get('/console/sources.json')).json()).toMatchObject({ processes: [{ base: '../' }], prometheus: null });
    const { processes } = (await (await get('/console/sources.json')).json()) as { processes: { pages: string[] }[] };
    expect(processes[0]!.pages).toEqual(pages.filter((page) => page !== '/console/'));
    expect((await get('/console')).headers.get('location')).toBe('/console/');
    expect(await (await get('/slo')).json()).toEqual([]);
  });

  it('is not there unless asked for, nor are the tap and objectives', async () => {
    await start({ console: false });
    for (const path of ['/console/', '/console', '/console/sources.json', '/tap', '/slo']) expect([path, (await get(path)).status]).toEqual([path, 404]);
  }); // prettier-ignore

  it('fits into 60 KB, compressed', async () => {
    await start();
    const files = await bundleConsole({ small: true });
    const bytes = files.reduce((sum, { body }) => sum + gzipSync(body, { level: 9 }).length, 0);
    expect(bytes).toBeLessThanOrEqual(60_000);
    // A bundle that lost its libraries would be small, too.
    expect(bytes).toBeGreaterThan(40_000);
  }, 30_000);
});
