import { readFileSync } from 'node:fs';
import { defineConfig } from 'tsup';

// One config for every package: the entries are the `@inmesh/source` conditions of its own package.json.
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Record<string, { '@inmesh/source'?: string }>; bin?: Record<string, string> };
const sources = Object.values(manifest.exports).flatMap((target) => target['@inmesh/source'] ?? []);

export default defineConfig({
  entry: sources.map((file) => file.replace('./', '')),
  format: ['esm'],
  dts: false,
  clean: true,
  sourcemap: true,
  target: 'node22',
  platform: 'node',
  splitting: true,
});
