import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { type Browser, launch, type Page } from 'puppeteer-core';

interface Found {
  readonly path: string;
  /** Why there is none. */
  readonly missing: string;
}

function find(): Found {
  try {
    const path = execFileSync('bash', ['scripts/get-chromium.sh'], { cwd: join(import.meta.dirname, '../..'), encoding: 'utf8', timeout: 300_000, stdio: ['ignore', 'pipe', 'pipe'] }); // prettier-ignore
    return { path: path.trim(), missing: '' };
  } catch (error) {
    const { stderr = '', message } = error as Error & { readonly stderr?: string };
    return { path: '', missing: stderr.trim().split('\n').at(-1) || message };
  }
}

const found = find();

/** For `describe.skipIf`: there is no Chromium to be had here. Where all must be tried (CI=true) that is a failure of its own. */
export const noChromium: boolean = found.missing !== '' && process.env['CI'] !== 'true';
if (noChromium) console.warn(`not tried in a real browser: ${found.missing}`);
/** For names of suites, so that a skipped one says why. */
export const REAL_CHROMIUM = found.missing === '' ? 'Chromium' : `Chromium (not here: ${found.missing})`;

export interface TestPage extends AsyncDisposable {
  readonly page: Page;
  /** What the browser complained of: errors of scripts, refusals by the content security policy, answers that failed. */
  readonly complaints: readonly string[];
  /** Every address that was asked. */
  readonly asked: ReadonlySet<string>;
}

/** A headless Chromium that phones nobody. */
export async function chromium(): Promise<Browser> {
  if (found.missing !== '') throw new Error(`there is no Chromium: ${found.missing}`);
  return launch({
    executablePath: found.path,
    // The sandbox needs rights a container does not give; what is opened here is ours.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--no-proxy-server', '--disable-component-update', '--disable-background-networking'], // prettier-ignore
  });
}

/** A page that notes what goes wrong on it. */
export async function openPage(
  browser: Browser,
  {
    width = 1280,
    height = 900,
    scheme = 'light',
  }: { readonly width?: number; readonly height?: number; readonly scheme?: 'light' | 'dark' } = {},
): Promise<TestPage> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  const asked = new Set<string>();
  page.on('console', (message) => {
    if (['error', 'warn'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => void complaints.push(String(error)));
  page.on('request', (request) => void asked.add(request.url()));
  page.on('requestfailed', (request) => {
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
  });
  await page.setViewport({ width, height, deviceScaleFactor: 1, isMobile: width < 600, hasTouch: width < 600 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }]); // prettier-ignore
  return { page, complaints, asked, [Symbol.asyncDispose]: () => page.close() };
}
