import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startConsole } from '../../packages/cli/src/console/server.ts';
import { chromium, noChromium, openPage, REAL_CHROMIUM, type TestPage } from '../support/chromium.ts';
import { type SmallMesh, smallMesh } from './small-mesh.ts';

const VIEWS = ['graph', 'routes', 'endpoints', 'policy', 'certificates', 'tap', 'objectives', 'config', 'explain'];
/** Screenshots, for whoever wants to look: of the graph, or of every view into the folder named. */
const wanted = process.env['CONSOLE_PICTURES'];
const pictures = wanted ?? mkdtempSync(join(tmpdir(), 'inmesh-console-'));

describe.skipIf(noChromium)(`the console in ${REAL_CHROMIUM}`, () => {
  let browser: Browser;
  let mesh: SmallMesh;
  let opened: TestPage;
  let visitors: NodeJS.Timeout;
  let underWay = Promise.resolve();
  beforeAll(async () => {
    [browser, mesh] = await Promise.all([chromium(), smallMesh()]);
    visitors = setInterval(() => (underWay = mesh.visit()), 40);
    // One page for most of it: whoever looks does not open another for each question.
    opened = await ofStorefront();
  }, 120_000);
  afterAll(async () => {
    clearInterval(visitors);
    await underWay.catch(() => {});
    await browser?.close();
    await mesh?.[Symbol.asyncDispose]();
  }, 30_000);

  const visit = async (url: string, looks: Parameters<typeof openPage>[1] = {}): Promise<TestPage> => {
    const opened = await openPage(browser, looks);
    await opened.page.goto(url);
    return opened;
  };
  const ofStorefront = (looks: Parameters<typeof openPage>[1] = {}): Promise<TestPage> => visit(`${mesh.admin.url}/console/`, looks);
  const turnTo = async ({ page }: TestPage, view: string): Promise<void> => {
    await page.click(`nav a[href="#${view}"]`);
    await page.waitForFunction(`document.querySelector('nav [aria-current]')?.getAttribute('href') === '#${view}'`);
  };
  /** Names of the graph's edges, as somebody hears them who does not see them. */
  const edgesOf = ({ page }: TestPage): Promise<string[]> =>
    page.$$eval('.edge', (edges) => edges.map((edge) => edge.getAttribute('aria-label') ?? ''));
  const textOf = ({ page }: TestPage, selector: string): Promise<string> => page.$eval(selector, (element) => element.textContent ?? '');

  it('shows who calls whom in a mesh that runs, and asks nobody else', async () => {
    const { page, complaints, asked } = opened;
    await page.waitForFunction(`document.querySelectorAll('.edge').length === 4`);
    const edges = await edgesOf(opened);
    expect(edges).toEqual([
      expect.stringMatching(/^storefront v1 to gone \(no endpoint\): failing, http, [\d.]+\/s, 100\s% failed/),
      expect.stringMatching(/^storefront v1 to legacy v1: healthy, http, [\d.]+\/s, 0\s% failed/),
      expect.stringMatching(/^storefront v1 to reviews v1: healthy, http, [\d.]+\/s, 0\s% failed, p50 [\d.]+ ms, p99 [\d.]+ ms/),
      expect.stringMatching(/^storefront v1 to reviews v2: failing, http, [\d.]+\/s, \d+(?:\.\d)?\s% failed/),
    ]);
    // The same as a table, for whoever does not see the picture.
    const rows = await page.$$eval('table[data-name="Calls between services"] tbody tr', (all) => all.map((row) => row.textContent ?? ''));
    expect(rows).toHaveLength(4);
    expect(rows[0]).toMatch(/storefront v1.*gone \(no endpoint\).*UH/);
    // Over time, too: a line in its colour, which is more than the axes.
    await page.waitForFunction(`(() => {
      const canvas = document.querySelector('.chart canvas');
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let blue = 0;
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200 && data[at + 2] > data[at] + 100) blue += 1;
      return blue > 100;
    })()`);
    // Every view draws without a word of complaint, and nothing is fetched from anywhere else.
    for (const view of VIEWS) {
      await turnTo(opened, view);
    }
    expect(complaints).toEqual([]);
    expect([...asked].filter((url) => !url.startsWith(`${mesh.admin.url}/`) && !url.startsWith('data:'))).toEqual([]);
  });

  it('joins several processes into one graph: both ends of a call are one edge, with its lock; one that is gone is said to be', async () => {
    await using server = await disposable({
      host: '127.0.0.1',
      port: 0,
      admins: [mesh.admin.url, ...mesh.others, 'http://127.0.0.1:9'].map((url) => new URL(url)),
    });
    await using many = await visit(server.url);
    const { page } = many;
    await page.waitForFunction(`document.querySelectorAll('.edge').length === 6`);
    expect((await edgesOf(many)).map((edge) => edge.replace(/: .*, /, ': ').replaceAll(/\s/g, ' '))).toEqual([
      'reviews v1 to ratings v1: mTLS',
      'reviews v2 to ratings v1: mTLS',
      'storefront v1 to gone (no endpoint): mutual TLS unknown',
      'storefront v1 to legacy v1: plaintext',
      'storefront v1 to reviews v1: mTLS',
      'storefront v1 to reviews v2: mTLS',
    ]);
    expect(await textOf(many, '.notice')).toBe('http://127.0.0.1:9: does not answer: connect ECONNREFUSED 127.0.0.1:9');
    expect(page.url()).toBe(`${server.url.split('?')[0]}`);
    await turnTo(many, 'config');
    expect(await textOf(many, 'table')).toMatch(/shop\/storefront-v1.*shop\/ratings-v1.*127\.0\.0\.1:9\s*unreachable/s);
  });

  it('shows weights as they are wanted and as they are seen, endpoints, the policy in force and where it comes from', async () => {
    const { page } = opened;
    await turnTo(opened, 'routes');
    await page.waitForFunction(`/\\d\\s%/.test(document.querySelector('table tbody tr td:nth-child(5)')?.textContent ?? '')`);
    const [v1, v2] = await page.$$eval('table[data-name="Weights wanted and seen"] tbody tr', (rows) =>
      rows.map((row) => [...row.children].map(({ textContent }) => (textContent ?? '').replaceAll(/\s/g, ' '))),
    );
    expect([v1!.slice(0, 4), v2!.slice(0, 4)]).toEqual([
      ['reviews.shop.svc', 'canary VirtualService shop/reviews', 'v1', '70 %'],
      ['reviews.shop.svc', 'canary VirtualService shop/reviews', 'v2', '30 %'],
    ]);
    expect(Number.parseFloat(v1![4]!) + Number.parseFloat(v2![4]!)).toBeGreaterThan(98);
    await turnTo(opened, 'endpoints');
    expect(await textOf(opened, 'table')).toMatch(/reviews\.shop\.svc:80\s*v2127\.0\.0\.1:\d+healthy/);
    await turnTo(opened, 'policy');
    expect(await textOf(opened, 'table')).toMatch(
      /Outlier detection50 in a row, every 10 s.*DestinationRule shop\/reviewsspec\.subsets\[v1\]\.trafficPolicy or trafficPolicy\.outlierDetection/,
    );
    await turnTo(opened, 'certificates');
    expect(await textOf(opened, 'table')).toMatch(/spiffe:\/\/cluster\.local\/ns\/shop\/sa\/storefront.*in 23 h/);
    await turnTo(opened, 'objectives');
    expect(await textOf(opened, 'table')).toMatch(/reviews\.shop\.svc.*page freezeWeights.*62\s%.*61\.2/);
  });

  it('shows calls as they end, those that were asked for', async () => {
    const { page } = opened;
    await turnTo(opened, 'tap');
    await page.type('[name=service]', 'gone');
    await page.keyboard.press('Enter');
    await page.waitForFunction(`document.querySelectorAll('table tbody tr').length > 1`);
    const calls = await page.$$eval('table tbody tr', (rows) => rows.map((row) => row.textContent ?? ''));
    expect(calls.filter((call) => !/made\s*storefront-v1\s*gone\.shop\.svc.*GET \/ratings\/\d+.*503 UH/s.test(call))).toEqual([]);
    expect(await textOf(opened, 'p[role=status]')).toBe('Listening.');
    await page.click('button.primary');
    expect(await textOf(opened, 'p[role=status]')).toBe('Stopped.');
  });

  it('explains a call, and says what is wrong with a question', async () => {
    const { page } = opened;
    await turnTo(opened, 'explain');
    await page.waitForSelector('[name=url]');
    await page.type('[name=url]', 'http://reviews.shop.svc/ratings/7');
    await page.type('[name=headers]', 'end-user: jason');
    await page.click('button.primary');
    await page.waitForSelector('[aria-label=Explanation] li');
    expect(await textOf(opened, '[aria-label=Explanation]')).toMatch(
      /goes on.*testers.*outbound\|80\|v2\|reviews\.shop\.svc.*header end-user is "jason"/s,
    );
    await page.type('[name=headers]', '\nnonsense');
    await page.click('button.primary');
    await page.waitForSelector('p.bad');
    expect(await textOf(opened, 'p.bad')).toContain('"nonsense" is not a header');
  });

  it('is walked through with the keyboard alone, and what has the focus can be seen', async () => {
    const { page } = opened;
    // From the beginning, as whoever has just come.
    await page.goto(`${mesh.admin.url}/console/`);
    await page.waitForFunction(`document.querySelectorAll('.edge').length === 4`);
    const reached: string[] = [];
    for (let steps = 0; steps < 60; steps += 1) {
      await page.keyboard.press('Tab');
      const [name, seen] = await page.evaluate(`(() => {
        const at = document.activeElement;
        if (at === null || at === document.body) return ['', true];
        const style = getComputedStyle(at);
        const line = at.classList.contains('edge') ? getComputedStyle(at.querySelector('.line')).strokeWidth : at.classList.contains('place') ? getComputedStyle(at.querySelector('rect')).strokeWidth : style.outlineWidth;
        return [(at.getAttribute('aria-label') ?? at.textContent ?? at.tagName).trim(), parseFloat(line) >= 2];
      })()`) as [string, boolean]; // prettier-ignore
      if (name === '') break;
      expect([name, seen]).toEqual([name, true]);
      reached.push(name);
    }
    for (const name of ['Skip to the content', 'Routes', 'Explain', 'Calls between services']) expect(reached).toContain(name);
    expect(reached.filter((name) => name.startsWith('storefront v1 to'))).toHaveLength(4);
    // An edge opens with Enter, tells more, and closes.
    await page.evaluate(`document.querySelector('.edge').focus()`);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.panel');
    expect(await textOf(opened, '.panel')).toMatch(/storefront v1 → gone.*503 UH/s);
    await page.focus('.panel header button');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.panel', { hidden: true });
  });

  it('has a name for everything that has a role, and heads for its tables', async () => {
    for (const view of VIEWS) {
      await turnTo(opened, view);
      expect([view, await opened.page.evaluate(`(() => {
        const wrong = [];
        const named = (element) => (element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent ?? '').trim() !== '';
        for (const element of document.querySelectorAll('a, button, input, select, textarea, [role], nav, svg:not([aria-hidden])')) if (!named(element) && element.getAttribute('role') !== 'status') wrong.push(element.outerHTML.slice(0, 120));
        for (const table of document.querySelectorAll('table')) if (table.querySelector('caption') === null || table.querySelectorAll('th[scope=col]').length < 2) wrong.push('table');
        const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
        if (new Set(ids).size !== ids.length) wrong.push('ids come twice');
        for (const selector of ['h1', 'main', 'nav', 'header.top']) if (document.querySelectorAll(selector).length !== 1) wrong.push(selector);
        if (document.documentElement.lang !== 'en' || document.title === '') wrong.push('language, title');
        return wrong;
      })()`)]).toEqual([view, []]);
    } // prettier-ignore
  });

  it.each([1280, 390])('can be read at a width of %d, in the light and in the dark', async (width) => {
    await using own = await ofStorefront({ width, height: width < 600 ? 844 : 900 });
    const { page } = own;
    await page.waitForSelector('.edge');
    for (const view of VIEWS) {
      await turnTo(own, view);
      // What is wider scrolls inside of its own frame.
      expect([view, await page.evaluate('document.documentElement.scrollWidth - innerWidth')]).toEqual([view, 0]);
      for (const value of ['light', 'dark']) {
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }, { name: 'prefers-reduced-motion', value: 'reduce' }]); // prettier-ignore
        expect([view, value, await page.evaluate(POOR_CONTRAST)]).toEqual([view, value, []]);
        if (view === 'graph' || wanted !== undefined) await page.screenshot({ path: join(pictures, `${view}-${width}-${value}.png`) });
      }
    }
  });

  it('says where endpoints are ejected, and why a document was refused', async () => {
    const { page } = opened;
    await turnTo(opened, 'graph');
    mesh.storefront.set(mesh.policy(1));
    await page.waitForFunction(`/1 of 2 ejected/.test(document.querySelector('.place .badge')?.textContent ?? '')`, { timeout: 10_000 });
    await page.screenshot({ path: join(pictures, 'ejected.png') });
    mesh.storefront.set('kind: Nonsense');
    await turnTo(opened, 'config');
    await page.waitForSelector('.panel.bad');
    expect(await textOf(opened, '.panel.bad')).toMatch(
      /shop\/storefront-v1 refused a document.*not a resource: apiVersion is missing.*What was in force before still is/s,
    );
    expect(await textOf(opened, 'nav a[href="#config"]')).toBe('Config 1');
    await turnTo(opened, 'endpoints');
    expect(await textOf(opened, 'table')).toMatch(/ejected, \d+ s left/);
  });
});

/** `inmesh console`, for the length of a test. */
async function disposable(options: Parameters<typeof startConsole>[0]): Promise<{ readonly url: string } & AsyncDisposable> {
  const { url, close } = await startConsole(options);
  return { url, [Symbol.asyncDispose]: close };
}

/** Texts with less contrast to what they stand on than WCAG 2.2 AA asks for (1.4.3: 4.5 to 1). */
const POOR_CONTRAST = `(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const svg = at.closest('svg.graph') === null ? undefined : at.querySelector(':scope > rect');
      const colour = parse(svg ? getComputedStyle(svg).fill : getComputedStyle(at).backgroundColor);
      if (colour.length >= 3 && colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '')) continue;
    if (element.closest('.skip, [hidden], noscript, option, title') !== null || element.getClientRects().length === 0) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(element.closest('svg') === null ? style.color : style.fill)), light(ground(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) wrong.push(element.textContent.trim().slice(0, 40) + ' ' + contrast.toFixed(2));
  }
  return wrong;
})()`;
