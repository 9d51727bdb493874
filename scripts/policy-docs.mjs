// Writes docs/policy/*.md and docs/schemas/*.json from the definitions of @inmesh/policy; with --check only compares.
//   node --conditions=@inmesh/source scripts/policy-docs.mjs [--check]
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { CODES, jsonSchema, jsonSchemaOf, kinds, reference } from '@inmesh/policy';

const root = new URL('..', import.meta.url);
const check = process.argv.includes('--check');
const files = new Map();

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('<key>', '&lt;key&gt;').replaceAll('\n', ' ');
const apiVersions = ({ group, versions }) => versions.map((version) => `\`${group === '' ? version : `${group}/${version}`}\``).join(', ');
const page = (kind) => `${kind.toLowerCase()}.md`;
const generated = '<!-- Written by scripts/policy-docs.mjs from packages/policy/src/kinds; edit there. -->\n';

function fieldRow({ path, type, meaning, default: fallback, required, honoured, notHonoured, deprecated }) {
  const notes = [meaning, deprecated === '' ? '' : `**Deprecated**: ${deprecated}.`].filter(Boolean).join(' ');
  const reader = notHonoured === '' ? honoured : `not honoured: ${notHonoured}`;
  return `| \`${path.replaceAll('|', '\\|')}\` | ${cell(type)} | ${cell(notes)} | ${required ? '**required**' : cell(fallback)} | ${cell(reader)} |`;
}

const all = reference();
for (const entry of all) {
  const { kind, summary, notHonoured, open, fields } = entry;
  files.set(
    `docs/policy/${page(kind)}`,
    [
      generated,
      `# ${kind}\n`,
      `${summary}\n`,
      `Versions: ${apiVersions(entry)}. Schema for editors: [${kind.toLowerCase()}.json](../schemas/${kind.toLowerCase()}.json).\n`,
      ...(notHonoured === null ? [] : [`**Not honoured yet**: it is parsed and checked, but ${notHonoured}.\n`]),
      ...(open ? ['Other fields of Kubernetes are let through unread.\n'] : []),
      ...(fields.length === 0
        ? []
        : ['| field | type | meaning | default | honoured by |', '| --- | --- | --- | --- | --- |', ...fields.map(fieldRow), '']),
    ].join('\n'),
  );
}

files.set(
  'docs/policy/README.md',
  [
    generated,
    '# Policy reference\n',
    'A policy document is a set of resources, in YAML (several documents, lists) or JSON. Every field that is accepted is listed here with its default and who obeys it; an unknown field is an error. `status` and what the API server writes into `metadata` is ignored; kinds of other API groups are skipped and counted.\n',
    '| kind | versions | what it is for |',
    '| --- | --- | --- |',
    ...all.map(
      (entry) =>
        `| [${entry.kind}](${page(entry.kind)}) | ${apiVersions(entry)} | ${cell(entry.summary)}${entry.notHonoured === null ? '' : ' *Not honoured yet.*'} |`,
    ),
    '',
    'Annotation `inmesh.dev/load-balancer: PEAK_EWMA` on a DestinationRule selects Peak EWMA; the resource stays a valid Istio resource.\n',
    'Annotation `inmesh.dev/consul-service: NAME` on a Service or ServiceEntry names the service of Consul whose instances are its members, too.\n',
    'Annotation `istio.io/dry-run: "true"` on an AuthorizationPolicy of action ALLOW or DENY: it is judged and reported, and refuses nobody.\n',
    'The last column names the callers a field holds for. Callers over gRPC, WebSocket and raw TCP, and the server side, come with packages of their own; where those are missing, their word says what will hold.\n',
    'Types told once: **StringMatch** is one of `exact`, `prefix`, `regex` (RE2 over the whole value; no look-around, no back-references), and `{}` asks only that a value is present. **Percent** is `{ value: 0 to 100 }`. **PortSelector** is `{ number: 1 to 65535 }`. A duration is a text such as `500ms`, `10s`, `1m30s`.\n',
    '## Accepted but not honoured\n',
    '| kind | field | why |',
    '| --- | --- | --- |',
    ...kinds.flatMap((kind, index) => {
      const seen = new Set();
      const entry = all[index];
      if (entry.notHonoured !== null) return [`| ${kind.kind} | all | ${cell(entry.notHonoured)} |`];
      // The topmost field says it for those below.
      return entry.fields.flatMap(({ path, notHonoured }) => {
        if (notHonoured === '' || [...seen].some((above) => path.startsWith(`${above}.`) || path.startsWith(`${above}[`))) return [];
        seen.add(path);
        return [`| ${kind.kind} | \`${path}\` | ${cell(notHonoured)} |`];
      });
    }),
    '',
    '## Codes of problems\n',
    'Each problem has a code, a severity, the resource, the field, the place in the text, and a hint. Documents with errors are refused whole.\n',
    '| code | meaning |',
    '| --- | --- |',
    ...Object.entries(CODES).map(([code, meaning]) => `| ${code} | ${cell(meaning)} |`),
    '',
  ].join('\n'),
);

const json = (value) => `${JSON.stringify(value, null, 1)}\n`;
files.set('docs/schemas/policy.json', json(jsonSchema()));
for (const kind of kinds) files.set(`docs/schemas/${kind.kind.toLowerCase()}.json`, json(jsonSchemaOf(kind)));

const stale = [];
for (const [name, text] of files) {
  const url = new URL(name, root);
  if (!check) {
    await mkdir(new URL('.', url), { recursive: true });
    await writeFile(url, text);
  } else if ((await readFile(url, 'utf8').catch(() => '')) !== text) stale.push(name);
}
if (stale.length > 0) {
  console.error(`out of date: ${stale.join(', ')}\nrun: node --conditions=@inmesh/source scripts/policy-docs.mjs`);
  process.exit(1);
}
console.log(`${files.size} files ${check ? 'are up to date' : 'written'}`);
