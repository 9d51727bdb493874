// A lock file that lost an optional dependency makes `npm ci` fail on the next machine; find that here.
import { readFileSync } from 'node:fs';

const packages = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
const problems = [];
for (const [at, entry] of Object.entries(packages)) {
  if (/^https?:/.test(entry.resolved ?? '')) problems.push(`${at} carries the address of a registry`);
  for (const dependency of Object.keys(entry.optionalDependencies ?? {})) {
    let folder = at;
    let found = false;
    for (;;) {
      if (packages[`${folder ? `${folder}/` : ''}node_modules/${dependency}`]) found = true;
      if (found || !folder) break;
      const parent = folder.lastIndexOf('/node_modules/');
      folder = parent < 0 ? '' : folder.slice(0, parent);
    }
    if (!found) problems.push(`${at || 'the root'} names ${dependency}, which the lock file does not hold`);
  }
}
if (problems.length > 0) {
  console.error(`package-lock.json is not fit for npm ci:\n  ${problems.join('\n  ')}`);
  process.exit(1);
}
console.log(`package-lock.json: ${Object.keys(packages).length} entries, complete, no registry addresses`);
