// Declarations are emitted with the sources' `.ts` specifiers; published ones must say `.js`.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const specifier = /((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]*?)\.ts(['"])/g;

for (const manifest of globSync('packages/*/package.json')) {
  const { peerDependenciesMeta = {} } = JSON.parse(readFileSync(manifest, 'utf8'));
  const optional = Object.keys(peerDependenciesMeta).filter((name) => peerDependenciesMeta[name].optional);
  for (const file of globSync(`${dirname(manifest)}/dist/**/*.d.ts`)) {
    const text = readFileSync(file, 'utf8').replace(specifier, '$1.js$2');
    writeFileSync(file, optional.reduce(withoutComplaint, text));
  }
}

/**
 * Who has not installed an optional peer has not its types either, and must not be told so by a compiler that looks into libraries
 * (`skipLibCheck: false`): what is of the peer is `any` to him, and exact to whoever has it.
 */
function withoutComplaint(text, peer) {
  const imports = new RegExp(`^(?:// @ts-ignore .*\\n)?(import (?:type )?\\{[^}]*\\} from ['"]${peer}(?:/[^'"]*)?['"];)`, 'gm');
  // On one line, for the comment speaks of the next one only.
  return text.replace(imports, (_, found) => `// @ts-ignore ${peer} is an optional peer\n${found.replaceAll(/\s+/g, ' ')}`);
}
