// Installs the built packages as a user would, into an empty folder, and uses them from ESM, from CommonJS, from the shell, and from
// TypeScript with a compiler that looks into libraries, without @grpc/grpc-js and with it.
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'inmesh-install-'));
const run = (command, args, options) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

/** Compiles a program with both compilers of this repository. Throws with what they say. */
function compile(file, text) {
  writeFileSync(join(folder, file), text);
  const options = ['--target', 'es2023', '--lib', 'es2024,esnext.disposable', '--module', 'nodenext', '--types', 'node'];
  for (const compiler of ['typescript', 'typescript7']) {
    const command = [join(root, 'node_modules', compiler, 'bin/tsc'), '--noEmit', '--strict', '--skipLibCheck', 'false', ...options, file];
    try {
      run(process.execPath, command);
    } catch (error) {
      throw new Error(`${file} does not compile with ${compiler}:\n${error.stdout}`, { cause: error });
    }
  }
}

const PROGRAM = `import { createMesh, type Mesh } from 'inmesh';
const mesh: Mesh = await createMesh({ policy: 'policy.yaml' });
const text: string = await (await mesh.fetch('http://greeter/')).text();
// @ts-expect-error the types of the mesh itself are real
const status: number = mesh.status();
console.log(text, status);
`;

const WITH_GRPC = `import { Client, type ChannelCredentials, type ClientOptions, Server, type ServerUnaryCall } from '@grpc/grpc-js';
const client = new Client('mesh:///ratings', mesh.grpc.credentials(), mesh.grpc.options({ 'grpc.keepalive_time_ms': 1000 }));
const credentials: ChannelCredentials = mesh.grpc.credentials();
const options: ClientOptions = mesh.grpc.options();
const server: Server = mesh.grpc.server({ 'grpc.max_receive_message_length': 1000 });
const drained: Promise<void> = mesh.grpc.wrap(new Server()).drain();
const caller = (call: ServerUnaryCall<string, number>) => mesh.grpc.caller(call).principal?.serviceAccount;
// @ts-expect-error credentials are not any
const wrong: number = mesh.grpc.credentials();
// @ts-expect-error nor are options
const neither: number = mesh.grpc.options();
// @ts-expect-error only a server of grpc-js can be wrapped
mesh.grpc.wrap({});
console.log(client, credentials, options, server, drained, caller, wrong, neither);
`;

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

  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const install = (...names) => run('npm', ['install', '--silent', ...names.map((name) => `${name}@${devDependencies[name]}`)]);
  install('@types/node');
  compile('program.mts', PROGRAM);
  // Whoever has no grpc-js has not its types: all that is of them is any.
  compile('without-grpc.mts', `${PROGRAM}const credentials: number = mesh.grpc.credentials();\nconsole.log(credentials);\n`);
  install('@grpc/grpc-js');
  compile('with-grpc.mts', `${PROGRAM}${WITH_GRPC}`);

  console.log(`installed ${tarballs.length} packages; import, require, types and the command work\n${outputs['inmesh validate']}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
