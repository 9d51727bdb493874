// Writes dashboards/grafana/*.json from scripts/dashboards/*.mjs; with --check only compares.
//   node scripts/dashboards.mjs [--check]
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { client } from './dashboards/client.mjs';
import { mesh } from './dashboards/mesh.mjs';
import { policy } from './dashboards/policy.mjs';
import { service } from './dashboards/service.mjs';
import { workload } from './dashboards/workload.mjs';

const folder = new URL('../dashboards/grafana/', import.meta.url);
const check = process.argv.includes('--check');
const stale = [];
await mkdir(folder, { recursive: true });
for (const [name, dashboard] of Object.entries({ mesh, service, workload, client, policy })) {
  const file = new URL(`${name}.json`, folder);
  const text = `${JSON.stringify(dashboard, null, 2)}\n`;
  if (!check) await writeFile(file, text);
  else if ((await readFile(file, 'utf8').catch(() => '')) !== text) stale.push(`${name}.json`);
}
if (stale.length > 0) {
  console.error(`out of date in dashboards/grafana: ${stale.join(', ')}\nrun: node scripts/dashboards.mjs`);
  process.exit(1);
}
console.log(`dashboards ${check ? 'are up to date' : 'written'}`);
