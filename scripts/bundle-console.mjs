// The console as the published package holds it: one module with its finished files, so that nothing is read or bundled there.
import { writeFileSync } from 'node:fs';
import { bundleConsole } from '../packages/admin/src/console-bundler.ts';

const files = await bundleConsole({ small: true });
writeFileSync(
  new URL('../packages/admin/dist/console-bundle.js', import.meta.url),
  `export const files = ${JSON.stringify(files, null, 1)};\n`,
);
