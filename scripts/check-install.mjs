// Installs the built packages as a user would, into an empty folder, and uses them from ESM, from CommonJS and from the shell.
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'inmesh-install-'));
const run = (command, args, options) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

try {
  run('npm', ['pack', '--workspaces', '--silent', '--pack-destination', folder], { cwd: root });
  const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz') && !name.includes('-example-'));
  writeFileSync(join(folder, 'package.json'), '{ "name": "a-user", "private": true }');
  run('npm', ['install', '--silent', ...tarballs.map((name) => `./${name}`)]);

  const server = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  writeFileSync(
    join(folder, 'policy.yaml'),
    `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: greeter }
spec:
  hosts: [greeter]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${server.address().port} } }]
`,
  );
  const program = `createMesh({ policy: 'policy.yaml' }).then(async (mesh) => {
  console.log((await mesh.request('http://greeter/')).text(), (await (await mesh.fetch('http://greeter/')).text()));
  await mesh.close();
});
`;
  writeFileSync(join(folder, 'program.mjs'), `import { createMesh } from 'inmesh';\n${program}`);
  writeFileSync(join(folder, 'program.cjs'), `const { createMesh } = require('inmesh');\n${program}`);
  // The server answers from this process, so the programs must not block it.
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  const outputs = {};
  for (const file of ['program.mjs', 'program.cjs'])
    outputs[file] = (await promisify(execFile)(process.execPath, [file], { cwd: folder })).stdout.trim();
  outputs['inmesh validate'] = (
    await promisify(execFile)(join(folder, 'node_modules/.bin/inmesh'), ['validate', '-f', 'policy.yaml'], { cwd: folder })
  ).stdout.trim();
  server.close();
  for (const file of ['program.mjs', 'program.cjs'])
    if (outputs[file] !== 'hello hello') throw new Error(`${file} printed "${outputs[file]}"`);
  console.log(`installed ${tarballs.length} packages; import, require and the command work\n${outputs['inmesh validate']}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
