import { smallMesh } from './small-mesh.ts';
import { chromium, openPage } from '../support/chromium.ts';
const mesh = await smallMesh();
mesh.storefront.set(mesh.policy(30).replace('consecutive5xxErrors: 50', 'consecutive5xxErrors: 1'));
const timer = setInterval(() => void mesh.visit().catch(console.error), 30);
const browser = await chromium();
await new Promise((r) => setTimeout(r, 3000));
mesh.storefront.set('kind: Nonsense');
{
  await using p = await openPage(browser, { width: 1280 });
  await p.page.goto(`${mesh.admin.url}/console/`);
  await new Promise((r) => setTimeout(r, 4000));
  await p.page.click('.edge.failing');
  await new Promise((r) => setTimeout(r, 2500));
  await p.page.screenshot({ path: '/tmp/cs/panel.png', fullPage: true });
  await p.page.click('nav a[href="#config"]');
  await new Promise((r) => setTimeout(r, 300));
  await p.page.screenshot({ path: '/tmp/cs/rejected.png' });
  console.log(p.complaints);
}
{
  await using p = await openPage(browser, { width: 390, height: 844, scheme: 'light' });
  await p.page.goto(`${mesh.admin.url}/console/`);
  await new Promise((r) => setTimeout(r, 4000));
  for (const v of ['graph', 'routes', 'tap', 'explain', 'policy']) {
    await p.page.click(`nav a[href="#${v}"]`);
    await new Promise((r) => setTimeout(r, 300));
    await p.page.screenshot({ path: `/tmp/cs/${v}-phone.png` });
  }
}
await browser.close();
clearInterval(timer);
await mesh[Symbol.asyncDispose]();
