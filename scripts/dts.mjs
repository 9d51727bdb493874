// Declarations are emitted with the sources' `.ts` specifiers; published ones must say `.js`.
import { globSync, readFileSync, writeFileSync } from 'node:fs';

const specifier = /((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]*?)\.ts(['"])/g;
for (const file of globSync('packages/*/dist/**/*.d.ts')) writeFileSync(file, readFileSync(file, 'utf8').replace(specifier, '$1.js$2'));
